pub(crate) mod heartbeat;
pub(crate) mod pool;
pub(crate) mod report;
pub(crate) mod work;
