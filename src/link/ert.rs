//! The link layer of the radio: IQ bytes become checked frames.

use metertap_dsp::iq::Format;
use metertap_dsp::{Complex32, Config, ConfigError, Packet, Receiver, Tally};

/// Bytes of IQ in, packets out; any split of the bytes gives the same packets.
pub struct Ert {
    format: Format,
    receiver: Receiver,
    samples: Vec<Complex32>,
    /// Bytes of a sample whose rest has not come yet.
    partial: Vec<u8>,
}

impl Ert {
    /// # Errors
    /// Where the receiver cannot work at this rate.
    pub fn new(format: Format, config: Config) -> Result<Self, ConfigError> {
        Ok(Ert {
            format,
            receiver: Receiver::new(config)?,
            samples: Vec::new(),
            partial: Vec::with_capacity(format.sample_bytes()),
        })
    }

    /// Takes the next bytes and hands packets to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: impl FnMut(&Packet)) {
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
        self.receiver.push(&self.samples, out);
    }

    /// Finds what is left at the end, and tells how many bytes of an unfinished sample were left over.
    pub fn finish(&mut self, out: impl FnMut(&Packet)) -> usize {
        self.receiver.flush(out);
        self.partial.len()
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        self.receiver.tally()
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.receiver.noise_dbfs()
    }
}
