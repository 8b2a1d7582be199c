//! File that is rotated when it is large: `readings.jsonl`, and old ones as `readings.jsonl.1` and so on, the newest first.
//!
//! The usual crates for it lose lines silently once the disk is full or the folder is gone. Here a line is either written
//! whole, or the error is returned and the line can be tried again.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Permissions of new files, whatever the umask removes further: the group may read them.
const READABLE: u32 = 0o640;

/// Rotating file, opened when it is needed.
pub struct RotatingFile {
    path: PathBuf,
    limit_bytes: u64,
    /// Number of old files.
    keep: u8,
    file: Option<BufWriter<File>>,
    /// Length of the file at `path`; 0 once that was rotated away, so that it is not rotated twice.
    bytes: u64,
}

impl RotatingFile {
    /// Opens or creates the file; it is rotated before it exceeds `limit_bytes`.
    ///
    /// # Errors
    /// Returns the system's error if the file cannot be opened for appending.
    pub fn open(path: PathBuf, limit_bytes: u64, keep: u8) -> Result<Self> {
        let mut file = RotatingFile {
            path,
            limit_bytes,
            keep,
            file: None,
            bytes: 0,
        };
        file.reopen()?;
        Ok(file)
    }

    /// Appends a line. After an error no part of it is left in the file, and nothing of it will be written later.
    ///
    /// # Errors
    /// Returns the system's error if the line cannot be written, or the file cannot be rotated or opened before.
    pub fn write(&mut self, line: &str) -> Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes + bytes > self.limit_bytes {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Self::append_to(&self.path, &mut self.bytes)?),
        };
        let written = writeln!(file, "{line}").and_then(|()| file.flush());
        match written {
            Ok(()) => self.bytes += bytes,
            Err(_) => {
                // Taken apart, so that the rest of the line in the buffer is not written when it is dropped.
                if let Some((file, _)) = self.file.take().map(BufWriter::into_parts) {
                    let _ = file.set_len(self.bytes);
                }
            }
        }
        written
    }

    fn reopen(&mut self) -> Result<()> {
        self.file = Some(Self::append_to(&self.path, &mut self.bytes)?);
        Ok(())
    }

    fn append_to(path: &Path, bytes: &mut u64) -> Result<BufWriter<File>> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(READABLE)
            .open(path)?;
        *bytes = file.metadata()?.len();
        Ok(BufWriter::new(file))
    }

    /// Moves the file out of the way. What fails here is tried again with the next line, so no step may cost history a
    /// second time: files are shifted only as far as the first number that is free.
    fn rotate(&mut self) -> Result<()> {
        self.file = None;
        if self.keep == 0 {
            done_if_missing(std::fs::remove_file(&self.path))?;
        } else if self.path.exists() {
            let mut free = 1;
            while free < self.keep && self.numbered(free).exists() {
                free += 1;
            }
            for i in (1..free).rev() {
                done_if_missing(std::fs::rename(self.numbered(i), self.numbered(i + 1)))?;
            }
            std::fs::rename(&self.path, self.numbered(1))?;
        }
        self.bytes = 0;
        Ok(())
    }

    fn numbered(&self, i: u8) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{i}"));
        PathBuf::from(name)
    }
}

/// A file that somebody has removed needs no moving.
fn done_if_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn setup(keep: u8) -> (TempDir, RotatingFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = RotatingFile::open(dir.path().join("readings.jsonl"), 10, keep).unwrap();
        (dir, file)
    }

    fn read(dir: &TempDir, name: &str) -> String {
        std::fs::read_to_string(dir.path().join(name)).unwrap_or_default()
    }

    #[test]
    fn given_a_full_file_then_it_is_rotated_and_the_newest_are_kept() {
        let (dir, mut file) = setup(2);
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg"] {
            file.write(line).unwrap();
        }
        assert_eq!(read(&dir, "readings.jsonl"), "gggg\n");
        assert_eq!(read(&dir, "readings.jsonl.1"), "eeee\nffff\n");
        assert_eq!(read(&dir, "readings.jsonl.2"), "cccc\ndddd\n");
        assert!(!dir.path().join("readings.jsonl.3").exists());
        for name in ["readings.jsonl", "readings.jsonl.1"] {
            let metadata = std::fs::metadata(dir.path().join(name)).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            assert_eq!(mode & 0o137, 0, "{name} is readable by its group at most");
        }
        // A file that exists is continued.
        let path = dir.path().join("readings.jsonl");
        RotatingFile::open(path, 10, 2).unwrap().write("h").unwrap();
        assert_eq!(read(&dir, "readings.jsonl"), "gggg\nh\n");
    }

    #[test]
    fn given_a_new_file_then_others_may_not_read_it() {
        let (dir, mut file) = setup(1);
        file.write("aaaa").unwrap();
        let mode = std::fs::metadata(dir.path().join("readings.jsonl"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o037, 0, "{mode:o}");
    }

    #[test]
    fn given_a_rotation_after_which_the_file_cannot_be_opened_then_retries_cost_no_old_file() {
        let (dir, mut file) = setup(3);
        for line in ["aaaa", "bbbb", "cccc", "dddd"] {
            file.write(line).unwrap();
        }
        file.rotate().unwrap();
        let path = dir.path().join("readings.jsonl");
        std::fs::create_dir(&path).unwrap();
        for _ in 0..10 {
            file.write("eeee").unwrap_err();
        }
        std::fs::remove_dir(&path).unwrap();
        file.write("eeee").unwrap();
        assert_eq!(read(&dir, "readings.jsonl"), "eeee\n");
        assert_eq!(read(&dir, "readings.jsonl.1"), "cccc\ndddd\n");
        assert_eq!(read(&dir, "readings.jsonl.2"), "aaaa\nbbbb\n");
    }

    #[test]
    fn given_a_file_that_somebody_has_removed_then_no_old_file_is_shifted() {
        let (dir, mut file) = setup(2);
        for line in ["aaaa", "bbbb", "cccc"] {
            file.write(line).unwrap();
        }
        std::fs::remove_file(dir.path().join("readings.jsonl")).unwrap();
        for _ in 0..10 {
            file.rotate().unwrap();
        }
        file.write("dddd").unwrap();
        assert_eq!(read(&dir, "readings.jsonl.1"), "aaaa\nbbbb\n");
    }

    #[test]
    fn given_no_old_files_wanted_and_one_that_somebody_has_removed_then_writing_goes_on() {
        let (dir, mut file) = setup(0);
        file.write("aaaa").unwrap();
        std::fs::remove_file(dir.path().join("readings.jsonl")).unwrap();
        for line in ["bbbb", "cccc"] {
            file.write(line).unwrap();
        }
        assert_eq!(read(&dir, "readings.jsonl"), "cccc\n");
    }
}
