//! Parts of the dashboard.

pub(crate) mod devices;
pub(crate) mod job_panel;
pub(crate) mod new_job;
