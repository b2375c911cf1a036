//! Terminal of one line: turns the bytes of a log into the lines that a screen would show. Pure.
//!
//! The parser of [`vte`] recognises escape sequences as real terminals do. This module keeps the line they write on: a
//! carriage return and a backspace move the cursor, characters that are printed afterwards replace those at the cursor,
//! and SGR sequences set the style of characters. Sequences that would reach beyond the line (cursor up, clear screen,
//! titles, links, character sets) have no effect and never show as text.

mod rows;
mod style;

#[cfg(test)]
mod tests;

use vte::{Params, Parser, Perform};

pub use rows::{Rows, rows};
pub use style::{Colour, Style};

/// Maximum number of characters of a line that are kept, whatever a log holds; those beyond are counted.
pub const COLUMNS: usize = 10_000;
/// Maximum number of styles of one line; further ones show as the last of them. A line of every colour has fewer.
const LOOKS: usize = 4096;
const TAB: usize = 8;

/// Neighbouring characters of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Characters of the span.
    pub text: String,
    /// Style of the characters.
    pub look: Style,
}

/// Line as it stands on the screen when the next one begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Spans of the line, from left to right.
    pub spans: Vec<Span>,
    /// Number of characters that were printed beyond the last column and are not kept.
    pub cut: u64,
}

impl Row {
    /// Returns the characters without their styles.
    #[must_use]
    pub fn text(&self) -> String {
        self.spans.iter().map(|span| span.text.as_str()).collect()
    }
}

/// Terminal that reads a log byte by byte and returns each line as it ends.
pub struct Terminal {
    parser: Parser,
    line: Line,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("line", &self.line).finish_non_exhaustive()
    }
}

impl Terminal {
    /// Creates an empty line that keeps so many columns.
    #[must_use]
    pub fn new(columns: usize) -> Self {
        Self { parser: Parser::new(), line: Line { columns, ..Line::default() } }
    }

    /// Reads bytes up to and with the first end of a line, or all of them. Returns how many were read, and the line if
    /// it ended.
    pub fn read(&mut self, bytes: &[u8]) -> (usize, Option<Row>) {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            self.parser.advance(&mut self.line, bytes);
            return (bytes.len(), None);
        };
        self.parser.advance(&mut self.line, &bytes[..end]);
        (end + 1, Some(self.end_line()))
    }

    /// Ends the line and returns it. Its style goes on in the next line; an escape sequence that is incomplete does
    /// not.
    pub fn end_line(&mut self) -> Row {
        // An escape sequence without an end, such as a title, must not swallow the lines that follow.
        self.parser = Parser::new();
        self.line.take()
    }

    /// Returns the number of characters on the line.
    #[must_use]
    pub fn width(&self) -> usize {
        self.line.cells.len()
    }

    /// Returns the characters on the line, and removes all but the last `keep` of them.
    pub fn shift(&mut self, keep: usize) -> String {
        let text = self.line.cells.iter().map(|cell| cell.character).collect();
        let gone = self.line.cells.len().saturating_sub(keep);
        self.line.cells.drain(..gone);
        self.line.cursor = self.line.cursor.saturating_sub(gone);
        text
    }
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    character: char,
    /// Index into the styles of the line.
    look: u16,
}

#[derive(Debug, Default)]
struct Line {
    columns: usize,
    cells: Vec<Cell>,
    /// Column at which the next character is printed; at most `columns`.
    cursor: usize,
    /// Styles on this line; the last ones may be unused.
    looks: Vec<Style>,
    /// Style of the next character.
    look: Style,
    cut: u64,
}

impl Line {
    fn take(&mut self) -> Row {
        let mut spans: Vec<Span> = Vec::new();
        for cell in self.cells.drain(..) {
            let look = self.looks.get(usize::from(cell.look)).copied().unwrap_or_default();
            match spans.last_mut() {
                Some(span) if span.look == look => span.text.push(cell.character),
                _ => spans.push(Span { text: cell.character.into(), look }),
            }
        }
        self.looks.clear();
        self.cursor = 0;
        Row { spans, cut: std::mem::take(&mut self.cut) }
    }

