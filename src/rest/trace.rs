//! Whether somebody else works with our key at a server that does not tell workers of one key apart. Pure.
//!
//! The server keeps when a worker last answered a ping. What it shows before our next answer is what it showed behind our
//! last one, unless somebody else has answered in between.

use serde_json::Value;

#[cfg(test)]
mod tests;

/// What the server showed behind our last answer.
#[derive(Debug, Default)]
pub struct Trace {
    left: Option<Value>,
    is_told: bool,
}

impl Trace {
    /// An answer is about to be written over what is shown; what it leaves is unknown until it is seen. Whether somebody
    /// else has answered, if that was not told before.
    pub fn before_answer(&mut self, shown: Option<Value>) -> bool {
        let (left, shown) = (self.left.take(), shown);
        let is_news = left.is_some() && shown.is_some() && left != shown && !self.is_told;
        self.is_told |= is_news;
        is_news
    }

    /// Our answer was taken, and this is shown now.
    pub fn behind_answer(&mut self, shown: Option<Value>) {
        self.left = shown;
    }
}
