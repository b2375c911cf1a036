//! The limit of descriptors: as high as the system allows, and connections within it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// How many descriptors are kept free of connections: for the store, ZeroMQ, logs, and a worker in this process.
const RESERVE: u64 = 256;

/// Raises the soft limit of descriptors to the hard one. Not for a process that starts jobs: a program that uses `select`
/// must not meet a higher limit than its user has.
pub fn raise_descriptor_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(target: "job_runner.http", "the limit of descriptors stays at {soft}: {e}");
    }
}

/// How many of so many connections there can be with the descriptors that this process may have.
#[must_use]
pub fn usable_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    within(wanted, limit)
}

fn within(wanted: usize, limit: u64) -> usize {
    // Of a low limit, half.
    let free = limit.saturating_sub(RESERVE).max(limit / 2);
    wanted.min(usize::try_from(free).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let table = [(4000, 20_000, 4000), (4000, 1024, 768), (4000, 128, 64), (10, 1024, 10), (4000, 1, 1)];
        for (wanted, limit, expected) in table {
            assert_eq!(within(wanted, limit), expected, "{wanted} of {limit}");
        }
    }
}
