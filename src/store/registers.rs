//! What was learned of meters, in a small JSON file: where each register stands beyond its width, and the last messages of those
//! whose next ones are expected.
//!
//! Written at once when a register has rolled over, which happens once in years; the newest counts, by which a rollover
//! while the program does not run is noticed, once in a while.

use crate::meter::expectations::LearnedFrame;
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
    saved: Learned,
    /// Time of the last attempt to write.
    written: Instant,
    /// The last attempt failed; logged once until one succeeds.
    has_failed: bool,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    #[serde(flatten)]
    learned: Learned,
}

/// What was learned of the meters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Registers.
    pub registers: Vec<LearnedRegister>,
    /// Last messages.
    #[serde(default)]
    pub frames: Vec<LearnedFrame>,
}

impl RegisterFile {
    /// Opens the file. One that cannot be understood is set aside, and told in the log; one that cannot be read counts as empty.
    pub fn open(path: PathBuf, now: Instant) -> Self {
        let saved = match read(&path) {
            Ok(learned) => learned,
            Err(error) if error.kind() == ErrorKind::NotFound => Learned::default(),
            Err(error) => {
                let aside = (error.kind() == ErrorKind::InvalidData).then(|| set_aside(&path));
                let aside = aside.and_then(Result::ok).unwrap_or_default();
                tracing::error!(
                    file = %path.display(),
                    set_aside = %aside.display(),
                    %error,
                    "Registers cannot be read: those that rolled over begin at the count that is sent"
                );
                Learned::default()
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
    pub fn learned(&self) -> &Learned {
        &self.saved
    }

    /// Returns whether it is time to write.
    pub fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.written) >= INTERVAL
    }

    /// Writes `learned`, unless the file holds them already. A failure is logged.
    pub fn save(&mut self, learned: Learned, now: Instant) {
        self.written = now;
        if learned == self.saved {
            return;
        }
        match write(&self.path, &learned) {
            Ok(()) => (self.saved, self.has_failed) = (learned, false),
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(file = %self.path.display(), %error, "Registers cannot be written; trying again every hour");
                }
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Learned> {
    let content: Content = json_file::read(path)?;
    if content.version != VERSION {
        let reason = format!("version {}, expected {VERSION}", content.version);
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    Ok(content.learned)
}

fn write(path: &Path, learned: &Learned) -> io::Result<()> {
    let content = Content {
        version: VERSION,
        learned: learned.clone(),
    };
    json_file::write(path, &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn learned(last: i64) -> Learned {
        Learned {
            registers: vec![LearnedRegister {
                meter: "12345678".into(),
                kind: "scm".into(),
                register: String::new(),
                last,
                base: 1 << 24,
                offset: Some(100.5),
            }],
            frames: vec![LearnedFrame {
                meter: 12_345_678,
                kind: "scm".into(),
                frame: "F953005E0EDEF6BC614E1D50".into(),
                time: jiff::Timestamp::UNIX_EPOCH,
                earlier: None,
                time_doubt: false,
            }],
        }
    }

    #[test]
    fn given_a_file_of_a_version_without_messages_then_its_registers_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registers.json");
        std::fs::write(&path, r#"{"version":1,"registers":[]}"#).unwrap();
        let file = RegisterFile::open(path.clone(), Instant::now());
        assert_eq!(file.learned(), &Learned::default());
        assert!(path.exists(), "it is not set aside");
    }

    #[test]
    fn given_registers_then_the_next_process_finds_them_and_nobody_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registers.json");
        let now = Instant::now();
        let mut file = RegisterFile::open(path.clone(), now);
        assert!(file.learned() == &Learned::default() && !file.is_due(now) && file.is_due(now + INTERVAL));
        for last in [5, 9] {
            file.save(learned(last), now);
        }
        assert_eq!(RegisterFile::open(path.clone(), now).learned(), &learned(9));
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
            assert!(file.learned() == &Learned::default() && !path.exists());
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
        assert!(file.learned() == &Learned::default() && file.has_failed);
        std::fs::create_dir(dir.path().join("missing")).unwrap();
        file.save(learned(1), now);
        assert_eq!(file.learned(), &learned(1));
    }
}
