//! Trace of other workers: finds out whether another worker uses the same API key at a server that does not tell
//! instances apart. Pure.
//!
//! The server keeps the time at which a worker last answered a ping. Before the next answer it shows the same time as
//! after the last one, unless another worker has answered in between.

use serde_json::Value;

#[cfg(test)]
mod tests;

/// Time that the server showed after the last answer of this worker.
#[derive(Debug, Default)]
pub struct Trace {
    left: Option<Value>,
    is_told: bool,
}

impl Trace {
    /// Records that an answer is about to be written; the time that it leaves is unknown until it is read. `shown` is
    /// the time before the answer. Returns true where another worker has answered and that was not reported before.
    pub fn before_answer(&mut self, shown: Option<Value>) -> bool {
        let (left, shown) = (self.left.take(), shown);
        let is_news = left.is_some() && shown.is_some() && left != shown && !self.is_told;
        self.is_told |= is_news;
        is_news
    }

    /// Records the time that is shown after the answer was taken.
    pub fn behind_answer(&mut self, shown: Option<Value>) {
        self.left = shown;
    }
}
