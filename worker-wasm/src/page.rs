//! What the volunteer sees and controls.
//!
//! The page starts the runtime, gives it sandbox frames, and shows what it says. It runs nothing
//! itself, and a page that is blocked or hidden stops no work. `state`, `chart`, `source`, `texts`,
//! `typed`, `keepsakes` and `invite` are pure and tested natively.

mod chart;
mod invite;
mod keepsakes;
mod source;
mod state;
mod texts;
mod typed;

#[cfg(target_family = "wasm")]
mod address;
#[cfg(target_family = "wasm")]
mod awake;
#[cfg(target_family = "wasm")]
mod device;
#[cfg(target_family = "wasm")]
mod dom;
#[cfg(target_family = "wasm")]
mod form;
#[cfg(target_family = "wasm")]
mod frame;
#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod shelf;

#[cfg(target_family = "wasm")]
pub(crate) use host::start;
