//! Recordings: files of IQ samples, and standard input.

mod assumptions;
mod filename;
mod paced;
pub mod sigmf;

pub use paced::Paced;

use crate::source::iq::{Info, Source};
use anyhow::{Context, Result, bail};
use assumptions::Assumptions;
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes read in advance to recognize what they are.
const HEAD_BYTES: u64 = 4096;
/// Length of the greeting that a recorded rtl_tcp stream begins with: `RTL0` and two numbers.
const RTL_TCP_GREETING: usize = 12;

/// Facts that the user states about a recording; they take precedence over its metadata and its file name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordingOverrides {
    /// Name of the receiver; by default the file name.
    pub name: Option<String>,
    /// Encoding of a sample.
    pub format: Option<Format>,
    /// Samples a second.
    pub sample_rate_hz: Option<f64>,
    /// Center of the window.
    pub center_hz: Option<f64>,
    /// Time of the first sample.
    pub start: Option<Timestamp>,
}

/// A recording being read.
pub struct Recording {
    info: Info,
    reader: Box<dyn Read + Send>,
    /// Bytes that were read in advance and not yet handed out.
    head: Vec<u8>,
}

impl Recording {
    /// Opens a file, or standard input if `path` is `-`.
    ///
    /// # Errors
    /// Returns an error, which names the file, if it cannot be read, is empty, or does not hold samples.
    pub fn open(path: &Path, overrides: &RecordingOverrides) -> Result<Self> {
        if path == Path::new("-") {
            return Self::open_stdin(overrides);
        }
        let shown = path.display();
        let meta = if sigmf::is_sigmf(path) {
            Some(sigmf::read(path)?)
        } else {
            None
        };
        let data: PathBuf = meta.as_ref().map_or(path.into(), |meta| meta.data.clone());
        let mut file = File::open(&data).with_context(|| data.display().to_string())?;
        let attributes = file.metadata().with_context(|| shown.to_string())?;
        if attributes.is_dir() {
            bail!("{shown}: is a directory, not a recording");
        }
        let head = read_head(&mut file, &shown.to_string())?;
        let file_name = data.file_name().map(|name| name.to_string_lossy().into_owned());
        let file_name = file_name.unwrap_or_else(|| shown.to_string());
        let facts = filename::parse(&file_name);
        let mut assumptions = Assumptions::default();
        let format = assumptions.format(
            overrides.format,
            meta.as_ref().map(|meta| meta.format).or(facts.format),
        );
        let sample_rate_hz = assumptions.sample_rate_hz(
            overrides.sample_rate_hz,
            meta.as_ref()
                .map(|meta| meta.sample_rate_hz)
                .or(facts.sample_rate_hz),
        );
        let center_hz = overrides
            .center_hz
            .or(meta.as_ref().and_then(|meta| meta.center_hz))
            .or(facts.center_hz);
        let bytes = attributes.is_file().then_some(attributes.len());
        let start = match overrides.start.or(meta.and_then(|meta| meta.start)) {
            Some(start) => start,
            None => assumptions.start(attributes.modified().ok(), bytes, format, sample_rate_hz),
        };
        let recording = Recording {
            info: Info {
                name: overrides.name.clone().unwrap_or(file_name),
                format,
                sample_rate_hz,
                center_hz,
                start,
                bytes,
                assumed: assumptions.texts,
            },
            reader: Box::new(file),
            head,
        };
        Ok(recording.without_greeting())
    }

    fn open_stdin(overrides: &RecordingOverrides) -> Result<Self> {
        const NAME: &str = "standard input";
        let mut reader = io::stdin();
        let head = read_head(&mut reader, NAME)?;
        let mut assumptions = Assumptions::default();
        let format = assumptions.format(overrides.format, None);
        let sample_rate_hz = assumptions.sample_rate_hz(overrides.sample_rate_hz, None);
        let recording = Recording {
            info: Info {
                name: overrides.name.clone().unwrap_or_else(|| NAME.into()),
                format,
                sample_rate_hz,
                center_hz: overrides.center_hz,
                start: overrides.start.unwrap_or_else(Timestamp::now),
                bytes: None,
                assumed: assumptions.texts,
            },
            reader: Box::new(reader),
            head,
        };
        Ok(recording.without_greeting())
    }

    /// Drops the greeting of a recorded rtl_tcp stream, which is not a sample.
    fn without_greeting(mut self) -> Self {
        if self.info.format == Format::Cu8
            && self.head.len() >= RTL_TCP_GREETING
            && self.head.starts_with(b"RTL0")
        {
            self.head.drain(..RTL_TCP_GREETING);
            self.info.bytes = self.info.bytes.map(|n| n - RTL_TCP_GREETING as u64);
        }
        self
    }
}

impl Source for Recording {
    fn info(&self) -> &Info {
        &self.info
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.head.is_empty() {
            return self.reader.read(buffer);
        }
        let n = self.head.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.head[..n]);
        self.head.drain(..n);
        Ok(n)
    }
}

/// Reads the first bytes of the recording `name`, which must be there and must not be text.
fn read_head(reader: &mut impl Read, name: &str) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    reader
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .with_context(|| name.to_owned())?;
    if head.is_empty() {
        bail!("{name}: is empty");
    }
    if is_text(&head) {
        bail!("{name}: looks like text, not like samples");
    }
    Ok(head)
}

/// Returns true for bytes that are all text. Noise in any sample format has bytes of both halves and control characters.
fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}
