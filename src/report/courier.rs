//! Courier of one run: reports its start, its log and its result, in this order.
//!
//! A courier makes one call at a time, so two writes of one run are never under way together. A failure of its run or
//! of the connection delays no other run. After the accepted result no call is made any more.
//!
//! The loop here is the same for every upstream: it takes in the events of the run, and waits. What is called when, and
//! what follows from an answer, is decided by a [`Protocol`], one for each kind of upstream.

pub(super) mod flamenco;
pub(super) mod job_runner;
mod run_facts;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use super::courier_request::DeliveryEvent;
use super::reporter_shared::ReporterShared;

pub(super) use run_facts::RunFacts;

#[cfg(test)]
mod tests;

/// Least that is left of a pause by a server that is back: it may take the reports of other runs, and not of this one.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Way in which one kind of upstream is told of a run.
pub(super) trait Protocol {
    /// Call that can be made to the upstream.
    type Call;

    /// Returns the facts about the run.
    fn facts(&self) -> &RunFacts;

    /// Takes in an event of the run.
    fn learn(&mut self, event: DeliveryEvent);

    /// Decides what is done next.
    fn next(&self) -> Next<Self::Call>;

    /// Makes a call and draws the consequences. Returns the pause before the next step, if there is to be one.
    fn perform(&mut self, call: Self::Call) -> impl Future<Output = Option<Pause>> + Send;
}

/// Next step of a courier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<C> {
    /// Make this call to the upstream.
    Call(C),
    /// Wait for an event of the run, at most until this instant.
    Wait(Option<Instant>),
    /// Remove what is stored of the run, and end.
    Forget,
}

/// Pause after a call. A retry that the operator asks for ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Pause of this duration.
    For(Duration),
    /// Pause of this duration, and then until it is this run's turn among those whose reports were rejected.
    UntilTurn(Duration),
}

/// Courier of one run.
pub(super) struct Courier<P> {
    protocol: P,
    shared: Arc<ReporterShared>,
    events: mpsc::Receiver<DeliveryEvent>,
    /// Tells when the upstream takes reports again.
    recoveries: watch::Receiver<()>,
    /// Turn among the runs that are delivered at once; `None` where none is needed, or after something went wrong.
    turn: Option<OwnedSemaphorePermit>,
}

impl<P: Protocol> Courier<P> {
    pub(super) fn new(protocol: P, events: mpsc::Receiver<DeliveryEvent>, turn: Option<OwnedSemaphorePermit>) -> Self {
        let shared = Arc::clone(&protocol.facts().shared);
        Self { recoveries: shared.recipient.health().recoveries(), protocol, shared, events, turn }
    }

    /// Delivers until everything is reported, or until the run's side is dropped before its end.
    pub(super) async fn deliver(mut self) {
        loop {
            while let Ok(event) = self.events.try_recv() {
                self.protocol.learn(event);
            }
            match self.protocol.next() {
                Next::Forget => return self.protocol.facts().forget().await,
                _ if self.shared.leave.is_cancelled() => return,
                Next::Wait(until) => {
                    if !self.wait(until).await {
                        return;
                    }
                }
                Next::Call(call) => {
                    // What comes during the call counts: its failure may be older.
                    self.recoveries.mark_unchanged();
                    match self.protocol.perform(call).await {
                        None => {}
                        Some(Pause::For(pause)) => self.pause(pause).await,
                        Some(Pause::UntilTurn(pause)) => {
                            self.pause(pause).await;
                            self.shared.wait_for_retry_turn().await;
                        }
                    }
                }
            }
        }
    }

    /// Waits for an event of the run, or for an instant. Returns false where no event can come any more.
    async fn wait(&mut self, until: Option<Instant>) -> bool {
        let timer = async {
            match until {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.events.recv() => match event {
                Some(event) => self.protocol.learn(event),
                None => return false,
            },
            () = timer => {}
            () = self.shared.leave.cancelled() => {}
        }
        true
    }

    /// Waits, and takes in events meanwhile. A retry that the operator asks for ends the wait, and so does a server that
    /// is back: what waits for the result should not wait longer than the server was away.
    async fn pause(&mut self, pause: Duration) {
        // A courier that has to wait makes room for another run.
        self.turn = None;
        let mut retries = self.shared.turns.retries.subscribe();
        let (begun, over) = (Instant::now(), tokio::time::sleep(pause));
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(event) = self.events.recv() => self.protocol.learn(event),
                Ok(()) = retries.changed() => return,
                Ok(()) = self.recoveries.changed() => {
                    let least = pause.min(LEAST_PAUSE);
                    over.as_mut().reset((begun + least).max(Instant::now()));
                }
                () = self.shared.leave.cancelled() => return,
            }
        }
    }
}
