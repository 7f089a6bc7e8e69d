//! Kernels, native workers and the harness that measures the cluster.

pub mod kernels;
pub mod native_worker;
pub mod process_stat;
