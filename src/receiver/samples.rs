//! The lowest layer of the radio: bytes of IQ become samples.

use metertap_dsp::Complex32;
use metertap_dsp::iq::Format;

/// Bytes in, samples out; any split of the bytes gives the same samples.
pub struct Samples {
    format: Format,
    samples: Vec<Complex32>,
    /// Bytes of a sample whose rest has not come yet.
    partial: Vec<u8>,
}

impl Samples {
    /// Samples stored as `format`.
    pub fn new(format: Format) -> Self {
        Samples {
            format,
            samples: Vec::new(),
            partial: Vec::with_capacity(format.sample_bytes()),
        }
    }

    /// The samples that `bytes` completes.
    pub fn decode(&mut self, mut bytes: &[u8]) -> &[Complex32] {
        let whole = self.format.sample_bytes();
        self.samples.clear();
        if !self.partial.is_empty() {
            let missing = (whole - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.partial.len() == whole {
                self.format.decode(&self.partial, &mut self.samples);
                self.partial.clear();
            }
        }
        let (samples, rest) = bytes.split_at(bytes.len() / whole * whole);
        self.format.decode(samples, &mut self.samples);
        self.partial.extend_from_slice(rest);
        &self.samples
    }

    /// Forgets an unfinished sample, and tells how many bytes of it there were.
    pub fn finish(&mut self) -> usize {
        let left = self.partial.len();
        self.partial.clear();
        left
    }
}
