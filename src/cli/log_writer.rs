//! Standard error for the log. Control characters in what meters and brokers send are escaped, so that none of them writes
//! lines of its own or moves the cursor.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Writer for one event of the log.
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr()
            .lock()
            .write_all(escaped(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Escapes control characters, except those of the log itself: line feeds between lines, tabs, and the ESC of colors
/// (tracing-subscriber escapes that of others).
fn escaped(text: &str) -> Cow<'_, str> {
    let is_foreign = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\x1b');
    if !text.contains(is_foreign) {
        return text.into();
    }
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match is_foreign(c) {
            // Writing to a string cannot fail.
            true => drop(write!(printable, "{}", c.escape_default())),
            false => printable.push(c),
        }
    }
    printable.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_control_characters_then_they_are_escaped_and_the_lines_stay() {
        assert_eq!(escaped("INFO a\tb=\u{e9}\n"), "INFO a\tb=\u{e9}\n");
        assert_eq!(
            escaped("x\rERROR\u{7}\u{9b}2J\0\n"),
            "x\\rERROR\\u{7}\\u{9b}2J\\u{0}\n"
        );
    }
}
