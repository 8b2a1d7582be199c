//! Recordings: files of IQ samples, and standard input.

mod assumptions;
mod compressed;
mod filename;
mod overrides;
mod paced;
pub mod sigmf;
mod wav;

pub use overrides::RecordingOverrides;
pub use paced::Paced;

use crate::source::iq::{Info, Source};
use anyhow::{Context, Result, bail};
use assumptions::Assumptions;
use jiff::{SignedDuration, Timestamp};
use metertap_dsp::iq::Format;
use sigmf::Segment;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

/// Bytes read in advance to recognize what they are.
const HEAD_BYTES: u64 = 4096;
/// Length of the greeting that a recorded rtl_tcp stream begins with: `RTL0` and two numbers.
const RTL_TCP_GREETING: usize = 12;

/// A recording being read.
pub struct Recording {
    info: Info,
    reader: Box<dyn Read + Send>,
    /// Bytes that were read in advance and not yet handed out.
    head: Vec<u8>,
    /// Segments to come, in order.
    segments: VecDeque<Segment>,
    /// Number of the first sample of the current segment.
    first_sample: u64,
    /// Bytes handed out.
    position: u64,
}

/// A file or standard input whose first bytes were read.
struct Opened {
    file_name: String,
    /// Name for errors.
    shown: String,
    bytes: Option<u64>,
    modified: Option<SystemTime>,
    reader: Box<dyn Read + Send>,
    head: Vec<u8>,
}

impl Opened {
    /// Unpacks a compressed file.
    fn unpack(mut self) -> Result<Self> {
        if !compressed::is_gzip(&self.head, &self.shown)? {
            return Ok(self);
        }
        let packed = io::Cursor::new(std::mem::take(&mut self.head)).chain(self.reader);
        let mut reader = compressed::unpacked(packed);
        let head = read_head(&mut reader, &self.shown)?;
        Ok(Opened {
            file_name: compressed::without_ending(&self.file_name).to_owned(),
            bytes: None,
            reader: Box::new(reader),
            head,
            ..self
        })
    }

