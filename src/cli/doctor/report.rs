//! Lines that the doctor prints.

use super::redaction::Redaction;

/// Printed findings and the number of problems among them.
#[derive(Default)]
pub struct Report {
    pub problems: u32,
    /// What is replaced in everything that is printed; for a report that is sent to others.
    pub redaction: Option<Redaction>,
}

impl Report {
    pub fn ok(&self, subject: &str, finding: &str) {
        self.print(&format!("ok   {subject:9} {finding}"));
    }

    /// Prints a finding that is neither good nor bad.
    pub fn open(&self, subject: &str, finding: &str) {
        self.print(&format!("--   {subject:9} {finding}"));
    }

    pub fn bad(&mut self, subject: &str, finding: &str, advice: &str) {
        self.problems += 1;
        self.print(&format!("BAD  {subject:9} {finding}"));
        if !advice.is_empty() {
            self.advise(advice);
        }
    }

    pub fn advise(&self, advice: &str) {
        self.print(&format!("     {:9} → {advice}", ""));
    }

    /// Prints a line as it may be shown.
    pub fn print(&self, line: &str) {
        match &self.redaction {
            Some(redaction) => println!("{}", redaction.apply(line)),
            None => println!("{line}"),
        }
    }

    /// Id of a meter as it may be shown: numbers of meters that are not in the configuration are known to nobody else.
    pub fn shown_id<'a>(&self, id: &'a str) -> &'a str {
        if self.redaction.is_some() { "<id>" } else { id }
    }
}
