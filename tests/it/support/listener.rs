//! `metertap listen`: its lines as they come.

use super::program::{Metertap, Running};
use super::testdata::street_truth;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Deadline for a line.
const DEADLINE: Duration = Duration::from_secs(60);

/// A `metertap listen` at work, and its lines.
pub struct Listener {
    pub running: Running,
    lines: Receiver<String>,
}

impl Listener {
    pub fn start(program: &mut Metertap) -> Self {
        let mut running = program.start_piped();
        let stdout = BufReader::new(running.stdout());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Listener { running, lines }
    }

    /// Waits for the next line.
    pub fn next_line(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(error) => panic!("no line came ({error}): {}", self.running.log()),
        }
    }

    /// Waits until every message of the street has been received, and returns how many lines that took.
    pub fn wait_for_street(&self) -> usize {
        let mut missing = street();
        let mut lines = 0;
        while !missing.is_empty() {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => missing.remove(&message(&line)),
                Err(error) => panic!("missing ({error}) {missing:#?}: {}", self.running.log()),
            };
            lines += 1;
        }
        lines
    }

    /// Stops it and returns the lines that have not been taken.
    pub fn finish(&mut self) -> Vec<String> {
        self.running.stop();
        self.lines.iter().collect()
    }

    /// Forgets the lines that have already come.
    pub fn skip_received(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// Stops it and returns its log.
    pub fn stop(mut self) -> String {
        self.running.stop();
        self.running.log()
    }
}

/// The message of a JSON line.
pub fn message(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    line["Message"].to_string()
}

/// Every message of the street.
pub fn street() -> BTreeSet<String> {
    street_truth()
        .iter()
        .map(|truth| truth["message"].to_string())
        .collect()
}
