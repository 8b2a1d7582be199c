//! Complex samples from bytes.

use metertap_dsp::iq::Format;
use metertap_dsp::{Complex32, Resampler, Resampling};

/// Decoder of a stream of samples; however the bytes are split, the samples are the same.
pub struct Samples {
    format: Format,
    /// Samples of the last call.
    samples: Vec<Complex32>,
    /// Bytes of a sample that is not complete; always fewer than a sample has.
    partial: Vec<u8>,
    /// Of a stream that is too slow or too fast for the receiver, and its output.
    resampler: Option<(Resampler, Vec<Complex32>)>,
}

impl Samples {
    /// Creates a decoder of samples stored as `format`.
    pub fn new(format: Format) -> Self {
        Samples {
            format,
            samples: Vec::new(),
            partial: Vec::with_capacity(format.sample_bytes()),
            resampler: None,
        }
    }

    /// Brings the samples to the rate at which they are searched.
    pub fn resampled(self, resampling: Resampling) -> Self {
        let resampler = (!resampling.is_none()).then(|| (Resampler::new(resampling), Vec::new()));
        Samples { resampler, ..self }
    }

    /// Returns the samples that `bytes` completes.
    pub fn decode(&mut self, mut bytes: &[u8]) -> &[Complex32] {
        let sample_bytes = self.format.sample_bytes();
        self.samples.clear();
        if !self.partial.is_empty() {
            let missing = (sample_bytes - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.partial.len() == sample_bytes {
                self.format.decode(&self.partial, &mut self.samples);
                self.partial.clear();
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() / sample_bytes * sample_bytes);
        self.format.decode(whole, &mut self.samples);
        self.partial.extend_from_slice(rest);
        if let Some((resampler, resampled)) = &mut self.resampler {
            resampled.clear();
            resampler.push(&self.samples, resampled);
            return resampled;
        }
        &self.samples
    }

    /// Drops an unfinished sample and returns how many bytes of it there were.
    pub fn finish(&mut self) -> usize {
        let left = self.partial.len();
        self.partial.clear();
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn given_any_split_of_the_bytes_then_the_samples_are_the_same(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            sizes in prop::collection::vec(1usize..9, 0..40),
        ) {
            for format in [Format::Cu8, Format::Cs16] {
                let whole = Samples::new(format).decode(&bytes).to_vec();
                let (mut decoder, mut rest, mut parts) = (Samples::new(format), &bytes[..], Vec::new());
                for size in sizes.iter().copied().chain([bytes.len()]) {
                    let (part, after) = rest.split_at(size.min(rest.len()));
                    parts.extend_from_slice(decoder.decode(part));
                    rest = after;
                }
                prop_assert_eq!(&parts, &whole);
                prop_assert_eq!(decoder.finish(), bytes.len() % format.sample_bytes());
            }
        }
    }
}
