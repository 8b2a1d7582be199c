//! The two stages by themselves, for `benches/`: not part of the crate's interface.

use crate::bank::{Bank, Kind};
use crate::lock::{Lock, Stretch};
use crate::track::Tracks;
use crate::{Complex32, Config};

/// The search: samples in, number of bursts out.
pub struct Search {
    bank: Bank,
    tracks: Tracks,
    block: u64,
}

impl Search {
    /// For samples at `sample_rate_hz`.
    pub fn new(sample_rate_hz: f64) -> Self {
        let bank = Bank::new(sample_rate_hz);
        let tracks = Tracks::new(bank.band_reach());
        Search {
            bank,
            tracks,
            block: 0,
        }
    }

    /// Whole blocks of `samples`.
    pub fn push(&mut self, samples: &[Complex32]) -> usize {
        let mut bursts = 0;
        for block in samples.chunks_exact(self.bank.block_len()) {
            let peaks = self.bank.push(block);
            self.tracks.push(self.block, peaks, |_| bursts += 1);
            self.block += 1;
        }
        bursts
    }
}

/// The lock: one burst in, number of packets out.
pub struct Locker {
    lock: Lock,
    config: Config,
}

impl Locker {
    /// Room for bursts of `capacity` samples.
    pub fn new(config: Config, capacity: usize) -> Self {
        let lock = Lock::new(config, capacity);
        Locker { lock, config }
    }

    /// Locks on to the carrier at `offset_hz` in `samples` with noise of power `noise` each.
    pub fn run(&mut self, samples: &[Complex32], offset_hz: f64, noise: f32) -> usize {
        let stretch = Stretch {
            samples,
            first_sample: 0,
            frequency: offset_hz / self.config.sample_rate_hz,
            kind: Kind::Line,
            noise,
            window_noise: noise,
        };
        let mut packets = 0;
        self.lock.run(&stretch, |_| packets += 1);
        packets
    }
}
