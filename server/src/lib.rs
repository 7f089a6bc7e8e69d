//! The server: everything that waits.
//!
//! [`Server::start`] takes a configuration and a listener, so that tests start one on port 0.
//! What is run is decided by `scheduler`, what is agreed on stands in `shared`; here are sockets,
//! files, clocks and random bytes.

mod address;
mod api;
mod app;
mod auth;
mod clock;
pub mod config;
mod dispatch;
mod edge;
mod gateway;
mod headers;
mod instruments;
mod intake;
mod introduction;
mod invites;
mod keys;
mod limits;
pub mod logging;
mod orders;
mod pages;
mod proxy;
mod random;
mod reach;
mod router;
pub mod secrets;
mod server;
mod session_token;
mod shard_name;
mod signer;
mod standing;
mod store;

pub use edge::raise_file_limit;
pub use introduction::Introduction;
pub use server::{Server, StartError, run};
pub use store::copies;
