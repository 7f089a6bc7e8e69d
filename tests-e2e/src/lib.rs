//! What black-box tests and the demo need: the real server as a process, its HTTP API, and real
//! browser tabs.
//!
//! Lives here: starting, driving and ending processes from the outside. Not here: any part of the
//! product, and any judgement about it; those are the tests'. Whatever this crate starts it ends
//! when its handle is dropped, whole process groups at once.

pub mod api;
pub mod artifacts;
mod bidi;
pub mod browser;
mod cdp;
mod chromium;
mod connection;
pub mod console;
mod firefox;
pub mod page;
pub mod process;
pub mod secrets;
pub mod server;
pub mod worker_tab;

pub use api::ApiClient;
pub use browser::{Browser, BrowserKind};
pub use page::Page;
pub use secrets::Secrets;
pub use server::{ServerProcess, ServerSetup};
pub use worker_tab::WorkerTab;
