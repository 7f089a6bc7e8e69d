//! Chromium and Chrome: where they are, and how they are started for tests.

use std::path::Path;
use std::process::Command;

use crate::browser::Installation;
use crate::process::is_root;

pub(crate) const INSTALLATION: Installation = Installation {
    variable: "CHROMIUM",
    names: &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "chrome",
    ],
    paths: &[
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ],
    announcement: "DevTools listening on ",
};

/// Without a first-run page, background traffic, or anything else that a test would have to expect.
const FLAGS: &[&str] = &[
    // A name that is no secure context over plain http, as the loopback address is.
    "--host-resolver-rules=MAP lan.test 127.0.0.1",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--mute-audio",
    "--password-store=basic",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
];

/// Adds what makes it run for a test, with `profile` as its profile.
pub(crate) fn prepare(command: &mut Command, profile: &Path) {
    command
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.display()));
    if is_root() {
        // Chromium refuses to run as root with its own process sandbox.
        command.arg("--no-sandbox");
    }
    command.arg("about:blank");
}
