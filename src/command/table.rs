//! Output of answers: tables for people, JSON for programs.

use std::fmt::Write as _;

use chrono::{DateTime, Local};
use serde::Serialize;

use super::exit::{CommandFailure, FAILURE, print};

#[cfg(test)]
mod tests;

/// Longest text of a cell in characters; the rest is cut off.
const MAX_CELL: usize = 60;

/// Prints an answer as indented JSON.
///
/// # Errors
/// If stdout cannot be written.
pub fn json(answer: &impl Serialize) -> Result<(), CommandFailure> {
    let text = serde_json::to_string_pretty(answer).map_err(|e| CommandFailure::of(FAILURE, &e))?;
    print(&format!("{text}\n"))
}

/// Formats rows under their headings, each column as wide as its longest cell.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(cells).collect();
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        // The last column is padded like the others; its trailing spaces are removed.
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(headings);
    for row in &rows {
        line(std::array::from_fn(|at| row[at].as_str()));
    }
    text
}

/// Shortens all cells but the last, which has nothing behind it.
fn cells<const N: usize>(row: &[String; N]) -> [String; N] {
    std::array::from_fn(|at| if at + 1 == N { shown(&row[at]) } else { cut(&shown(&row[at])) })
}

/// Escapes control characters: the text stays on one line and cannot control the terminal.
pub fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Shortens a text to the width of a cell.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Formats a timestamp in the local time of this machine.
pub fn local(text: &str) -> String {
    DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| text.to_owned(), |at| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// Returns the text, or a dash if it is missing.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// Formats the time between two timestamps, if both are known.
pub fn between(from: Option<&str>, to: Option<&str>) -> Option<String> {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    // Clocks of worker and server may differ, so a run can appear to end before it began.
    let millis = (parse(to?)? - parse(from?)?).num_milliseconds().max(0);
    let seconds = millis / 1000;
    Some(match seconds {
        0..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    })
}
