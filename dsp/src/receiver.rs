//! The composition: samples in, packets out.

use crate::lock::{Locker, Segment};
use crate::packet::Packet;
use crate::search::Searcher;
use crate::{Complex32, Config, ConfigError};

/// Above this SNR a packet is taken out of the samples and what it covered is looked at again: its keying
/// reaches the noise 500 kHz away, and 60 kHz away it stands 18 dB above it.
const STRONG_DB: f32 = 15.0;
/// Strong packets waiting to be taken out; more in one block's time are left in.
const MAX_STRONG: usize = 16;
/// Packets remembered to drop a second sight of the same frame (an image, a sideband, a cut burst).
const REMEMBERED: usize = 64;

/// What happened so far, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples taken.
    pub samples: u64,
    /// Bursts found by the search.
    pub segments: u64,
    /// Preambles found in them.
    pub preambles: u64,
    /// Frames whose check could be made to pass, but not believably: leads and worse.
    pub low_confidence: u64,
    /// Frames seen a second time at the same moment.
    pub duplicates: u64,
    /// Strong packets taken out to look under them.
    pub cancelled: u64,
    /// Packets handed out, leads not counted.
    pub packets: u64,
}

/// Hears every protocol on every carrier of the window.
pub struct Receiver {
    search: Searcher,
    back: Back,
}

/// What comes after the search.
struct Back {
    lock: Locker,
    dedup: Deduplicator,
}

impl Receiver {
    /// Allocates all that is ever needed.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let search = Searcher::new(config)?;
        let back = Back {
            lock: Locker::new(config, search.max_segment_len()),
            dedup: Deduplicator::new(config),
        };
        Ok(Receiver { search, back })
    }

    /// Takes the next samples (any number) and hands packets to `out` as they are found, up to 75 ms after
    /// the end of their frame.
    pub fn push(&mut self, mut samples: &[Complex32], mut out: impl FnMut(&Packet)) {
        self.back.dedup.tally.samples += samples.len() as u64;
        while !samples.is_empty() {
            self.search
                .push(&mut samples, |segment| self.back.hear(segment, &mut out));
            self.search_residual(&mut out);
        }
    }

    /// Finds what is left at the end of a recording. Samples may follow, but as after a gap.
    pub fn flush(&mut self, mut out: impl FnMut(&Packet)) {
        self.search.flush(|segment| self.back.hear(segment, &mut out));
        self.search_residual(&mut out);
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        Tally {
            preambles: self.back.lock.preambles(),
            low_confidence: self.back.lock.low_confidence(),
            ..self.back.dedup.tally
        }
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.search.noise_dbfs()
    }

    fn search_residual(&mut self, out: &mut impl FnMut(&Packet)) {
        while let Some(strong) = self.back.dedup.next_strong() {
            self.search
                .search_residual(&strong, |segment| self.back.hear(segment, out));
        }
    }
}

impl Back {
    fn hear(&mut self, segment: &Segment, out: &mut impl FnMut(&Packet)) {
        self.dedup.tally.segments += 1;
        self.lock
            .run(segment, |packet| self.dedup.pass(packet, &mut *out));
    }
}

/// Passes each frame once, and notes those under which others may be hidden.
pub struct Deduplicator {
    config: Config,
    /// Counts; those of the lock are the lock's.
    pub tally: Tally,
    strong: Vec<Packet>,
    remembered: Vec<Packet>,
    oldest: usize,
}

impl Deduplicator {
    /// For packets of a receiver so configured.
    pub fn new(config: Config) -> Self {
        Deduplicator {
            config,
            tally: Tally::default(),
            strong: Vec::with_capacity(MAX_STRONG),
            remembered: Vec::with_capacity(REMEMBERED),
            oldest: 0,
        }
    }

    /// Hands `packet` to `out`, unless it was seen before.
    pub fn pass(&mut self, packet: &Packet, mut out: impl FnMut(&Packet)) {
        if self.remembered.iter().any(|other| same(other, packet)) {
            self.tally.duplicates += 1;
            return;
        }
        if self.remembered.len() < REMEMBERED {
            self.remembered.push(*packet);
        } else {
            self.remembered[self.oldest] = *packet;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
        if !self.config.is_tentative(packet.signal.error_probability) {
            self.tally.packets += 1;
            if packet.signal.snr_db > STRONG_DB && self.strong.len() < MAX_STRONG {
                self.strong.push(*packet);
            }
        }
        out(packet);
    }

    /// A packet to be taken out of the samples ([`Searcher::search_residual`]).
    pub fn next_strong(&mut self) -> Option<Packet> {
        let strong = self.strong.pop();
        self.tally.cancelled += u64::from(strong.is_some());
        strong
    }
}

/// The same frame at the same moment.
fn same(a: &Packet, b: &Packet) -> bool {
    a.protocol == b.protocol
        && a.start_sample.abs_diff(b.start_sample) < a.len_samples.min(b.len_samples) / 2
        && a.bytes() == b.bytes()
}
