//! A server that cannot start says in one line each what is wrong and what to do, and exits with a
//! code that is not zero.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;
use tests_e2e::ServerSetup;
use tests_e2e::server::Ended;

use crate::cluster;

fn refused(change: impl FnOnce(ServerSetup) -> ServerSetup) -> Result<Ended> {
    refused_in(&TempDir::new()?, change)
}

fn refused_in(data: &TempDir, change: impl FnOnce(ServerSetup) -> ServerSetup) -> Result<Ended> {
    let ended = change(cluster::setup(data)?).run_to_end()?;
    assert!(!ended.status.success(), "it started: {ended:?}");
    assert!(
        ended.stderr.lines().count() <= 3,
        "more than it takes to say: {}",
        ended.stderr
    );
    Ok(ended)
}

#[test]
fn a_port_in_use_is_named() -> Result<()> {
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    let ended = refused(|setup| setup.port(port))?;
    assert!(ended.stderr.contains(&port.to_string()), "{ended:?}");
    assert!(ended.stderr.contains("PORT"), "{ended:?}");
    Ok(())
}

#[test]
fn settings_out_of_range_are_named_with_value_and_range() -> Result<()> {
    let ended = refused(|setup| {
        setup
            .env("SIGNED_JOB_TTL_SEC", "5")
            .env("WORKER_INVITE_TTL_SEC", "lots")
    })?;
    for word in [
        "SIGNED_JOB_TTL_SEC",
        "5",
        "10",
        "900",
        "WORKER_INVITE_TTL_SEC",
        "lots",
    ] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn keys_that_do_not_fit_are_refused() -> Result<()> {
    let keys: serde_json::Value = serde_json::from_str(shared::envelope::vectors::KEYS_JSON)?;
    let key = |name: &str, part: &str| keys[name][part].as_str().unwrap().to_owned();
    let mismatch = refused(|setup| {
        setup
            .env("JOB_SIGNING_PRIVATE_KEY_B64", key("signer", "pkcs8"))
            .env("JOB_SIGNING_PUBLIC_KEY_B64", key("other", "spki"))
    })?;
    assert!(mismatch.stderr.contains("JOB_SIGNING_"), "{mismatch:?}");
    let garbage = refused(|setup| {
        setup
            .env("JOB_SIGNING_PRIVATE_KEY_B64", "bm90IGEga2V5")
            .env("JOB_SIGNING_PUBLIC_KEY_B64", key("other", "spki"))
    })?;
    assert!(
        garbage.stderr.contains("JOB_SIGNING_PRIVATE_KEY_B64"),
        "{garbage:?}"
    );
    for ended in [mismatch, garbage] {
        assert!(
            !ended.stderr.contains(&key("signer", "pkcs8")),
            "a secret was printed"
        );
    }
    Ok(())
}

/// Makes a file that cannot be read. Not by its permissions, which mean nothing to root.
type Spoil = fn(&Path) -> std::io::Result<()>;

const UNREADABLE: [(&str, Spoil); 3] = [
    ("a folder", |path| fs::create_dir(path)),
    ("a link to nothing", |path| symlink("not-mounted", path)),
    ("no text", |path| fs::write(path, [0xff, 0xfe, 0, 1])),
];

#[test]
fn a_key_file_that_cannot_be_read_is_named_and_no_keys_are_made_instead() -> Result<()> {
    for (what, spoil) in UNREADABLE {
        let data = TempDir::new()?;
        let file = data.path().join("secrets.env");
        spoil(&file)?;
        let ended = refused_in(&data, |setup| setup)?;
        assert_eq!(ended.stderr.lines().count(), 1, "{what}: {ended:?}");
        assert!(ended.stderr.contains("secrets.env"), "{what}: {ended:?}");
        assert!(
            ended.stderr.contains("check its permissions"),
            "{what}: {ended:?}"
        );
        assert!(
            fs::read_to_string(&file).is_err(),
            "{what}: it was replaced"
        );

        let data = TempDir::new()?;
        spoil(&data.path().join("keys.env"))?;
        let ended = refused_in(&data, |setup| setup.arg("--env-file").arg("keys.env"))?;
        assert_eq!(ended.stderr.lines().count(), 1, "{what}: {ended:?}");
        assert!(ended.stderr.contains("keys.env"), "{what}: {ended:?}");
        assert!(!data.path().join("secrets.env").exists(), "{what}");
    }
    Ok(())
}

#[test]
fn a_key_file_that_is_empty_or_cut_off_is_named() -> Result<()> {
    let data = TempDir::new()?;
    drop(cluster::setup(&data)?.start()?);
    let file = data.path().join("secrets.env");
    let whole = fs::read_to_string(&file)?;
    let private = whole
        .find("JOB_SIGNING_PRIVATE_KEY_B64=")
        .expect("it is in there");
    for (what, text, word) in [
        ("empty", "", "CLIENT_API_KEY"),
        (
            "cut off within the private key",
            &whole[..private + 400],
            "JOB_SIGNING_PUBLIC_KEY_B64",
        ),
        (
            "cut off within the public key",
            &whole[..whole.len() - 100],
            "JOB_SIGNING_PUBLIC_KEY_B64",
        ),
    ] {
        fs::write(&file, text)?;
        let ended = refused_in(&data, |setup| setup)?;
        assert_eq!(ended.stderr.lines().count(), 1, "{what}: {ended:?}");
        assert!(ended.stderr.contains("secrets.env"), "{what}: {ended:?}");
        assert!(ended.stderr.contains(word), "{what}: {ended:?}");
        assert_eq!(fs::read_to_string(&file)?, text, "{what}: it was replaced");
    }
    Ok(())
}

#[test]
fn a_data_folder_that_cannot_be_used_is_named() -> Result<()> {
    let elsewhere = TempDir::new()?;
    let file = elsewhere.path().join("a-file");
    fs::write(&file, "")?;
    let ended = refused(|setup| setup.env("DATA_DIR", &file))?;
    assert!(ended.stderr.contains("a-file"), "{ended:?}");
    Ok(())
}

#[test]
fn an_env_file_that_is_not_there_is_named() -> Result<()> {
    let ended = refused(|setup| setup.arg("--env-file").arg("missing.env"))?;
    assert!(ended.stderr.contains("missing.env"), "{ended:?}");
    Ok(())
}
