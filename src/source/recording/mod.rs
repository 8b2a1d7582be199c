//! Recordings: files of IQ samples, and standard input.

mod filename;
mod paced;
pub mod sigmf;

pub use paced::Paced;

use crate::source::{Info, Source};
use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp, Unit};
use metertap_dsp::iq::Format;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// rtlamr's rate, taken where nothing tells another.
const CUSTOMARY_RATE_HZ: f64 = 2_359_296.0;
/// The greeting that a recorded rtl_tcp stream begins with: `RTL0` and two numbers.
const RTL_TCP_GREETING: usize = 12;

/// What the user says of a recording; goes before what the recording says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordingOverrides {
    /// What it is called; by default as its file.
    pub name: Option<String>,
    /// Sample format.
    pub format: Option<Format>,
    /// Samples per second.
    pub sample_rate_hz: Option<f64>,
    /// Centre of the window.
    pub center_hz: Option<f64>,
    /// When it was begun.
    pub start: Option<Timestamp>,
}

/// A recording being read.
pub struct Recording {
    info: Info,
    reader: Box<dyn Read + Send>,
    /// The first bytes, read to see what they are.
    head: Vec<u8>,
}

impl Recording {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// Where it cannot be read, is empty, or cannot be samples. The message names the file.
    pub fn open(path: &Path, wish: &RecordingOverrides) -> Result<Self> {
        if path == Path::new("-") {
            return Self::stdin(wish);
        }
        let shown = path.display();
        let meta = if sigmf::is_sigmf(path) {
            Some(sigmf::read(path)?)
        } else {
            None
        };
        let data: PathBuf = meta.as_ref().map_or(path.into(), |meta| meta.data.clone());
        let mut file = File::open(&data).with_context(|| format!("{}", data.display()))?;
        let about = file.metadata().with_context(|| format!("{shown}"))?;
        if about.is_dir() {
            bail!("{shown}: is a directory, not a recording");
        }
        let head = head(&mut file).with_context(|| format!("{shown}"))?;
        if head.is_empty() {
            bail!("{shown}: is empty");
        }
        if is_text(&head) {
            bail!("{shown}: looks like text, not like samples");
        }
        let name = data.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| shown.to_string());
        let named = filename::facts(&name);
        let mut facts = FilenameFacts::default();
        let format = facts.format(wish.format, meta.as_ref().map(|m| m.format).or(named.format));
        let rate = facts.rate(
            wish.sample_rate_hz,
            meta.as_ref().map(|m| m.sample_rate_hz).or(named.sample_rate_hz),
        );
        let center = wish
            .center_hz
            .or(meta.as_ref().and_then(|m| m.center_hz))
            .or(named.center_hz);
        let bytes = about.is_file().then_some(about.len());
        let start = match wish.start.or(meta.and_then(|m| m.start)) {
            Some(start) => start,
            None => facts.start(about.modified().ok(), bytes, format, rate),
        };
        Ok(Recording {
            info: Info {
                name: wish.name.clone().unwrap_or(name),
                format,
                sample_rate_hz: rate,
                center_hz: center,
                start,
                bytes,
                assumed: facts.assumed,
            },
            reader: Box::new(file),
            head,
        }
        .without_greeting())
    }

    fn stdin(wish: &RecordingOverrides) -> Result<Self> {
        let mut reader = std::io::stdin();
        let head = head(&mut reader).context("standard input")?;
        if head.is_empty() {
            bail!("standard input: is empty");
        }
        if is_text(&head) {
            bail!("standard input: looks like text, not like samples");
        }
        let mut facts = FilenameFacts::default();
        let format = facts.format(wish.format, None);
        let sample_rate_hz = facts.rate(wish.sample_rate_hz, None);
        Ok(Recording {
            info: Info {
                name: wish.name.clone().unwrap_or_else(|| "standard input".into()),
                format,
                sample_rate_hz,
                center_hz: wish.center_hz,
                start: wish.start.unwrap_or_else(Timestamp::now),
                bytes: None,
                assumed: facts.assumed,
            },
            reader: Box::new(reader),
            head,
        }
        .without_greeting())
    }

    /// A recorded rtl_tcp stream begins with a greeting, which is no sample.
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

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.head.is_empty() {
            return self.reader.read(buffer);
        }
        let n = self.head.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.head[..n]);
        self.head.drain(..n);
        Ok(n)
    }
}

/// The first bytes, enough to see what they are.
fn head(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(4096).read_to_end(&mut head)?;
    Ok(head)
}

/// Noise around the middle of any sample format has bytes of both halves and control characters; text has
/// neither.
fn is_text(head: &[u8]) -> bool {
    head.iter()
        .all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Settles each fact and keeps what had to be assumed.
#[derive(Default)]
struct FilenameFacts {
    assumed: Vec<String>,
}

impl FilenameFacts {
    fn format(&mut self, wish: Option<Format>, told: Option<Format>) -> Format {
        if let (Some(wish), Some(told)) = (wish, told) {
            if wish != told {
                self.assumed
                    .push(format!("reading it as {wish}, though it says {told}"));
            }
        }
        wish.or(told).unwrap_or_else(|| {
            self.assumed
                .push("assuming cu8 (--sample-format tells otherwise)".into());
            Format::Cu8
        })
    }

    fn rate(&mut self, wish: Option<f64>, told: Option<f64>) -> f64 {
        if let (Some(wish), Some(told)) = (wish, told) {
            if (wish - told).abs() > told * 1e-4 {
                self.assumed
                    .push(format!("taking {wish} S/s, though it says {told}"));
            }
        }
        wish.or(told).unwrap_or_else(|| {
            self.assumed.push(format!(
                "assuming {CUSTOMARY_RATE_HZ} S/s (--sample-rate tells otherwise)"
            ));
            CUSTOMARY_RATE_HZ
        })
    }

    /// A file was last written when its last sample came.
    fn start(
        &mut self,
        modified: Option<std::time::SystemTime>,
        bytes: Option<u64>,
        format: Format,
        rate_hz: f64,
    ) -> Timestamp {
        self.assumed
            .push("taking its age for the time of recording (--start tells otherwise)".into());
        let end = modified.and_then(|time| Timestamp::try_from(time).ok());
        let seconds = bytes.unwrap_or(0) as f64 / format.sample_bytes() as f64 / rate_hz;
        let length = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
        end.and_then(|end| end.checked_sub(length).ok())
            .and_then(|start| start.round(Unit::Millisecond).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
