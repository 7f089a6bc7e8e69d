//! What runs in the dedicated worker of the trusted origin: socket, verification, session,
//! scheduling, deadlines.
//!
//! The submodules without a browser in them are pure and tested natively; `driver` and those below
//! it exist in WASM only.

mod governor;
mod heartbeat;
mod json_text;
mod pool;
mod report;
mod self_test;
mod strain;
mod traffic;
mod work;

#[cfg(target_family = "wasm")]
mod contents;
#[cfg(target_family = "wasm")]
mod driver;
#[cfg(target_family = "wasm")]
mod platform;
#[cfg(target_family = "wasm")]
mod sandbox;
#[cfg(target_family = "wasm")]
mod socket;

#[cfg(target_family = "wasm")]
pub(crate) use driver::start;
