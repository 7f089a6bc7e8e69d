//! The client's dashboard.
//!
//! Lives here: `state` (what is known, changed only by `State::apply`), `form` (what was typed, and
//! the request it means), `api` (calls to the server), and the views that show a state. Views hold
//! no knowledge of their own. Not here: job rules; they are `shared`'s.

#![cfg_attr(
    target_family = "wasm",
    allow(
        unreachable_pub,
        reason = "the component macro makes its functions public"
    )
)]

pub mod form;
pub mod format;
pub mod state;

#[cfg(target_family = "wasm")]
mod api;
#[cfg(target_family = "wasm")]
mod app;
#[cfg(target_family = "wasm")]
mod components;
#[cfg(target_family = "wasm")]
mod pages;
#[cfg(target_family = "wasm")]
mod storage;

/// Shows the dashboard in the document's body.
#[cfg(target_family = "wasm")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn start_page() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
