//! Descriptor limit: raises it as high as the system allows, and keeps the number of connections within it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::run::chain_of;

/// Descriptors that are kept free of connections: for the store, logs, and a worker in this process.
const RESERVE: u64 = 256;
/// Divisor of the limit: connections at each of the two ZeroMQ ports may take an eighth of all descriptors. More would
/// leave none to HTTP where the limit is low.
const ZMQ_PART: u64 = 8;

/// Raises the soft limit of descriptors to the hard limit. Returns the soft limit from before if it was raised: a
/// program that uses `select` must not run under a higher limit than its user has, so shims give that one back to jobs.
pub fn raise_descriptor_limit() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return None;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Some(soft),
        Err(e) => {
            tracing::warn!(target: "job_runner.http", limit = soft, error = %chain_of(&e), "limit of descriptors cannot be raised");
            None
        }
    }
}

/// Of `wanted` HTTP connections, how many fit into the descriptors that this process may have; at least 1.
#[must_use]
pub fn usable_connections(wanted: usize) -> usize {
    within(wanted, limit())
}

/// Of `wanted` connections at one of the two ZeroMQ ports, how many fit into their part of the descriptors; at least 1.
#[must_use]
pub fn usable_at_zmq(wanted: usize) -> usize {
    share(wanted, limit())
}

fn limit() -> u64 {
    // A limit that cannot be read bounds nothing here; `accept` still notices when descriptors run out.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

fn within(wanted: usize, limit: u64) -> usize {
    // Where the reserve would take most of a low limit, connections still get half of it.
    let rest = limit - 2 * (limit / ZMQ_PART);
    at_most(wanted, rest.saturating_sub(RESERVE).max(limit / 2))
}

fn share(wanted: usize, limit: u64) -> usize {
    at_most(wanted, limit / ZMQ_PART)
}

fn at_most(wanted: usize, free: u64) -> usize {
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::{RESERVE, share, within};

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let table = [(4000, 20_000, 4000), (4000, 1024, 512), (4000, 128, 64), (10, 1024, 10), (4000, 1, 1)];
        for (wanted, limit, expected) in table {
            assert_eq!(within(wanted, limit), expected, "{wanted} of {limit}");
        }
        for (wanted, limit, expected) in [(4096, 65_536, 4096), (4096, 1024, 128), (4096, 128, 16), (4096, 1, 1)] {
            assert_eq!(share(wanted, limit), expected, "{wanted} of {limit}");
        }
        for limit in [64, 128, 256, 1024, 4096, 65_536] {
            let taken = within(4000, limit) + 2 * share(4096, limit);
            assert!(taken as u64 <= limit * 3 / 4 || taken as u64 + RESERVE <= limit, "{taken} of {limit}");
        }
    }
}
