//! The worker tab: lends a browser's processors to the cluster.
//!
//! One WASM module with two entries: `start_page` draws what the volunteer sees and controls,
//! `start_runtime` does the work in a dedicated worker. Job code runs in neither of them but in the
//! sandbox, whose scripts are in `sandbox/`. What decides is pure and tested natively; what touches
//! the browser exists in WASM only.

// The pure parts have no caller without a browser.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code))]

#[cfg(target_family = "wasm")]
mod bearer;
mod messages;
mod page;
mod rules;
mod runtime;
mod settings;
mod slots;
mod small_map;

/// Draws the page and starts the runtime.
#[cfg(target_family = "wasm")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn start_page() {
    page::start();
}

/// Runs in the dedicated worker that the page starts.
#[cfg(target_family = "wasm")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn start_runtime() {
    runtime::start();
}