    /// Returns the index of the present style on this line.
    fn look_number(&mut self) -> u16 {
        // Styles change rarely, so the present one is mostly the last.
        let known = self.looks.iter().rposition(|look| *look == self.look);
        let number = known.unwrap_or_else(|| {
            if self.looks.len() < LOOKS {
                self.looks.push(self.look);
            }
            self.looks.len() - 1
        });
        u16::try_from(number).unwrap_or(u16::MAX)
    }

    fn put(&mut self, character: char) {
        if self.cursor >= self.columns {
            // Characters beyond the last column cannot be reached by the cursor, so counting them is enough.
            self.cut += 1;
            return;
        }
        let cell = Cell { character, look: self.look_number() };
        self.fill_to(self.cursor);
        match self.cells.get_mut(self.cursor) {
            Some(place) => *place = cell,
            None => self.cells.push(cell),
        }
        self.cursor += 1;
    }

    /// Fills the line with blanks up to a column, where the cursor was moved beyond the written characters.
    fn fill_to(&mut self, column: usize) {
        if self.cells.len() < column {
            let look = self.blank_look();
            self.cells.resize(column.min(self.columns), Cell { character: ' ', look });
        }
    }

    fn blank_look(&mut self) -> u16 {
        // A blank has the plain style, not the present one: no background colour spills into it.
        let look = std::mem::take(&mut self.look);
        let number = self.look_number();
        self.look = look;
        number
    }

    fn move_to(&mut self, column: usize) {
        self.cursor = column.min(self.columns);
    }

    /// Prints a tab. At the end of the line it is kept as a character, so that a copy of the text has it; over existing
    /// characters it only moves the cursor.
    fn tab(&mut self) {
        if self.cursor >= self.cells.len() {
            self.put('\t');
        } else {
            self.move_to((self.cursor / TAB + 1) * TAB);
        }
    }

    fn blank(&mut self, from: usize, to: usize) {
        let to = to.min(self.cells.len());
        let look = self.blank_look();
        if from < to {
            self.cells[from..to].fill(Cell { character: ' ', look });
        }
    }

    /// Erases as EL does, and as ED does to the line of the cursor.
    fn erase(&mut self, how: usize) {
        match how {
            0 => self.cells.truncate(self.cursor),
            // EL 1 erases the character under the cursor, too.
            1 => self.blank(0, self.cursor + 1),
            2 | 3 => self.cells.clear(),
            _ => {}
        }
    }

    fn delete(&mut self, count: usize) {
        if self.cursor < self.cells.len() {
            let end = self.cursor.saturating_add(count).min(self.cells.len());
            self.cells.drain(self.cursor..end);
        }
    }

    fn insert(&mut self, count: usize) {
        if self.cursor < self.cells.len() {
            let look = self.blank_look();
            let blanks = std::iter::repeat_n(Cell { character: ' ', look }, count.min(self.columns - self.cursor));
            self.cells.splice(self.cursor..self.cursor, blanks);
            // Characters that are pushed beyond the last column are lost, as on a screen.
            self.cells.truncate(self.columns);
        }
    }
}

/// Returns the first parameter of a sequence, or `default` where it is left out.
fn first(params: &Params, default: usize) -> usize {
    params.iter().next().and_then(|param| param.first()).map_or(default, |number| usize::from(*number))
}

impl Perform for Line {
    fn print(&mut self, c: char) {
        self.put(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.cursor = 0,
            0x08 => self.cursor = self.cursor.saturating_sub(1),
            b'\t' => self.tab(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        // A sequence with intermediates is a private or rare one with the same final byte, and means something else.
        if ignore || !intermediates.is_empty() {
            return;
        }
        // Terminals read a count of 0 as 1.
        let count = first(params, 1).max(1);
        match action {
            'm' => self.look.change(params.iter()),
            // On a single line, erasing the screen is erasing the line.
            'K' | 'J' => self.erase(first(params, 0)),
            'C' | 'a' => self.move_to(self.cursor.saturating_add(count)),
            'D' => self.cursor = self.cursor.saturating_sub(count),
            // Terminals count columns from 1.
            'G' | '`' => self.move_to(count - 1),
            'P' => self.delete(count),
            'X' => self.blank(self.cursor, self.cursor.saturating_add(count)),
            '@' => self.insert(count),
            _ => {}
        }
    }
}
