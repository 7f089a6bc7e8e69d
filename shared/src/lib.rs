//! What server, worker and client must agree on.
//!
//! Lives here: identities, protocol sizes, job rules, reducers, the signed envelope, the worker
//! protocol and the worker's side of it as a state machine. Not here: sockets, files, clocks and
//! random sources. Time and randomness come in as arguments, so that everything here runs the same
//! natively and as wasm32, and can be replayed.

#![warn(missing_docs)]

pub mod api;
pub mod env_file;
pub mod envelope;
pub mod ids;
pub mod job;
pub mod limits;
pub mod merkle;
pub mod mnemonic;
pub mod plan;
#[cfg(feature = "qr")]
pub mod qr;
pub mod reduce;
pub mod rng;
pub mod secrets;
pub mod session;
mod sorted_map;
pub mod time;
pub mod wire;
