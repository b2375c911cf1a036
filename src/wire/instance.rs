//! Which instance of a worker speaks: a header of every call and of the upgrade of an uplink.

/// The header. A worker of the original kind sends none.
pub const HEADER: &str = "job-runner-instance";
/// The status of what is refused because another instance of the worker is alive.
pub const OCCUPIED: u16 = 423;
