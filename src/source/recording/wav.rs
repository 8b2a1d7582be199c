//! WAV recordings of SDR programs (SDR#, SDR++, HDSDR, SDRuno): RIFF, RF64 and BW64 files whose two channels are I and Q.
//!
//! ```text
//!  RIFF <size> WAVE │ fmt  <16…40> │ auxi <164>: start, stop, center │ … │ data <size>: samples
//! ```
//!
//! A recorder that was killed leaves sizes of 0 or of its last flush; RF64 (EBU Tech 3306) has 2^32 - 1 there. Samples
//! then reach to the end of the file.

use anyhow::{Result, bail};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use metertap_dsp::iq::Format;
use std::io::{self, Read};

/// Chunks in front of the samples; more are no recording.
const MAX_CHUNKS: usize = 64;
/// Bytes of a chunk that are looked at: `auxi` has its facts in the first 36.
const MAX_CHUNK_BYTES: u64 = 4096;
/// Size in a header that says nothing.
const UNKNOWN: u32 = u32::MAX;
/// Format tags of the `fmt ` chunk.
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;

/// Description of the samples that follow the header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// Format of the samples, once they are narrowed.
    pub format: Format,
    /// Bytes of an integer of which only the upper two are used.
    pub narrowed_from: Option<usize>,
    pub sample_rate_hz: f64,
    pub center_hz: Option<f64>,
    pub start: Option<Timestamp>,
    /// Bytes of samples; `None` if the header does not say.
    pub data_bytes: Option<u64>,
    /// Bytes in front of the samples.
    pub header_bytes: u64,
}

/// Returns true for the first bytes of a WAV file.
pub fn is_wav(head: &[u8]) -> bool {
    let form = head.get(..4);
    (form == Some(b"RIFF") || form == Some(b"RF64") || form == Some(b"BW64"))
        && head.get(8..12) == Some(b"WAVE")
}

/// Reads the header from the start of a WAV file up to its samples.
///
/// # Errors
/// Returns an error if the file ends before its samples, or if they are not complex samples: integers of 8, 16, 24 or 32 bits, or floats.
pub fn read_header(reader: &mut impl Read) -> Result<Header> {
    let mut reader = Counted { reader, bytes: 0 };
    let mut form = [0; 12];
    reader.read_exact(&mut form)?;
    let (mut samples, mut auxi, mut long_data_bytes) = (None, (None, None), None);
    for _ in 0..MAX_CHUNKS {
        let mut chunk = [0; 8];
        reader
            .read_exact(&mut chunk)
            .map_err(|_| anyhow::anyhow!("WAV file without samples: it has no data chunk"))?;
        let size = u32_at(&chunk, 4);
        if chunk.starts_with(b"data") {
            let Some((format, narrowed_from, sample_rate_hz)) = samples else {
                bail!("WAV file whose data comes before its format (chunk fmt)");
            };
            let data_bytes = match size {
                UNKNOWN => long_data_bytes.filter(|bytes| *bytes != u64::MAX),
                0 => None,
                size => Some(u64::from(size)),
            };
            return Ok(Header {
                format,
                narrowed_from,
                sample_rate_hz,
                center_hz: auxi.0,
                start: auxi.1,
                data_bytes,
                header_bytes: reader.bytes,
            });
        }
        // Chunks are padded to whole words.
        let padded = u64::from(size) + u64::from(size % 2);
        let mut body = Vec::new();
        reader
            .by_ref()
            .take(padded.min(MAX_CHUNK_BYTES))
            .read_to_end(&mut body)?;
        let rest = padded.saturating_sub(MAX_CHUNK_BYTES);
        io::copy(&mut reader.by_ref().take(rest), &mut io::sink())?;
        match &chunk[..4] {
            b"fmt " => samples = Some(sample_format(&body)?),
            b"auxi" => auxi = auxiliary(&body),
            b"ds64" if body.len() >= 16 => long_data_bytes = Some(u64_at(&body, 8)),
            _ => {}
        }
    }
    bail!("WAV file without samples: no data chunk among the first {MAX_CHUNKS}")
}

