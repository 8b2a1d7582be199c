//! JSON lines to a file, which is put aside when it is large; or to standard output.
//!
//! The usual crate for it loses lines without a word once the disk is full or its folder gone.

use crate::meter::event::ReadingEvent;
use crate::output::queue::{Inbox, Queue};
use crate::output::{Output, OutputConfig, Payload};
use crate::status::sink::SinkMetrics;
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a full disk is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A file at work.
pub struct Lines {
    payload: Payload,
    queue: Queue<String>,
}

/// Opens the file and starts a thread.
pub(crate) fn start(settings: &OutputConfig, counts: Arc<SinkMetrics>) -> Result<Lines> {
    let path = settings.path.clone().unwrap_or_default();
    let mut book = match path.as_os_str() == "-" {
        true => FileOutput::Stdout,
        false => FileOutput::File(RotatingFile::open(
            path,
            u64::from(settings.rotate_mb.unwrap_or(10)) << 20,
            settings.keep.unwrap_or(5),
        )?),
    };
    let queue =
        Queue::start(counts, move |inbox| write_all(&inbox, &mut book)).context("cannot start a thread")?;
    Ok(Lines {
        payload: settings.payload,
        queue,
    })
}

impl Output for Lines {
    fn tell(&mut self, told: &Arc<ReadingEvent>) {
        if let Some(line) = self.payload.of(told) {
            self.queue.put(line.into_owned());
        }
    }

    fn finish(self: Box<Self>, patience: Duration) {
        self.queue.finish(patience);
    }
}

/// Writes what comes; where the disk is full, the same line is tried again.
fn write_all(inbox: &Inbox<String>, book: &mut FileOutput) {
    loop {
        let line = match inbox.next(PAUSE) {
            Ok(line) => line,
            Err(true) => return,
            Err(false) => continue,
        };
        while let Err(error) = book.write(&line) {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                // Whoever read has gone, as in `| head`.
                std::process::exit(0);
            }
            inbox.counts.trouble(Some(error.to_string()));
            std::thread::sleep(PAUSE);
        }
        inbox.counts.trouble(None);
        inbox.counts.delivered();
    }
}

enum FileOutput {
    Stdout,
    File(RotatingFile),
}

impl FileOutput {
    fn write(&mut self, line: &str) -> std::io::Result<()> {
        match self {
            FileOutput::Stdout => {
                let mut to = stdout().lock();
                writeln!(to, "{line}")?;
                to.flush()
            }
            FileOutput::File(pages) => pages.write(line),
        }
    }
}

/// `readings.jsonl`, and what was put aside as `readings.jsonl.1` and so on, the newest first.
struct RotatingFile {
    path: PathBuf,
    limit_bytes: u64,
    keep: u8,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl RotatingFile {
    fn open(path: PathBuf, limit_bytes: u64, keep: u8) -> Result<Self> {
        let mut pages = RotatingFile {
            path,
            limit_bytes,
            keep,
            file: None,
            bytes: 0,
        };
        pages
            .reopen()
            .with_context(|| format!("output: {}", pages.path.display()))?;
        Ok(pages)
    }

    fn reopen(&mut self) -> std::io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(BufWriter::new(file));
        Ok(())
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes + bytes > self.limit_bytes {
            self.put_aside()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let written = match &mut self.file {
            Some(file) => writeln!(file, "{line}").and_then(|()| file.flush()),
            None => Ok(()),
        };
        match written {
            Ok(()) => self.bytes += bytes,
            // Half a line may be there; what is in the buffer must not follow it later.
            Err(_) => {
                if let Some(file) = self.file.take() {
                    let (file, _) = file.into_parts();
                    let _ = file.set_len(self.bytes);
                }
            }
        }
        written
    }

    fn put_aside(&mut self) -> std::io::Result<()> {
        self.file = None;
        let numbered = |i: u8| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{i}"));
            PathBuf::from(name)
        };
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for i in (1..self.keep).rev() {
            rename(&numbered(i), &numbered(i + 1))?;
        }
        rename(&self.path, &numbered(1))
    }
}

/// Where there is one.
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_full_file_then_it_is_put_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("readings.jsonl");
        let mut pages = RotatingFile::open(path.clone(), 10, 2).unwrap();
        for line in ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "gggg"] {
            pages.write(line).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("readings.jsonl"), "gggg\n");
        assert_eq!(read("readings.jsonl.1"), "eeee\nffff\n");
        assert_eq!(read("readings.jsonl.2"), "cccc\ndddd\n");
        assert!(!dir.path().join("readings.jsonl.3").exists());
        // What is there already is gone on with.
        RotatingFile::open(path, 10, 2).unwrap().write("h").unwrap();
        assert_eq!(read("readings.jsonl"), "gggg\nh\n");
    }
}
