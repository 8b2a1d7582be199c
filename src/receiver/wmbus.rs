//! Demodulator of wireless M-Bus and of America's FSK meters: bytes in, frames out. It works on the search thread: with 20 frames a second it needs
//! a few percent of a processor.

use crate::receiver::samples::Samples;
use anyhow::Result;
use metertap_dsp::iq::Format;
use metertap_dsp::wmbus::{Config, Frame, Modes, Receiver};
use metertap_dsp::{Complex32, Resampling, Tally, Trust};

/// Demodulator of one source.
pub struct WmbusDemod {
    receiver: Receiver,
    samples: Samples,
    trust: Trust,
    /// Number of the next sample.
    position: u64,
    frames: u64,
    doubtful: u64,
}

impl WmbusDemod {
    /// Creates a demodulator of samples that are stored as `format` around `center_hz`.
    ///
    /// # Errors
    /// Returns an error if the sample rate is out of range.
    pub fn new(
        format: Format,
        resampling: Resampling,
        center_hz: f64,
        modes: Modes,
        trust: Trust,
    ) -> Result<Self> {
        let config = Config {
            sample_rate_hz: resampling.rate_hz(),
            center_hz,
            modes,
        };
        Ok(WmbusDemod {
            receiver: Receiver::new(config)?,
            samples: Samples::new(format).resampled(resampling),
            trust,
            position: 0,
            frames: 0,
            doubtful: 0,
        })
    }

    /// Number of the next sample, as [`Frame::sample`] counts them.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes bytes and hands frames to `out`; `tap` sees the samples first, with the noise in dBFS.
    pub fn push(&mut self, bytes: &[u8], tap: impl FnOnce(&[Complex32], f32), out: impl FnMut(&Frame)) {
        let samples = self.samples.decode(bytes);
        tap(samples, self.receiver.noise_dbfs());
        self.position += samples.len() as u64;
        let mut accepted = accepted(self.trust, &mut self.frames, &mut self.doubtful, out);
        self.receiver.push(samples, &mut accepted);
    }

    /// Hands out what is left, and returns how many bytes of an unfinished sample were left over.
    pub fn flush(&mut self, out: impl FnMut(&Frame)) -> usize {
        let mut accepted = accepted(self.trust, &mut self.frames, &mut self.doubtful, out);
        self.receiver.flush(&mut accepted);
        self.samples.finish()
    }

    /// Counters since the start, under the names of those of the other family.
    pub fn tally(&self) -> Tally {
        Tally {
            samples: self.position,
            packets: self.frames,
            low_confidence: self.doubtful,
            ..Tally::default()
        }
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.receiver.noise_dbfs()
    }
}

/// Passes frames on that are sure enough, and counts them and the others.
fn accepted(
    trust: Trust,
    frames: &mut u64,
    doubtful: &mut u64,
    mut out: impl FnMut(&Frame),
) -> impl FnMut(&Frame) {
    move |frame| {
        let is_sure = frame.doubt <= trust.max_error_probability();
        if is_sure && (trust != Trust::Strict || frame.corrected == 0) {
            *frames += 1;
            out(frame);
        } else {
            *doubtful += 1;
        }
    }
}
