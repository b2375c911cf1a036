//! The other way to the server: calls over a WebSocket that a source keeps open, where the server knows how.
//!
//! A call that was handed over and not answered may have been done or not, as over HTTP. One that cannot be handed over
//! goes over HTTP.

use tokio::sync::{mpsc, oneshot};

use super::failure::CallFailure;
use crate::wire::uplink::{AnswerHead, CallHead};

/// How many calls may wait to be sent.
const QUEUE: usize = 64;

/// The caller's side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uplink {
    calls: mpsc::Sender<Outgoing>,
}

/// A call on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// Its head; the number is given when it is sent.
    pub call: CallHead,
    /// Its body.
    pub body: Vec<u8>,
    /// Where its answer goes.
    pub answer: oneshot::Sender<(AnswerHead, Vec<u8>)>,
}

/// The side that sends.
#[derive(Debug)]
pub struct Calls(mpsc::Receiver<Outgoing>);

impl Uplink {
    /// Both sides.
    #[must_use]
    pub fn new() -> (Self, Calls) {
        let (calls, outgoing) = mpsc::channel(QUEUE);
        (Self { calls }, Calls(outgoing))
    }

    /// Calls. Gives the body back where there is no way any more.
    pub(super) async fn call(
        &self,
        call: CallHead,
        body: Vec<u8>,
    ) -> Result<Result<(AnswerHead, Vec<u8>), CallFailure>, Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        if let Err(mpsc::error::SendError(outgoing)) = self.calls.send(Outgoing { call, body, answer }).await {
            return Err(outgoing.body);
        }
        Ok(answered.await.map_err(|_| CallFailure::NoAnswer("the WebSocket connection was lost".to_owned())))
    }
}

impl Calls {
    /// The next call; nothing when nobody will make one.
    pub async fn next(&mut self) -> Option<Outgoing> {
        self.0.recv().await
    }
}
