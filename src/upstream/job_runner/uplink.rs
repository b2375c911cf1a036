//! Uplink: carries calls over the WebSocket that a source keeps open, where the server supports it.
//!
//! A call that was handed over and not answered may have been carried out or not, as over HTTP. A call that cannot be
//! handed over goes over HTTP.

use tokio::sync::{mpsc, oneshot};

use crate::upstream::failure::CallFailure;
use crate::wire::uplink::{AnswerHead, CallHead, UplinkVersion};

/// Most calls that may wait to be sent.
const QUEUE: usize = 64;

/// Handle of the callers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uplink {
    version: UplinkVersion,
    calls: mpsc::Sender<Outgoing>,
}

/// Call on its way to the WebSocket, with the place for its answer.
#[derive(Debug)]
pub struct Outgoing {
    /// Head of the call; its number is set when it is sent.
    pub call: CallHead,
    /// Body of the call, as over HTTP.
    pub body: Vec<u8>,
    /// Channel for the head and the body of the answer.
    pub answer: oneshot::Sender<(AnswerHead, Vec<u8>)>,
}

/// Receiving half, held by the task that sends the calls.
#[derive(Debug)]
pub struct Calls(mpsc::Receiver<Outgoing>);

impl Uplink {
    /// Makes a handle and its receiving half, for a connection that speaks this version.
    #[must_use]
    pub fn new(version: UplinkVersion) -> (Self, Calls) {
        let (calls, outgoing) = mpsc::channel(QUEUE);
        (Self { version, calls }, Calls(outgoing))
    }

    /// Returns the version that the connection speaks.
    pub(super) fn version(&self) -> UplinkVersion {
        self.version
    }

    /// Makes a call and waits for the answer. Returns the body where the connection is gone and the call was not handed
    /// over.
    pub(super) async fn call(
        &self,
        call: CallHead,
        body: Vec<u8>,
    ) -> Result<Result<(AnswerHead, Vec<u8>), CallFailure>, Vec<u8>> {
        let (answer, answered) = oneshot::channel();
        if let Err(mpsc::error::SendError(outgoing)) = self.calls.send(Outgoing { call, body, answer }).await {
            // Never handed over, so the call may still go over HTTP.
            return Err(outgoing.body);
        }
        Ok(answered.await.map_err(|_| CallFailure::NoAnswer("the WebSocket connection was lost".to_owned())))
    }
}

impl Calls {
    /// Returns the next call, or `None` once every handle is dropped.
    pub async fn next(&mut self) -> Option<Outgoing> {
        self.0.recv().await
    }

    /// Returns the next call if one waits already.
    pub fn try_next(&mut self) -> Option<Outgoing> {
        self.0.try_recv().ok()
    }
}
