//! What the stub knows: runs, kill requests, and who waits for what.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::moment::Moment;

/// A run; it is the job of the same number too. Moments are 0 until something happens.
#[derive(Clone, Debug)]
pub struct RunRow {
    pub script: Arc<str>,
    pub announced: Moment,
    pub claimed: Moment,
    pub started: Moment,
    pub logged: Moment,
    pub returned: Moment,
    /// What the script says of itself, in lines `S=` and `E=` with the seconds since 1970.
    pub script_began: Moment,
    pub script_ended: Moment,
    pub heard_enqueued: Moment,
    pub heard_started: Moment,
    pub heard_returned: Moment,
    pub pid: Option<i32>,
    pub success: Option<bool>,
    pub log_bytes: usize,
    pub starts: u32,
    pub returns: u32,
}

/// A kill request.
#[derive(Clone, Debug)]
pub struct KillRow {
    pub run: usize,
    pub claimed: Moment,
    pub executed: Moment,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pings that were answered.
    pub answers: usize,
    /// Runs with a pid.
    pub pids: usize,
    pub logged: usize,
    pub returned: usize,
    /// Kill requests that were executed.
    pub executed: usize,
    /// Events that say that a run returned.
    pub heard: usize,
    /// REST calls.
    pub calls: usize,
    /// ... that were not signed as they must be.
    pub unsigned: usize,
    /// ... that asked for what is not there, or cannot be.
    pub refused: usize,
}

/// Who waits, and for what.
type Awaited = (Box<dyn Fn(&Counts) -> bool + Send>, oneshot::Sender<()>);

/// Everything.
#[derive(Default)]
pub struct Ledger {
    pub runs: Vec<RunRow>,
    pub kills: Vec<KillRow>,
    pub counts: Counts,
    awaited: Option<Awaited>,
}

impl Ledger {
    pub fn add_run(&mut self, script: &Arc<str>) -> usize {
        self.runs.push(RunRow {
            script: Arc::clone(script),
            announced: 0,
            claimed: 0,
            started: 0,
            logged: 0,
            returned: 0,
            script_began: 0,
            script_ended: 0,
            heard_enqueued: 0,
            heard_started: 0,
            heard_returned: 0,
            pid: None,
            success: None,
            log_bytes: 0,
            starts: 0,
            returns: 0,
        });
        self.runs.len() - 1
    }

    pub fn add_kill(&mut self, run: usize) -> usize {
        self.kills.push(KillRow { run, claimed: 0, executed: 0 });
        self.kills.len() - 1
    }

    /// Changes something, and wakes who waits for what holds then.
    pub fn change<R>(&mut self, act: impl FnOnce(&mut Self) -> R) -> R {
        let done = act(self);
        if self.awaited.as_ref().is_some_and(|(holds, _)| holds(&self.counts)) {
            let woken = self.awaited.take().map(|(_, who)| who.send(()));
            // Who does not wait any more needs no waking.
            let _ = woken;
        }
        done
    }

    /// Something that is told as soon as this holds. One waits at a time.
    pub fn awaited(&mut self, holds: impl Fn(&Counts) -> bool + Send + 'static) -> oneshot::Receiver<()> {
        let (who, told) = oneshot::channel();
        self.awaited = Some((Box::new(holds), who));
        self.change(|_| ());
        told
    }
}
