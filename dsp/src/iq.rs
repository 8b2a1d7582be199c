//! Sample formats: interleaved I, Q bytes to complex numbers of full scale ±1.

use crate::Complex32;
use std::fmt;
use std::str::FromStr;

/// Storage format of a sample; all are interleaved I, Q and little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Unsigned bytes around 127.5: the format of an RTL2832U.
    Cu8,
    /// Signed bytes.
    Cs8,
    /// Signed 16-bit.
    Cs16,
    /// 32-bit floats.
    Cf32,
}

/// Unknown name of a format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sample format: use cu8, cs8, cs16 or cf32")]
pub struct UnknownFormat(String);

impl Format {
    /// Returns the bytes per complex sample.
    pub fn sample_bytes(self) -> usize {
        match self {
            Format::Cu8 | Format::Cs8 => 2,
            Format::Cs16 => 4,
            Format::Cf32 => 8,
        }
    }

    /// Appends the samples in `bytes` to `out`. A part of a sample at the end is left out; a float that is
    /// not a number becomes 0, and one beyond ±4 is cut to that, so that no input can poison a sum.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<Complex32>) {
        match self {
            Format::Cu8 => extend(bytes, out, |[b]: [u8; 1]| (f32::from(b) - 127.5) / 127.5),
            Format::Cs8 => extend(bytes, out, |b| f32::from(i8::from_le_bytes(b)) / 127.5),
            Format::Cs16 => extend(bytes, out, |b| f32::from(i16::from_le_bytes(b)) / 32_768.0),
            Format::Cf32 => extend(bytes, out, |b| {
                let value = f32::from_le_bytes(b);
                if value.is_nan() {
                    0.0
                } else {
                    value.clamp(-4.0, 4.0)
                }
            }),
        }
    }

    /// Appends `samples` as bytes; what exceeds full scale is clipped.
    pub fn encode(self, samples: &[Complex32], out: &mut Vec<u8>) {
        for value in samples.iter().flat_map(|s| [s.re, s.im]) {
            match self {
                Format::Cu8 => out.push((value * 127.5 + 127.5).round() as u8),
                Format::Cs8 => out.extend(((value * 127.5).round() as i8).to_le_bytes()),
                Format::Cs16 => out.extend(((value * 32_768.0).round() as i16).to_le_bytes()),
                Format::Cf32 => out.extend(value.to_le_bytes()),
            }
        }
    }
}

/// Converts pairs of `N`-byte components.
fn extend<const N: usize>(bytes: &[u8], out: &mut Vec<Complex32>, value: impl Fn([u8; N]) -> f32) {
    let component = |part: &[u8]| value(std::array::from_fn(|i| part[i]));
    out.extend(bytes.chunks_exact(2 * N).map(|sample| {
        let (i, q) = sample.split_at(N);
        Complex32::new(component(i), component(q))
    }));
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name.to_ascii_lowercase().as_str() {
            "cu8" => Ok(Format::Cu8),
            "cs8" => Ok(Format::Cs8),
            "cs16" => Ok(Format::Cs16),
            "cf32" => Ok(Format::Cf32),
            _ => Err(UnknownFormat(name.into())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Format::Cu8 => "cu8",
            Format::Cs8 => "cs8",
            Format::Cs16 => "cs16",
            Format::Cf32 => "cf32",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_dongles_bytes_then_zero_lies_between_127_and_128() {
        let mut out = Vec::new();
        Format::Cu8.decode(&[0, 255, 127, 128, 9], &mut out);
        let tiny = 0.5 / 127.5;
        assert_eq!(out, [Complex32::new(-1.0, 1.0), Complex32::new(-tiny, tiny)]);
    }

    proptest! {
        #[test]
        fn every_byte_survives_decoding_and_encoding(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for format in [Format::Cu8, Format::Cs16] {
                let whole = bytes.len() / format.sample_bytes() * format.sample_bytes();
                let (mut samples, mut back) = (Vec::new(), Vec::new());
                format.decode(&bytes, &mut samples);
                format.encode(&samples, &mut back);
                prop_assert_eq!(&back, &bytes[..whole]);
            }
        }

        #[test]
        fn no_bytes_make_a_sample_that_is_not_finite(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut samples = Vec::new();
            Format::Cf32.decode(&bytes, &mut samples);
            prop_assert!(samples.iter().all(|s| s.re.is_finite() && s.im.is_finite()));
        }
    }
}
