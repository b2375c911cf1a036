//! Bodies: one that is read must keep a pace, and the end of one that is sent is noted.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::peer::HttpPeer;

/// How many bytes a second a body must have on average, besides the time that any may take.
const PACE: u64 = 4096;

/// Why a body is not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It comes too slowly.
    #[error("the body comes too slowly")]
    TooSlow,
    /// The connection is gone, or what comes is no body.
    #[error("the body cannot be read")]
    Broken(#[from] hyper::Error),
}

/// Why there is no body to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than is taken.
    TooLong,
    /// It comes too slowly, or not to its end.
    TooSlow,
}

/// Reads a body of so many bytes at most.
///
/// # Errors
/// Why it was not read to its end.
pub async fn read_body(body: Body, most: usize) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > most as u64 {
        return Err(Unread::TooLong);
    }
    axum::body::to_bytes(body, most).await.map_err(|e| if is_too_slow(&e) { Unread::TooSlow } else { Unread::TooLong })
}

/// Whether a body could not be read because of who sends it, and not because of its length.
pub fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<BodyError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The body of a request.
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
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(e))) => Poll::Ready(Some(Err(e.into()))),
            Poll::Ready(None) => {
                self.peer.read_whole();
                Poll::Ready(None)
            }
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

/// The body of an answer. When it is dropped, the connection is idle again.
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
    /// That of an answer after which there is no more HTTP on the connection rests never.
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
