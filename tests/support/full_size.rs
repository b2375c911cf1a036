//! How long the long tests are.

/// Whether they are to be as long as they can be, rather than quick enough for every day.
pub fn full_size() -> bool {
    std::env::var("JOB_RUNNER_FULL_SIZE").is_ok_and(|value| value == "1")
}
