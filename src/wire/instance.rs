//! Worker instances: the header by which a server tells two worker processes with the same key apart. A worker sends it
//! with every call and with the upgrade of an uplink.

/// Name of the header. The original's worker does not send it.
pub const HEADER: &str = "job-runner-instance";
/// HTTP status of a call that is refused because another instance of the worker is alive.
pub const OCCUPIED: u16 = 423;
