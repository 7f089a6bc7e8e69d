//! The whole system from the outside: the real server binary, real browser tabs, the real client.
//!
//! One program, so that it is linked once. Every test starts what it needs and ends it.

mod browser;
