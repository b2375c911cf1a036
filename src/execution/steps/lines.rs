//! Lines of a program's output: told apart as the bytes arrive, and bounded. Pure.

#[cfg(test)]
mod tests;

/// Most bytes of a line; the rest is left out.
pub(super) const MAX_LINE: usize = 64 * 1024;
/// Mark at the end of a line of which something was left out.
pub(super) const CUT: &str = " [the rest of the line was left out]";

/// Splitter of output into lines.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
    /// Whether the rest of the line is left out.
    is_cut: bool,
}

impl LineSplitter {
    /// Takes in bytes and returns the lines that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = MAX_LINE - self.pending.len();
            self.pending.extend_from_slice(&text[..text.len().min(room)]);
            self.is_cut |= text.len() > room;
            if ends {
                lines.extend(self.take());
            }
        }
        lines
    }

    /// Returns the last line, which nothing ends.
    pub(super) fn rest(&mut self) -> Option<String> {
        if self.pending.is_empty() { None } else { self.take() }
    }

    fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.pending);
        let mut line = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
        if std::mem::take(&mut self.is_cut) {
            line.push_str(CUT);
        }
        Some(line)
    }
}
