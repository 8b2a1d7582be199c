//! The receiver on one thread: samples in, frames out.

use super::config::{Config, ConfigError};
use super::dedup::Deduplicator;
use super::frame::Frame;
use super::lock::Lock;
use super::mode::Modes;
use super::search::Search;
use crate::Complex32;

/// Modes that the narrow search finds.
const NARROW: Modes = Modes(Modes::R2.0 | Modes::N.0 | Modes::F2.0);

/// Receives wireless M-Bus on every carrier of the window, on the calling thread.
pub struct Receiver {
    search: Search,
    lock: Lock,
    dedup: Deduplicator,
}

impl Receiver {
    /// Allocates everything that is ever needed.
    ///
    /// # Errors
    /// [`ConfigError`] for a rate outside 1.0 to 3.2 MS/s, a center that is not a number, and an empty set of modes.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Receiver {
            search: Search::new(config.sample_rate_hz, config.modes.intersects(NARROW)),
            lock: Lock::new(config),
            dedup: Deduplicator::new(config.sample_rate_hz),
        })
    }

    /// Takes the next samples (any number) and hands frames to `out`, some milliseconds after their end.
    pub fn push(&mut self, mut samples: &[Complex32], mut out: impl FnMut(&Frame)) {
        let (lock, dedup) = (&mut self.lock, &mut self.dedup);
        while !samples.is_empty() {
            self.search.push(&mut samples, |segment| {
                lock.run(segment, |frame| {
                    if dedup.is_new(frame) {
                        out(frame);
                    }
                });
            });
        }
    }

    /// Hands out what is left at the end of a recording. Samples may follow, but as after a gap.
    pub fn flush(&mut self, mut out: impl FnMut(&Frame)) {
        let (lock, dedup) = (&mut self.lock, &mut self.dedup);
        self.search.flush(|segment| {
            lock.run(segment, |frame| {
                if dedup.is_new(frame) {
                    out(frame);
                }
            });
        });
    }

    /// Returns the noise power of the window in dBFS, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.search.noise_dbfs()
    }
}
