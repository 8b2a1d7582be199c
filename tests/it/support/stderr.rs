//! Standard error of the program under test: a panic or an unexpected warning fails the test.

use std::sync::{Mutex, PoisonError};

/// Warnings that any test may get: at its end its peers (meters, bridges) go away in no particular order, perhaps
/// shortly before the program is told to stop; and a busy machine does not always keep up with real time.
const ALWAYS_POSSIBLE: &[&str] = &["hung up", "Samples lost: the machine or the bus is too slow"];

/// Warnings and errors that a test expects.
#[derive(Default)]
pub struct StderrCheck(Mutex<Vec<String>>);

impl StderrCheck {
    /// Expects lines that contain `text`.
    pub fn expect(&self, text: &str) {
        let mut expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        expected.push(text.to_owned());
    }

    /// Complaints about `stderr`, none if all is well.
    pub fn complaints(&self, stderr: &str) -> Vec<String> {
        let expected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_expected = |line: &str| {
            expected.iter().any(|text| line.contains(text.as_str()))
                || ALWAYS_POSSIBLE.iter().any(|text| line.contains(text))
        };
        stderr
            .lines()
            .filter(|line| is_panic(line) || (is_warning(line) && !is_expected(line)))
            .map(str::to_owned)
            .collect()
    }

    /// Panics if there is anything to complain about.
    pub fn assert_clean(&self, program: &str, stderr: &str) {
        let complaints = self.complaints(stderr);
        assert!(
            complaints.is_empty(),
            "{program} wrote to standard error what the test does not expect (see `expect_log`):\n{}\n\nall of it:\n{stderr}",
            complaints.join("\n")
        );
    }
}

fn is_panic(line: &str) -> bool {
    line.contains("panicked at") || line.contains("has overflowed its stack")
}

/// True for a log line, `2026-01-31T12:00:00.000000Z  WARN …`, of level WARN or ERROR.
fn is_warning(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_log = words
        .next()
        .is_some_and(|time| time.ends_with('Z') && time.contains('T'));
    is_log && matches!(words.next(), Some("WARN" | "ERROR"))
}

#[cfg(test)]
mod tests {
    use super::StderrCheck;

    const LOG: &str = "2026-01-31T12:00:00.000001Z  INFO Started. WARN is no level here\n\
                       2026-01-31T12:00:00.000002Z  WARN No connection to the broker. error=refused\n\
                       2026-01-31T12:00:00.000003Z ERROR Cannot write. error=full\n\
                       metertap: ERROR in a message to the user\n";

    #[test]
    fn unexpected_warnings_and_errors_are_complained_about() {
        let check = StderrCheck::default();
        assert_eq!(check.complaints(LOG).len(), 2);
        check.expect("No connection to the broker");
        let left = check.complaints(LOG);
        assert!(left.len() == 1 && left[0].contains("Cannot write"), "{left:?}");
        check.expect("error=full");
        check.assert_clean("metertap", LOG);
    }

    #[test]
    #[should_panic(expected = "panicked at src/x.rs")]
    fn a_panic_is_never_expected() {
        let check = StderrCheck::default();
        check.expect("panicked");
        check.assert_clean(
            "metertap",
            "thread 'out' panicked at src/x.rs:60:34:\nno reactor\n",
        );
    }
}
