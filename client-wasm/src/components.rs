//! Parts of the dashboard.

pub(crate) mod add_form;
pub(crate) mod busy;
pub(crate) mod copy_field;
pub(crate) mod devices;
pub(crate) mod earlier;
pub(crate) mod envelope;
pub(crate) mod field;
pub(crate) mod invite;
pub(crate) mod job_actions;
pub(crate) mod job_panel;
pub(crate) mod new_job;
pub(crate) mod outcome;
pub(crate) mod script_form;
pub(crate) mod submission;
