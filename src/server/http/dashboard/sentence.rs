//! Sentences with links: the runs and jobs that a text names become links, and its timestamps are shown in the reader's
//! zone. Pure.

use chrono::DateTime;
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::format::time;
use super::template::fill;
use crate::wire::reference;

#[cfg(test)]
mod tests;

/// Renders a sentence with links in place of `run 5` and `job #7`, and `<time>` in place of RFC 3339 timestamps.
pub(super) fn sentence(text: &str, zone: Tz) -> Value {
    fill("sentence", context!(pieces => pieces(text, zone)))
}

/// Splits a sentence into plain text, links and times.
fn pieces(text: &str, zone: Tz) -> Vec<Value> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut before = "";
    for word in text.split_inclusive(' ') {
        // Punctuation after a number or a time belongs to the sentence, not to the link.
        let bare = word.trim_end().trim_end_matches([',', ';', ':', '.']);
        let rest = &word[bare.len()..];
        let path = match before {
            "run" => Some("runs"),
            "job" => Some("jobs"),
            _ => None,
        };
        let number = reference::number(bare);
        let said = match (path.zip(number), DateTime::parse_from_rfc3339(bare)) {
            (Some((path, number)), _) => Some(context!(text => number, path)),
            (None, Ok(at)) => Some(context!(time => time(at.to_utc(), zone))),
            (None, Err(_)) => None,
        };
        match said {
            Some(said) => {
                if !plain.is_empty() {
                    pieces.push(context!(text => std::mem::take(&mut plain)));
                }
                pieces.push(said);
                plain.push_str(rest);
            }
            None => plain.push_str(word),
        }
        before = bare;
    }
    if !plain.is_empty() {
        pieces.push(context!(text => plain));
    }
    pieces
}