    /// Settles the facts: the user's, else those of the metadata or the header, else those of the name, else assumed ones.
    fn describe(self, mut meta: sigmf::Meta, overrides: &RecordingOverrides) -> Result<Recording> {
        let mut opened = self.unpack()?;
        if wav::is_wav(&opened.head) {
            let mut whole = io::Cursor::new(std::mem::take(&mut opened.head)).chain(opened.reader);
            let header = wav::read_header(&mut whole).with_context(|| opened.shown.clone())?;
            let left = opened
                .bytes
                .map(|bytes| bytes.saturating_sub(header.header_bytes));
            // A recorder that was killed may have announced more than it wrote.
            opened.bytes = match (header.data_bytes, left) {
                (Some(data), Some(left)) => Some(data.min(left)),
                (data, left) => data.or(left),
            };
            opened.reader = match header.data_bytes {
                Some(data) => Box::new(whole.take(data)),
                None => Box::new(whole),
            };
            if let Some(width) = header.narrowed_from {
                opened.bytes = opened.bytes.map(|bytes| bytes / width as u64 * 2);
                opened.reader = Box::new(wav::Narrowed::new(opened.reader, width));
            }
            meta.format = Some(header.format);
            meta.sample_rate_hz = Some(header.sample_rate_hz);
            meta.center_hz = meta.center_hz.or(header.center_hz);
            meta.start = meta.start.or(header.start);
        }
        let facts = filename::parse(&opened.file_name);
        let mut assumptions = Assumptions {
            texts: std::mem::take(&mut meta.assumed),
        };
        let format = assumptions.format(overrides.format, meta.format.or(facts.format));
        let sample_rate_hz = assumptions.sample_rate_hz(
            overrides.sample_rate_hz,
            meta.sample_rate_hz.or(facts.sample_rate_hz),
        );
        let start = match overrides.start.or(meta.start).or(facts.start) {
            Some(start) => start,
            None => assumptions.start(opened.modified, opened.bytes, format, sample_rate_hz),
        };
        // A start that the user gives moves all segments.
        let moved_by = match (overrides.start, meta.start) {
            (Some(user), Some(stated)) => user.duration_since(stated),
            _ => SignedDuration::ZERO,
        };
        let mut segments = meta.captures;
        for segment in &mut segments {
            segment.start = segment.start.and_then(|time| time.checked_add(moved_by).ok());
            segment.center_hz = segment.center_hz.filter(|_| overrides.center_hz.is_none());
        }
        let recording = Recording {
            info: Info {
                name: overrides.name.clone().unwrap_or(opened.file_name),
                format,
                sample_rate_hz,
                center_hz: overrides.center_hz.or(meta.center_hz).or(facts.center_hz),
                start,
                bytes: opened.bytes,
                assumed: assumptions.texts,
            },
            reader: opened.reader,
            head: opened.head,
            segments: segments.into(),
            first_sample: 0,
            position: 0,
        };
        Ok(recording.without_greeting())
    }
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
        let shown = path.display().to_string();
        let meta = if sigmf::is_sigmf(path) {
            sigmf::read(path, overrides)?
        } else {
            sigmf::Meta::of(path.into())
        };
        let mut file = File::open(&meta.data).with_context(|| meta.data.display().to_string())?;
        let attributes = file.metadata().with_context(|| shown.clone())?;
        if attributes.is_dir() {
            bail!("{shown}: is a directory, not a recording");
        }
        let head = read_head(&mut file, &shown)?;
        let file_name = meta
            .data
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let opened = Opened {
            file_name: file_name.unwrap_or_else(|| shown.clone()),
            shown,
            bytes: attributes.is_file().then_some(attributes.len()),
            modified: attributes.modified().ok(),
            reader: Box::new(file),
            head,
        };
        opened.describe(meta, overrides)
    }

    fn open_stdin(overrides: &RecordingOverrides) -> Result<Self> {
        const NAME: &str = "standard input";
        let mut reader = io::stdin();
        let head = read_head(&mut reader, NAME)?;
        let opened = Opened {
            file_name: NAME.into(),
            shown: NAME.into(),
            bytes: None,
            modified: None,
            reader: Box::new(reader),
            head,
        };
        let overrides = RecordingOverrides {
            start: overrides.start.or_else(|| Some(Timestamp::now())),
            ..overrides.clone()
        };
        opened.describe(sigmf::Meta::default(), &overrides)
    }

    fn byte_of(&self, sample: u64) -> u64 {
        sample.saturating_mul(self.info.format.sample_bytes() as u64)
    }

    /// Takes over the facts of a segment.
    fn begin(&mut self, segment: Segment) {
        let since_s =
            segment.first_sample.saturating_sub(self.first_sample) as f64 / self.info.sample_rate_hz;
        let follows = SignedDuration::try_from_secs_f64(since_s)
            .ok()
            .and_then(|since| self.info.start.checked_add(since).ok());
        self.info.center_hz = segment.center_hz.or(self.info.center_hz);
        self.info.start = segment.start.or(follows).unwrap_or(self.info.start);
        self.first_sample = segment.first_sample;
    }

    /// Drops the greeting of a recorded rtl_tcp stream, which is not a sample.
    fn without_greeting(mut self) -> Self {
        if self.info.format == Format::Cu8
            && self.head.len() >= RTL_TCP_GREETING
            && self.head.starts_with(b"RTL0")
        {
            self.head.drain(..RTL_TCP_GREETING);
            self.info.bytes = self.info.bytes.map(|n| n.saturating_sub(RTL_TCP_GREETING as u64));
        }
        self
    }
}

impl Source for Recording {
    fn info(&self) -> &Info {
        &self.info
    }

    /// Ends a read where a segment ends: center and start of the next one are those of [`Source::info`] from then on.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(segment) = self.segments.front().copied() {
            if self.byte_of(segment.first_sample) > self.position {
                break;
            }
            self.segments.pop_front();
            self.begin(segment);
        }
        let until = self.segments.front().map_or(u64::MAX, |segment| {
            self.byte_of(segment.first_sample) - self.position
        });
        let len = usize::try_from(until).map_or(buffer.len(), |until| buffer.len().min(until));
        let buffer = &mut buffer[..len];
        let n = if self.head.is_empty() {
            self.reader.read(buffer)?
        } else {
            let n = self.head.len().min(buffer.len());
            buffer[..n].copy_from_slice(&self.head[..n]);
            self.head.drain(..n);
            n
        };
        self.position += n as u64;
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
