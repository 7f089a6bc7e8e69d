//! One file a view.

pub(crate) mod dashboard;
pub(crate) mod sign_in;
