//! A server on a free port, an HTTP client, and a worker that does what a test tells it.

mod http;
mod process;
pub(crate) mod raw;
pub(crate) mod server;
mod worker;

pub(crate) use http::{Answer, Client};
pub(crate) use process::{Process, run_to_end, shown_on_terminal};
pub(crate) use server::TestServer;
pub(crate) use worker::{Assigned, Offer, Worker, held, open, returned, value};
