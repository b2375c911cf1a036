//! Sentences in which runs and jobs are named: the names lead there, and times are the reader's. Pure.

use chrono::DateTime;
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::shown::time;
use super::template::fill;
use crate::wire::reference;

#[cfg(test)]
mod tests;

/// A sentence with what is named in it.
pub(super) fn sentence(text: &str, zone: Tz) -> Value {
    fill("sentence", context!(pieces => pieces(text, zone)))
}

/// The pieces of a sentence, each with its text and where it leads, or a time.
fn pieces(text: &str, zone: Tz) -> Vec<Value> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut before = "";
    for word in text.split_inclusive(' ') {
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
