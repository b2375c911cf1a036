//! Filter of the lanes: parsed from the query of an address, and written back into links. Pure.

use chrono::DateTime;

use crate::run::RunId;
use crate::server::domain::model::{JobId, ProjectId, RunState};
use crate::server::store::{EndFilter, Mark, Sought};
use crate::wire::reference;

#[cfg(test)]
mod tests;

/// The longest text that is searched for, in characters.
const TEXT: usize = 200;

/// States to filter by, each as the address has it and as people read it.
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

/// All lanes, in the order in which a run passes through them.
pub(super) const LANES: [RunState; 4] =
    [RunState::Scheduled, RunState::InQueue, RunState::Started, RunState::Completed];

/// Filter of the page, as the query has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneFilter {
    /// Condition that the shown runs fulfil.
    pub sought: Sought,
    /// State of the runs, from [`WORDS`]; `None` for all four lanes.
    pub word: Option<&'static str>,
    /// Last run of the page before, in a lane that is shown alone; `None` for the first page.
    pub after: Option<Mark>,
    /// Lanes that the script asks for again after a change; empty for all.
    changed: Vec<RunState>,
}

impl LaneFilter {
    /// Parses a query. Parts of it that make no sense are ignored, so that an old or mistyped link still shows a page.
    pub(super) fn parse(query: &str, project: Option<ProjectId>) -> Self {
        let mut filter = Self { sought: Sought { project, ..Sought::default() }, ..Self::default() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => filter.sought.text = (!value.is_empty()).then(|| value.chars().take(TEXT).collect()),
                "job" => filter.sought.job = reference::number(value).and_then(JobId::new),
                "state" => filter.word = WORDS.iter().map(|(word, _)| *word).find(|word| *word == value),
                "after" => filter.after = mark(value),
                "lane" => filter.changed.extend(LANES.into_iter().find(|lane| lane_word(*lane) == value)),
                _ => {}
            }
        }
        filter.sought.end = match filter.word {
            Some("succeeded") => Some(EndFilter::Succeeded),
            Some("failed") => Some(EndFilter::Failed),
            Some("timed_out") => Some(EndFilter::TimedOut),
            Some("killed") => Some(EndFilter::Killed),
            Some("lost") => Some(EndFilter::Lost),
            _ => None,
        };
        // Only a lane that is shown alone has further pages.
        filter.after = filter.after.filter(|_| filter.word.is_some());
        filter
    }

    /// Lanes to show. A state in which a run has ended selects the lane of completed runs.
    pub(super) fn lanes(&self) -> Vec<RunState> {
        match self.word {
            None => LANES.to_vec(),
            Some(word) => vec![LANES.into_iter().find(|lane| lane_word(*lane) == word).unwrap_or(RunState::Completed)],
        }
    }

    /// Of the shown lanes, those that have changed.
    pub(super) fn changed(&self) -> Vec<RunState> {
        let lanes = self.lanes().into_iter();
        lanes.filter(|lane| self.changed.is_empty() || self.changed.contains(lane)).collect()
    }

    /// Whether a single lane is shown.
    pub(super) fn is_alone(&self) -> bool {
        self.word.is_some()
    }

    /// Whether the filter leaves no run out.
    pub(super) fn is_everything(&self) -> bool {
        self.sought == Sought::default() && self.word.is_none()
    }

    /// Whether runs of the shown lanes are left out.
    pub(super) fn is_narrowed(&self) -> bool {
        self.sought != Sought::default() || self.after.is_some()
    }

    /// Address of a single lane with this filter, after a run or from its beginning.
    pub(super) fn address(&self, lane: RunState, after: Option<Mark>) -> String {
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        // A narrower state such as `failed` is kept; it belongs to the lane of completed runs.
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
            // Microseconds, as in the store: a coarser time would skip runs or show them twice.
            address.append_pair("after", &format!("{}.{run}", at.timestamp_micros()));
        }
        format!("/?{}", address.finish())
    }
}

/// Word for a lane in addresses.
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
