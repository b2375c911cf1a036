//! What the life of a run must look like from the server's side.

use std::collections::BTreeMap;

use super::ledger::State;
use super::record::Call;
use super::rows::{RunRow, StepKind};

impl RunRow {
    /// Whether the accepted requests make one whole life: claimed once, started once with its pid in
    /// the same PATCH, logs only in between, returned once and last. Says what is wrong.
    pub fn check_whole_life(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("run {}: {what}: {:?}", self.id, self.kinds()));
        for (kind, name) in [
            (StepKind::Claim, "claim"),
            (StepKind::Start, "start"),
            (StepKind::Pid, "pid"),
            (StepKind::Return, "return"),
        ] {
            if self.count(kind) != 1 {
                return wrong(&format!("{} times: {name}", self.count(kind)));
            }
        }
        if self.count(StepKind::Reset) + self.count(StepKind::Other) != 0 {
            return wrong("a reset or an idle PATCH");
        }
        if self.seq_of(StepKind::Start) != self.seq_of(StepKind::Pid) {
            return wrong("start and pid in different PATCHes");
        }
        if self.log.is_none() {
            return wrong("no log");
        }
        self.check_order()
    }

    /// Whether the steps that are there come in the right order and nothing follows the return. Also
    /// right for a run that never started (start and return in one PATCH, no pid).
    pub fn check_order(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("run {}: {what}: {:?}", self.id, self.kinds()));
        let claim = self.seq_of(StepKind::Claim).unwrap_or(0);
        let last = self.steps.iter().map(|step| step.seq).max().unwrap_or(0);
        if self.steps.iter().any(|step| step.kind != StepKind::Claim && step.seq < claim) {
            return wrong("something came before the claim");
        }
        if let (Some(start), Some(log)) = (self.seq_of(StepKind::Start), self.seq_of(StepKind::Log))
            && self.count(StepKind::Pid) > 0
            && log < start
        {
            return wrong("a log came before the start");
        }
        match self.seq_of(StepKind::Return) {
            Some(returned) if returned < last => wrong("something came after the return"),
            _ => Ok(()),
        }
    }

    /// The steps in order, for a message or a comparison.
    pub fn kinds(&self) -> Vec<StepKind> {
        self.steps.iter().map(|step| step.kind).collect()
    }

    /// `seq` of the first step of this kind.
    pub fn seq_of(&self, kind: StepKind) -> Option<u64> {
        self.steps.iter().find(|step| step.kind == kind).map(|step| step.seq)
    }
}

impl State {
    /// Pairs of PATCHes of one resource of which the second arrived before the first was answered: the
    /// real server would lose one of them. An answer that a fault held back longer than the worker waits
    /// looks the same.
    pub fn overlapping_writes(&self) -> Vec<(u64, u64)> {
        let mut last: BTreeMap<&str, &Call> = BTreeMap::new();
        let mut pairs = Vec::new();
        let writes = self.calls.iter().filter(|call| call.method == "PATCH");
        for call in writes {
            if let Some(before) = last.insert(&call.path, call)
                && before.answered_at.is_some_and(|answered| call.at < answered)
            {
                pairs.push((before.seq, call.seq));
            }
        }
        pairs
    }
}