/// Reader that counts.
struct Counted<'a, R> {
    reader: &'a mut R,
    bytes: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Integers of which only the upper two bytes are handed out: 96 dB are more than a receiver of meters needs.
pub struct Narrowed<R> {
    reader: R,
    width: usize,
    /// Bytes of integers that were not handed out yet.
    pending: Vec<u8>,
}

impl<R: Read> Narrowed<R> {
    /// Narrows little-endian integers of `width` bytes.
    pub fn new(reader: R, width: usize) -> Self {
        Narrowed {
            reader,
            width,
            pending: Vec::new(),
        }
    }
}

impl<R: Read> Read for Narrowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len() / 2 * self.width;
        let mut had = self.pending.len();
        self.pending.resize(wanted.max(had), 0);
        while had < self.width && had < wanted {
            match self.reader.read(&mut self.pending[had..])? {
                0 => break,
                n => had += n,
            }
        }
        self.pending.truncate(had);
        let whole = had.min(wanted) / self.width;
        for (narrow, wide) in buffer
            .chunks_exact_mut(2)
            .zip(self.pending.chunks_exact(self.width))
        {
            narrow.copy_from_slice(&wide[self.width - 2..]);
        }
        self.pending.drain(..whole * self.width);
        Ok(2 * whole)
    }
}

/// Format, width before narrowing, and rate in a `fmt ` chunk.
fn sample_format(body: &[u8]) -> Result<(Format, Option<usize>, f64)> {
    if body.len() < 16 {
        bail!("WAV file whose format (chunk fmt) is cut off");
    }
    let tag = match u16_at(body, 0) {
        // The first two bytes of the sub-format are the tag.
        EXTENSIBLE if body.len() >= 26 => u16_at(body, 24),
        tag => tag,
    };
    let (channels, bits) = (u16_at(body, 2), u16_at(body, 14));
    if channels != 2 {
        bail!(
            "WAV file with {channels} channel(s): expected two, I and Q; demodulated audio cannot be decoded"
        );
    }
    let (format, narrowed_from) = match (tag, bits) {
        (PCM, 8) => (Format::Cu8, None),
        (PCM, 16) => (Format::Cs16, None),
        (PCM, 24) => (Format::Cs16, Some(3)),
        (PCM, 32) => (Format::Cs16, Some(4)),
        (FLOAT, 32) => (Format::Cf32, None),
        _ => bail!(
            "WAV file of {bits}-bit samples (format {tag}): expected integers of 8, 16, 24 or 32 bits, or 32-bit floats"
        ),
    };
    Ok((format, narrowed_from, u32_at(body, 4).into()))
}

