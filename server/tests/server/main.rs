//! The server from the outside: its API, its worker sockets, restarts, and the program itself.

#![allow(clippy::unwrap_used, reason = "the helpers of tests, too")]

mod api;
mod backup;
mod bad_input;
mod clocks;
mod control;
mod edge;
mod events;
mod faults;
mod hostile;
mod jobs;
mod limits;
mod metrics;
mod migrations;
mod operator;
mod policy;
mod program;
mod readiness;
mod restart;
mod retention;
mod sessions;
mod shutdown;
mod stream;
mod support;
