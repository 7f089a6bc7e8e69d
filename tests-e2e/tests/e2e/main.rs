//! The whole system from the outside: the real server binary, real browser tabs, the real client.
//!
//! One program, so that it is linked once. Every test starts what it needs and ends it.

#![allow(clippy::unwrap_used, reason = "the helpers of tests, too")]

mod abuse;
mod bad_frames;
mod bad_jobs;
mod battery;
mod browser;
mod canary;
mod client_page;
mod cluster;
mod command_line;
mod contract_client;
mod controls;
mod crash;
mod doctor;
mod endurance;
mod error_pages;
mod hostile_server;
mod invites;
mod layers;
mod odd_devices;
mod pi;
mod plain_pages;
mod refusals;
mod restart;
mod secrets;
mod settings;
mod spinning;
mod webcrypto;
