//! Bodies: `PacedBody` enforces a minimum pace on requests, and `AnswerBody` notes when a response has been sent.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::peer::HttpPeer;

/// Average pace in bytes per second that a request body must keep, beyond the time that every body may take.
const PACE: u64 = 4096;

/// Reason why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Fewer bytes have arrived than the pace asks for.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The connection is gone, or the bytes are not a valid HTTP body.
    #[error("the body cannot be read")]
    Broken(#[from] hyper::Error),
}

/// Reason why [`read_body`] has no body to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The body is longer than the caller's limit, in bytes.
    TooLong,
    /// The body comes too slowly, or breaks off before its end.
    TooSlow,
}

/// Reads a body of at most `most` bytes into memory.
///
/// # Errors
/// If the body is longer, too slow, or breaks off.
pub async fn read_body(body: Body, most: usize) -> Result<Bytes, Unread> {
    // A declared length is refused before anything is read.
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLong);
    }
    axum::body::to_bytes(body, most).await.map_err(|e| if is_too_slow(&e) { Unread::TooSlow } else { Unread::TooLong })
}

/// Whether an error comes from a body that was too slow or broken, rather than too long. A worker sends a log again
/// after a 408, but never after a 413, so the two must not be confused.
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    // axum and hyper wrap the error of a body, so it is looked for in the whole chain.
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<BodyError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Body of a request. Its deadline moves on with every byte read, at [`PACE`].
pub(super) struct PacedBody {
    body: Incoming,
    peer: HttpPeer,
    began: Instant,
    timeout: Duration,
    read: u64,
    alarm: Pin<Box<Sleep>>,
}

impl PacedBody {
    pub(super) fn new(body: Incoming, peer: HttpPeer, timeout: Duration) -> Self {
        let began = Instant::now();
        let alarm = Box::pin(tokio::time::sleep_until(began + timeout));
        Self { body, peer, began, timeout, read: 0, alarm }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.read += frame.data_ref().map_or(0, |data| data.len() as u64);
                let until = self.began + self.timeout + Duration::from_secs(self.read / PACE);
                self.alarm.as_mut().reset(until);
                if self.body.is_end_stream() {
                    self.peer.read_whole();
                }
                // A reader of a body of known length may stop at the last frame, without polling for the final `None`.
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(e))) => Poll::Ready(Some(Err(e.into()))),
            Poll::Ready(None) => {
                self.peer.read_whole();
                Poll::Ready(None)
            }
            // Only a body without data at hand can be late. Polling the alarm here also registers its waker.
            Poll::Pending => match self.alarm.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::TooSlow))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Body of a response. When it is dropped, the connection counts as idle again.
pub(super) struct AnswerBody {
    body: Body,
    _rests: Option<Rests>,
}

struct Rests(HttpPeer);

impl Drop for Rests {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl AnswerBody {
    /// Wraps the body of a response. After an upgrade, no further HTTP follows on the connection, so it never becomes
    /// idle.
    pub(super) fn new(body: Body, peer: &HttpPeer, upgrades: bool) -> Self {
        Self { body, _rests: (!upgrades).then(|| Rests(peer.clone())) }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
