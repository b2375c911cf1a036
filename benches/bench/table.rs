//! The figures as a table: for the terminal, as reStructuredText, as JSON. Pure.

use std::fmt::Write as _;

use serde_json::json;

use super::figures::{Figures, Summary};
use super::rows::{Goal, ROWS, Row};

/// How many columns a row has.
const COLUMNS: usize = 7;
const HEADS: [&str; COLUMNS] = ["figure", "goal", "median", "min .. max", "original", "ours to it", ""];

fn columns(figures: &Figures, row: &Row) -> Option<[String; COLUMNS]> {
    let ours = figures.summary(row.key)?;
    let original = figures.summary(&format!("original.{}", row.key));
    let verdict = row.goal.is_met(ours.median).map_or("", |is_met| if is_met { "met" } else { "missed" });
    Some([
        row.what.to_owned(),
        goal(row),
        with_unit(ours.median, row.unit),
        spread(ours),
        original.map_or_else(String::new, |original| with_unit(original.median, row.unit)),
        original.map_or_else(String::new, |original| ratio(ours.median, original.median)),
        verdict.to_owned(),
    ])
}

/// What is asked of a row.
pub fn goal(row: &Row) -> String {
    match row.goal {
        Goal::AtLeast(value) => format!("≥ {value}"),
        Goal::AtMost(value) => format!("≤ {value}"),
        Goal::LessThan(value) => format!("< {value}"),
        Goal::None => String::new(),
    }
}

/// A value as it is shown.
pub fn with_unit(value: f64, unit: &str) -> String {
    format!("{} {unit}", number(value)).trim_end().to_owned()
}

/// How many times as much as the original's.
fn ratio(ours: f64, original: f64) -> String {
    if original > 0.0 { format!("× {}", number(ours / original)) } else { String::new() }
}

fn spread(of: Summary) -> String {
    format!("{} .. {}", number(of.min), number(of.max))
}

/// Three digits that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn lines(figures: &Figures) -> Vec<[String; COLUMNS]> {
    ROWS.iter().filter_map(|row| columns(figures, row)).collect()
}

fn widths(lines: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    std::array::from_fn(|at| {
        let cells = lines.iter().map(|line| line[at].chars().count());
        cells.chain([HEADS[at].chars().count(), 1]).max().unwrap_or(1)
    })
}

fn line(cells: [&str; COLUMNS], widths: [usize; COLUMNS]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

fn cells(line: &[String; COLUMNS]) -> [&str; COLUMNS] {
    std::array::from_fn(|at| line[at].as_str())
}

/// For the terminal.
pub fn text(figures: &Figures) -> String {
    let lines = lines(figures);
    let widths = widths(&lines);
    let mut text = line(HEADS, widths) + "\n";
    for row in &lines {
        text += &(line(cells(row), widths) + "\n");
    }
    text
}

/// As a simple table of reStructuredText.
pub fn rst(figures: &Figures) -> String {
    let lines = lines(figures);
    let widths = widths(&lines);
    let rule = widths.map(|width| "=".repeat(width)).join("  ");
    let mut text = format!("{rule}\n{}\n{rule}\n", line(HEADS, widths));
    for row in &lines {
        // A row whose first cell is empty would continue the one above.
        let mut row = row.clone();
        if row[0].is_empty() {
            "\\".clone_into(&mut row[0]);
        }
        let _ = writeln!(text, "{}", line(cells(&row), widths));
    }
    text + &rule + "\n"
}

/// The lines of a document between which a table stands.
const BEGIN: &str = ".. The figures begin: written by ./bench --record";
const END: &str = ".. The figures end";

/// The document with this between the lines that are made for it; nothing where it has none.
pub fn placed(document: &str, figures: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{figures}\n{END}{after}"))
}

/// All figures of all repeats.
pub fn json(figures: &Figures) -> String {
    let all = json!({"figures": figures.all(), "failures": figures.failures});
    format!("{all:#}\n")
}
