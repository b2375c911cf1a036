//! Sentences as HTML: the runs and jobs that a sentence names become links, and its times are shown in the reader's
//! zone. Pure.

use chrono_tz::Tz;
use minijinja::{Value, context};

use super::format::time;
use super::template::fill;
use crate::server::domain::sentence::{Piece, Sentence};

#[cfg(test)]
mod tests;

/// Renders a sentence with its links and times.
pub(super) fn sentence(sentence: &Sentence, zone: Tz) -> Value {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => context!(text),
        Piece::Run(run) => context!(text => run.get(), path => "runs"),
        Piece::Job(job) => context!(text => job.get(), path => "jobs"),
        Piece::Time(at) => context!(time => time(*at, zone)),
    };
    fill("sentence", context!(pieces => sentence.pieces().iter().map(piece).collect::<Vec<_>>()))
}