/// Center frequency and start in an `auxi` chunk: two SYSTEMTIMEs of Windows, in UTC, then the frequency in Hz. Programs
/// leave out what they do not know.
fn auxiliary(body: &[u8]) -> (Option<f64>, Option<Timestamp>) {
    if body.len() < 36 {
        return (None, None);
    }
    let center_hz = Some(u32_at(body, 32)).filter(|hz| *hz != 0).map(f64::from);
    let field = |i: usize| i16::try_from(u16_at(body, 2 * i)).ok();
    let small = |i: usize| i8::try_from(u16_at(body, 2 * i)).ok();
    let time = || {
        let nanos = i32::from(field(7)?).checked_mul(1_000_000)?;
        let civil = DateTime::new(
            field(0)?,
            small(1)?,
            small(3)?,
            small(4)?,
            small(5)?,
            small(6)?,
            nanos,
        )
        .ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    (center_hz, time().filter(|time| *time > Timestamp::UNIX_EPOCH))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut chunk = name.to_vec();
        chunk.extend((body.len() as u32).to_le_bytes());
        chunk.extend(body);
        chunk
    }

    fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(tag.to_le_bytes());
        body.extend(channels.to_le_bytes());
        body.extend(rate.to_le_bytes());
        body.extend([0; 6]);
        body.extend(bits.to_le_bytes());
        chunk(b"fmt ", &body)
    }

    fn file(form: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut file = form.to_vec();
        file.extend([0xFF; 4]);
        file.extend(b"WAVE");
        file.extend(chunks.concat());
        file
    }

    fn header(file: &[u8]) -> Result<Header> {
        assert!(is_wav(file));
        read_header(&mut &file[..])
    }

    #[test]
    fn given_the_files_of_sdr_programs_then_format_rate_center_and_time_are_found() {
        let mut auxi = Vec::new();
        for value in [2026u16, 1, 6, 31, 12, 0, 5, 250] {
            auxi.extend(value.to_le_bytes());
        }
        auxi.extend([0; 16]);
        auxi.extend(912_600_155u32.to_le_bytes());
        auxi.extend([0; 128]);
        let odd = chunk(b"LIST", b"odd").into_iter().chain([0]).collect();
        let found = header(&file(
            b"RIFF",
            &[
                fmt(1, 2, 2_400_000, 16),
                chunk(b"auxi", &auxi),
                odd,
                chunk(b"data", &[1; 8]),
            ],
        ))
        .unwrap();
        assert_eq!((found.format, found.sample_rate_hz), (Format::Cs16, 2.4e6));
        assert_eq!(
            (found.center_hz, found.data_bytes),
            (Some(912_600_155.0), Some(8))
        );
        assert_eq!(found.start.unwrap().to_string(), "2026-01-31T12:00:05.25Z");
        for (tag, bits, format) in [(1, 8, Format::Cu8), (3, 32, Format::Cf32)] {
            let found = header(&file(
                b"RIFF",
                &[fmt(tag, 2, 1_000_000, bits), chunk(b"data", &[])],
            ))
            .unwrap();
            assert_eq!((found.format, found.data_bytes), (format, None));
        }
    }

    #[test]
    fn given_rf64_then_its_long_size_counts() {
        let mut ds64 = vec![0; 8];
        ds64.extend(6_000_000_000u64.to_le_bytes());
        ds64.extend([0; 12]);
        let mut data = chunk(b"data", &[]);
        data[4..].fill(0xFF);
        let found = header(&file(
            b"RF64",
            &[chunk(b"ds64", &ds64), fmt(1, 2, 1_000_000, 8), data],
        ))
        .unwrap();
        assert_eq!(found.data_bytes, Some(6_000_000_000));
    }

    #[test]
    fn given_integers_of_24_or_32_bits_then_their_upper_16_are_read_however_they_are_cut() {
        for (bits, width) in [(24, 3), (32, 4)] {
            let found = header(&file(b"RIFF", &[fmt(1, 2, 1_000_000, bits), chunk(b"data", &[])])).unwrap();
            assert_eq!((found.format, found.narrowed_from), (Format::Cs16, Some(width)));
        }
        let wide: Vec<u8> = (0..30).collect();
        for size in [2, 3, 4, 7, 64] {
            // A pipe that delivers five bytes at a time.
            let pipe = wide
                .chunks(5)
                .fold(Box::new(io::empty()) as Box<dyn Read>, |read, part| {
                    Box::new(read.chain(part))
                });
            let mut narrowed = Narrowed::new(pipe, 3);
            let (mut read, mut buffer) = (Vec::new(), vec![0; size]);
            while let n @ 1.. = narrowed.read(&mut buffer).unwrap() {
                read.extend_from_slice(&buffer[..n]);
            }
            let expected: Vec<u8> = wide.chunks(3).flat_map(|wide| [wide[1], wide[2]]).collect();
            assert_eq!(read, expected, "{size}");
        }
    }

    #[test]
    fn given_audio_or_other_samples_then_the_error_says_so() {
        let refusal = |tag, channels, bits| {
            let file = file(b"RIFF", &[fmt(tag, channels, 48_000, bits), chunk(b"data", &[])]);
            header(&file).unwrap_err().to_string()
        };
        assert!(refusal(1, 1, 16).contains("1 channel"));
        assert!(refusal(3, 2, 64).contains("64-bit"));
        assert!(
            header(&file(b"RIFF", &[fmt(1, 2, 1, 8)]))
                .unwrap_err()
                .to_string()
                .contains("without samples")
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_header(&mut &bytes[..]);
            let _ = read_header(&mut &file(b"RIFF", &[fmt(1, 2, 1, 8), bytes])[..]);
        }
    }
}
