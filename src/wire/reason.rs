//! Reasons of due times that did not simply become a run: parameters of a reason's code, one JSON object each, as the
//! store keeps them and the operator API gives them to programs.
//!
//! Absent members are left out, and the others keep their order, so that equal parameters are equal texts.

use serde::{Deserialize, Serialize};

use super::lack::LackFacts;

/// Parameters of a reason; its code decides which of them are present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReasonParams {
    /// Id of the run that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Id of the parent job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<i64>,
    /// Id of the worker that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<i64>,
    /// Number of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Number of due times, counted up to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Author of a cancellation: `dashboard`, `command`, `client` or `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Cause as a word: `silent` or `resting` of a worker, `all_left_out`, `never`, `no_schedule`, `cron_unreadable` or
    /// `cron_never` of a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Cron expression that cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// First time of an exclude, such as `22:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Last time of an exclude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Note of an exclude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Workers that could have taken the run and take no new ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<UnreadyWorker>,
    /// Number of further such workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<usize>,
    /// Text of another program, such as the fault that a parser found, or a sentence of an earlier version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Worker that takes no new runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadyWorker {
    /// Title of the worker at that time.
    pub title: String,
    /// Reason as a word: `disabled`, `never_answered`, `silent`, `asked`, `draining`, `asleep`, `offline` or `held`.
    pub why: String,
    /// Command that is requested of the worker, with `asked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Shortages of the worker, with `held`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<LackFacts>,
}
