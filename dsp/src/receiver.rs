//! The receiver on one thread: samples in, packets out.

use crate::executor::Inline;
use crate::expect::Expectation;
use crate::lock::Locker;
use crate::packet::Packet;
use crate::scheduler::{Scheduler, Tally};
use crate::{Complex32, Config, ConfigError};

/// Receives every protocol on every carrier of the window, on the calling thread.
pub struct Receiver {
    scheduler: Scheduler<Inline>,
}

impl Receiver {
    /// Allocates everything that is ever needed.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let inline = Inline::new(Locker::new(config)?);
        Ok(Receiver {
            scheduler: Scheduler::new(config, inline)?,
        })
    }

    /// Replaces the meters that are expected, from the next segment on; allocates. No effect with
    /// [`crate::Trust::Strict`].
    pub fn expect(&mut self, expectations: &[Expectation]) {
        self.scheduler.expect(expectations);
    }

    /// Takes the next samples (any number) and hands packets to `out`, confident ones up to about 85 ms after the
    /// end of their frame, tentative ones up to about 0.2 s after it.
    pub fn push(&mut self, samples: &[Complex32], out: impl FnMut(&Packet)) {
        match self.scheduler.push(samples, out) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Hands out what is left at the end of a recording. Samples may follow, but as after a gap.
    pub fn flush(&mut self, out: impl FnMut(&Packet)) {
        match self.scheduler.flush(out) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Counters so far.
    pub fn tally(&self) -> Tally {
        self.scheduler.tally()
    }

    /// Noise power of the window in dBFS, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.scheduler.noise_dbfs()
    }
}
