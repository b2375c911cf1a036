//! The operator's command: `job_runner`.
