//! Writers of SigMF recordings of 8-bit samples: a stream, or the seconds around a moment.

use crate::source::recording::sigmf;
use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a sample: I and Q.
const SAMPLE_BYTES: usize = 2;

/// Recording that is written as samples arrive. Its metadata is written first, so that a recording that is interrupted
/// can be read as well.
pub struct SigmfRecorder {
    folder: PathBuf,
    sample_rate_hz: f64,
    center_hz: f64,
    open: Option<OpenRecording>,
}

struct OpenRecording {
    data: File,
    data_path: PathBuf,
    meta_path: PathBuf,
    bytes: u64,
}

impl SigmfRecorder {
    /// Records to new files in `folder`.
    pub fn new(folder: &Path, sample_rate_hz: f64, center_hz: f64) -> Self {
        SigmfRecorder {
            folder: folder.to_owned(),
            sample_rate_hz,
            center_hz,
            open: None,
        }
    }

    /// Bytes of this many seconds, in whole samples.
    fn bytes_of(&self, seconds: f64) -> usize {
        SAMPLE_BYTES * (seconds * self.sample_rate_hz) as usize
    }

    fn seconds_of(&self, bytes: u64) -> f64 {
        bytes as f64 / SAMPLE_BYTES as f64 / self.sample_rate_hz
    }

    /// Appends samples that have just arrived; the first ones begin the recording.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(bytes.len())?,
        };
        open.data
            .write_all(bytes)
            .with_context(|| open.data_path.display().to_string())?;
        open.bytes += bytes.len() as u64;
        self.open = Some(open);
        Ok(())
    }

    /// Creates both files for a recording whose first `len` bytes have just arrived.
    fn begin(&self, len: usize) -> Result<OpenRecording> {
        let now = Timestamp::now();
        let start = now
            .checked_sub(SignedDuration::from_secs_f64(self.seconds_of(len as u64)))
            .unwrap_or(now);
        let stem = format!(
            "metertap_{}_{:.0}Hz",
            start.strftime("%Y%m%dT%H%M%S%.3fZ"),
            self.center_hz
        );
        let data_path = self.folder.join(format!("{stem}.sigmf-data"));
        let meta_path = self.folder.join(format!("{stem}.sigmf-meta"));
        let meta = sigmf::metadata(self.sample_rate_hz, self.center_hz, start);
        std::fs::write(&meta_path, meta).with_context(|| meta_path.display().to_string())?;
        let data = File::create(&data_path).with_context(|| data_path.display().to_string())?;
        Ok(OpenRecording {
            data,
            data_path,
            meta_path,
            bytes: 0,
        })
    }

    /// Ends the recording and prints its name; the next samples begin another one.
    ///
    /// # Errors
    /// If the data cannot be written to disk.
    pub fn finish(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        open.data
            .sync_all()
            .with_context(|| open.data_path.display().to_string())?;
        let seconds = self.seconds_of(open.bytes);
        println!("{} ({seconds:.1} s)", open.meta_path.display());
        Ok(())
    }
}

/// Keeps the newest samples in memory, and writes those before and after each marked moment.
pub struct HardCaseRecorder {
    recorder: SigmfRecorder,
    /// Newest samples: those before a moment, and after it up to twice as many.
    newest: VecDeque<u8>,
    /// Bytes kept before and after a moment.
    around: usize,
    /// Bytes still to come after the marked moment.
    remaining: Option<usize>,
    saved: u32,
}

impl HardCaseRecorder {
    /// Writes `around_s` seconds before and after each moment.
    pub fn new(recorder: SigmfRecorder, around_s: f64) -> Self {
        HardCaseRecorder {
            around: recorder.bytes_of(around_s),
            recorder,
            newest: VecDeque::new(),
            remaining: None,
            saved: 0,
        }
    }

    /// Number of recordings written.
    pub fn saved(&self) -> u32 {
        self.saved
    }

    /// Adds samples; writes a recording if they complete one.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.newest.extend(bytes);
        let room = if self.remaining.is_some() {
            2 * self.around
        } else {
            self.around
        };
        // Only whole samples are dropped, so that the first byte left is always an I.
        let surplus = self
            .newest
            .len()
            .saturating_sub(room)
            .next_multiple_of(SAMPLE_BYTES)
            .min(self.newest.len());
        self.newest.drain(..surplus);
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes.len());
            if *remaining == 0 {
                self.remaining = None;
                self.save()?;
            }
        }
        Ok(())
    }

    /// Marks the end of the newest samples as a moment to keep, unless one is being completed.
    pub fn mark(&mut self) {
        self.remaining.get_or_insert(self.around);
    }

    fn save(&mut self) -> Result<()> {
        self.recorder.write(self.newest.make_contiguous())?;
        self.recorder.finish()?;
        self.newest.clear();
        self.saved += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of the files with this extension.
    fn lengths(folder: &Path, extension: &str) -> Vec<u64> {
        let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        files
            .filter(|file| file.path().extension().is_some_and(|found| found == extension))
            .map(|file| file.metadata().unwrap().len())
            .collect()
    }

    #[test]
    fn given_samples_then_they_are_on_disk_before_the_recording_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = SigmfRecorder::new(folder.path(), 1e6, 912.6e6);
        recorder.write(&[127; 1000]).unwrap();
        assert_eq!(lengths(folder.path(), "sigmf-data"), [1000]);
        assert_eq!(lengths(folder.path(), "sigmf-meta").len(), 1);
        recorder.write(&[127; 500]).unwrap();
        assert_eq!(lengths(folder.path(), "sigmf-data"), [1500]);
    }

    #[test]
    fn given_a_marked_moment_then_the_samples_around_it_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = SigmfRecorder::new(folder.path(), 1e3, 912.6e6);
        // 100 samples of 2 bytes before and after.
        let mut cases = HardCaseRecorder::new(recorder, 0.1);
        for i in 0..20 {
            cases.push(&[i; 50]).unwrap();
            if i == 9 || i == 10 {
                cases.mark();
            }
        }
        assert_eq!(cases.saved(), 1);
        assert_eq!(lengths(folder.path(), "sigmf-data"), [400]);
    }

    #[test]
    fn given_no_marked_moment_then_nothing_is_written_and_memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut cases = HardCaseRecorder::new(SigmfRecorder::new(folder.path(), 1e3, 0.0), 0.1);
        for _ in 0..1000 {
            cases.push(&[0; 50]).unwrap();
        }
        assert_eq!(cases.newest.len(), 200);
        assert!(lengths(folder.path(), "sigmf-data").is_empty());
    }
}
