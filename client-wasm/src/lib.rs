//! The client's dashboard.
//!
//! Lives here: `state` (what is known, changed only by `State::apply`), `form` (what was typed, and
//! the request it means), `words`,
//! `figures`, `links`, `totals` and `format` (how it is put), `sse` (reading a stream), `api`
//! (calls to the server), `follow` (how news of a job get here), and the views that show a state.
//! Views hold no knowledge of their own. Not here: job rules; they are `shared`'s.

#![cfg_attr(
    target_family = "wasm",
    allow(
        unreachable_pub,
        reason = "the component macro makes its functions public"
    )
)]

pub mod figures;
pub mod form;
pub mod format;
pub mod json;
pub mod links;
pub mod pace;
pub mod retry;
pub mod sse;
pub mod state;
pub mod totals;
pub mod words;

#[cfg(target_family = "wasm")]
mod api;
#[cfg(target_family = "wasm")]
mod app;
#[cfg(target_family = "wasm")]
mod browser;
#[cfg(target_family = "wasm")]
mod components;
#[cfg(target_family = "wasm")]
mod follow;
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
