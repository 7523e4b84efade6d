//! What a process says, line by line.
//!
//! Never keeps a line longer than [`MAX_LINE`] and never stops reading: a full pipe would stop the process. Invariant: lines
//! come in the order of their stream; a longer one is left out whole.

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Longest line that is taken. A progress line has about 1 kB.
const MAX_LINE: usize = 256 * 1024;

/// Lines of a stream.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), too_long: false }
    }

    /// The next line without its end; none at the end of the stream, or when it cannot be read. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<String> {
        loop {
            let read = self.reader.fill_buf().await.ok()?;
            if read.is_empty() {
                if self.line.is_empty() || self.too_long {
                    return None;
                }
                return Some(self.take());
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let piece = &read[..end.unwrap_or(read.len())];
            if self.line.len() + piece.len() > MAX_LINE {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            let used = end.map_or(read.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                if !std::mem::take(&mut self.too_long) {
                    return Some(self.take());
                }
                self.line.clear();
            }
        }
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
        self.line.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_endless_ones_are_left_out() {
        let long = "x".repeat(MAX_LINE + 1);
        let text = format!("one\r\n{long}\ntwo\n\n{long}{long}\nlast");
        let mut lines = Lines::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(line);
        }
        assert_eq!(found, ["one", "two", "", "last"]);
        assert_eq!(Lines::new(long.as_bytes()).next().await, None);
    }
}
