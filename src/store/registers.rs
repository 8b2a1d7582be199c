//! What was learned of registers, in a small JSON file: where each one stands beyond its width.
//!
//! Written at once when a register has rolled over, which happens once in years; the newest counts, by which a rollover
//! while the program does not run is noticed, once in a while.

use crate::meter::registers::LearnedRegister;
use crate::store::database::set_aside;
use crate::store::json_file;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Version of the file's content.
const VERSION: u32 = 1;
/// Time between two writes of counts without a rollover: memory cards wear.
const INTERVAL: Duration = Duration::from_secs(3600);

/// The file.
#[derive(Debug)]
pub struct RegisterFile {
    path: PathBuf,
    /// Content as last read or written.
    saved: Vec<LearnedRegister>,
    /// Time of the last attempt to write.
    written: Instant,
    /// The last attempt failed; logged once until one succeeds.
    has_failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    registers: Vec<LearnedRegister>,
}

impl RegisterFile {
    /// Opens the file. One that cannot be understood is set aside, and told in the log; one that cannot be read counts as empty.
    pub fn open(path: PathBuf, now: Instant) -> Self {
        let saved = match read(&path) {
            Ok(registers) => registers,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let aside = (error.kind() == ErrorKind::InvalidData).then(|| set_aside(&path));
                let aside = aside.and_then(Result::ok).unwrap_or_default();
                tracing::error!(
                    file = %path.display(),
                    set_aside = %aside.display(),
                    %error,
                    "Registers cannot be read: those that rolled over begin at the count that is sent"
                );
                Vec::new()
            }
        };
        RegisterFile {
            path,
            saved,
            written: now,
            has_failed: false,
        }
    }

    /// Returns what an earlier process has learned.
    pub fn registers(&self) -> &[LearnedRegister] {
        &self.saved
    }

    /// Returns whether it is time to write.
    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.written) >= INTERVAL
    }

    /// Writes `registers`, unless the file holds them already. A failure is logged.
    pub fn save(&mut self, registers: Vec<LearnedRegister>, now: Instant) {
        self.written = now;
        if registers == self.saved {
            return;
        }
        match write(&self.path, &registers) {
            Ok(()) => (self.saved, self.has_failed) = (registers, false),
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(file = %self.path.display(), %error, "Registers cannot be written; trying again every hour");
                }
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<LearnedRegister>> {
    let content: Content = json_file::read(path)?;
    if content.version != VERSION {
        let reason = format!("version {}, expected {VERSION}", content.version);
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    Ok(content.registers)
}

fn write(path: &Path, registers: &[LearnedRegister]) -> io::Result<()> {
    let content = Content {
        version: VERSION,
        registers: registers.to_vec(),
    };
    json_file::write(path, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn learned(last: i64) -> Vec<LearnedRegister> {
        vec![LearnedRegister {
            meter: "12345678".into(),
            kind: "scm".into(),
            register: String::new(),
            last,
            base: 1 << 24,
            offset: Some(100.5),
        }]
    }

    #[test]
    fn given_registers_then_the_next_process_finds_them_and_nobody_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registers.json");
        let now = Instant::now();
        let mut file = RegisterFile::open(path.clone(), now);
        assert!(file.registers().is_empty() && !file.is_due(now) && file.is_due(now + INTERVAL));
        for last in [5, 9] {
            file.save(learned(last), now);
        }
        assert_eq!(RegisterFile::open(path.clone(), now).registers(), learned(9));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn given_a_damaged_file_or_one_of_another_version_then_it_is_set_aside() {
        for content in ["{\"version\":1,\"regis", "{\"version\":2,\"registers\":[]}"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("registers.json");
            std::fs::write(&path, content).unwrap();
            let now = Instant::now();
            let mut file = RegisterFile::open(path.clone(), now);
            assert!(file.registers().is_empty() && !path.exists());
            file.save(learned(1), now);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn given_a_folder_that_is_not_there_then_nothing_is_lost_but_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut file = RegisterFile::open(dir.path().join("missing/registers.json"), now);
        file.save(learned(1), now);
        assert!(file.registers().is_empty() && file.has_failed);
        std::fs::create_dir(dir.path().join("missing")).unwrap();
        file.save(learned(1), now);
        assert_eq!(file.registers(), learned(1));
    }
}
