//! What of the lanes is asked for, as the address says it. Pure.

use chrono::DateTime;

use crate::run::RunId;
use crate::server::domain::model::{JobId, ProjectId, RunState};
use crate::server::store::{EndFilter, Mark, Sought};
use crate::wire::reference;

#[cfg(test)]
mod tests;

/// The longest text that is sought, in characters.
const TEXT: usize = 200;

/// The words by which runs are sought by where they stand, as addresses and as people have them.
pub(super) const WORDS: [(&str, &str); 9] = [
    ("scheduled", "scheduled"),
    ("claimed", "in queue"),
    ("running", "running"),
    ("completed", "completed"),
    ("succeeded", "succeeded"),
    ("failed", "failed"),
    ("timed_out", "timed out"),
    ("killed", "killed"),
    ("lost", "lost"),
];

/// All lanes, in the order in which a run passes them.
pub(super) const LANES: [RunState; 4] =
    [RunState::Scheduled, RunState::InQueue, RunState::Started, RunState::Completed];

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneFilter {
    /// Which runs.
    pub sought: Sought,
    /// Where they stand, if that is said, as the address has it.
    pub word: Option<&'static str>,
    /// After which run a page begins.
    pub after: Option<Mark>,
    /// Which lanes have changed; none: all.
    changed: Vec<RunState>,
}

impl LaneFilter {
    /// What an address asks for. What it says that makes no sense is as if it were not said.
    pub(super) fn parse(query: &str, project: Option<ProjectId>) -> Self {
        let mut asked = Self { sought: Sought { project, ..Sought::default() }, ..Self::default() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => asked.sought.text = (!value.is_empty()).then(|| value.chars().take(TEXT).collect()),
                "job" => asked.sought.job = reference::number(value).and_then(JobId::new),
                "state" => asked.word = WORDS.iter().map(|(word, _)| *word).find(|word| *word == value),
                "after" => asked.after = mark(value),
                "lane" => asked.changed.extend(LANES.into_iter().find(|lane| lane_word(*lane) == value)),
                _ => {}
            }
        }
        asked.sought.end = match asked.word {
            Some("succeeded") => Some(EndFilter::Succeeded),
            Some("failed") => Some(EndFilter::Failed),
            Some("timed_out") => Some(EndFilter::TimedOut),
            Some("killed") => Some(EndFilter::Killed),
            Some("lost") => Some(EndFilter::Lost),
            _ => None,
        };
        // A page after a run is one of the lane that is alone.
        asked.after = asked.after.filter(|_| asked.word.is_some());
        asked
    }

    /// Which lanes that is.
    pub(super) fn lanes(&self) -> Vec<RunState> {
        match self.word {
            None => LANES.to_vec(),
            Some(word) => vec![LANES.into_iter().find(|lane| lane_word(*lane) == word).unwrap_or(RunState::Completed)],
        }
    }

    /// Which of these have changed.
    pub(super) fn changed(&self) -> Vec<RunState> {
        let lanes = self.lanes().into_iter();
        lanes.filter(|lane| self.changed.is_empty() || self.changed.contains(lane)).collect()
    }

    /// Whether one lane is asked for.
    pub(super) fn is_alone(&self) -> bool {
        self.word.is_some()
    }

    /// Whether no run is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.sought == Sought::default() && self.word.is_none()
    }

    /// Whether runs of the lanes that are shown are left out.
    pub(super) fn is_narrowed(&self) -> bool {
        self.sought != Sought::default() || self.after.is_some()
    }

    /// The address of a lane alone, after a run or from its beginning.
    pub(super) fn address(&self, lane: RunState, after: Option<Mark>) -> String {
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        address.append_pair("state", self.word.unwrap_or(lane_word(lane)));
        if let Some(project) = self.sought.project {
            address.append_pair("project", &project.to_string());
        }
        if let Some(job) = self.sought.job {
            address.append_pair("job", &job.to_string());
        }
        if let Some(text) = &self.sought.text {
            address.append_pair("q", text);
        }
        if let Some(Mark { at, run }) = after {
            address.append_pair("after", &format!("{}.{run}", at.timestamp_micros()));
        }
        format!("/?{}", address.finish())
    }
}

/// The word for a lane in an address.
pub(super) fn lane_word(lane: RunState) -> &'static str {
    match lane {
        RunState::Scheduled => "scheduled",
        RunState::InQueue => "claimed",
        RunState::Started => "running",
        RunState::Completed => "completed",
    }
}

fn mark(text: &str) -> Option<Mark> {
    let (at, run) = text.split_once('.')?;
    Some(Mark { at: DateTime::from_timestamp_micros(at.parse().ok()?)?, run: RunId::new(run.parse().ok()?)? })
}
