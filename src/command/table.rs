//! Tables for people, JSON for programs.

use std::fmt::Write as _;

use chrono::{DateTime, Local};
use serde::Serialize;

use super::exit::{CommandFailure, FAILURE, print};

#[cfg(test)]
mod tests;

/// The longest text of a cell, in characters; what is longer is cut.
const CELL: usize = 60;

/// Prints an answer as JSON.
///
/// # Errors
/// That it cannot be written.
pub fn json(answer: &impl Serialize) -> Result<(), CommandFailure> {
    let text = serde_json::to_string_pretty(answer).map_err(|e| CommandFailure::of(FAILURE, &e))?;
    print(&format!("{text}\n"))
}

/// Rows under their headings, as wide as they have to be.
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
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(headings);
    for row in &rows {
        line(std::array::from_fn(|at| row[at].as_str()));
    }
    text
}

/// The last cell may be as long as it is: nothing stands behind it.
fn cells<const N: usize>(row: &[String; N]) -> [String; N] {
    std::array::from_fn(|at| if at + 1 == N { shown(&row[at]) } else { cut(&shown(&row[at])) })
}

/// A text on one line that does nothing to a terminal.
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

/// A text that is not too wide for a table.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An instant as people of this machine read it.
pub fn local(text: &str) -> String {
    DateTime::parse_from_rfc3339(text)
        .map_or_else(|_| text.to_owned(), |at| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
}

/// What may be missing.
pub fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// The time between two instants, as far as both are known.
pub fn between(from: Option<&str>, to: Option<&str>) -> Option<String> {
    let parse = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    let millis = (parse(to?)? - parse(from?)?).num_milliseconds().max(0);
    let seconds = millis / 1000;
    Some(match seconds {
        0..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    })
}
