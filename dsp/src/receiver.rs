//! The composition: samples in, packets out.

use crate::bank::Bank;
use crate::lock::{Lock, Stretch};
use crate::packet::Packet;
use crate::peel::{Keyed, Peeler};
use crate::track::{Burst, Tracks};
use crate::{CHIP_RATE_HZ, Complex32, Protocol};
use std::str::FromStr;

/// Blocks of history: the longest burst, the reach before and after it, and slack.
const HISTORY_BLOCKS: u64 = 52;
/// The mean of the samples is the receiver's DC offset; it is followed with this weight per block.
const DC_WEIGHT: f32 = 1.0 / 64.0;
/// Above this SNR a packet is taken out of the samples and what it covered is looked at again: its keying
/// reaches the noise 500 kHz away, and 60 kHz away it stands 18 dB above it.
const STRONG_DB: f32 = 15.0;
/// Blocks that a weak frame under a strong one may begin before it: the longest frame has 26.
const UNDER_BLOCKS: u64 = 27;
/// Bursts that may end at once; more are lost.
const MAX_ENDED: usize = 256;
/// Strong packets waiting to be taken out; more in one block's time are left in.
const MAX_STRONG: usize = 16;
/// Packets remembered to drop a second sight of the same frame (an image, a sideband, a cut burst).
const REMEMBERED: usize = 64;

/// The greatest doubt of a lead: wrong about once in four times.
const LEAD: f32 = 0.3;

/// How much doubt is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// No corrections; a clean check of a clearly heard frame.
    Strict,
    /// Up to three corrections where they are some thousand times likelier than any other explanation.
    #[default]
    Normal,
    /// The same, where they are thirty times likelier.
    Eager,
}

impl Trust {
    /// The greatest doubt accepted.
    pub fn limit(self) -> f32 {
        match self {
            Trust::Strict | Trust::Normal => 7e-4,
            Trust::Eager => 3e-2,
        }
    }

    /// Corrections allowed in a frame.
    pub fn max_flips(self) -> usize {
        match self {
            Trust::Strict => 0,
            Trust::Normal | Trust::Eager => 3,
        }
    }
}

/// A word that is no [`Trust`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no degree of trust: use strict, normal or eager")]
pub struct UnknownTrust(String);

impl FromStr for Trust {
    type Err = UnknownTrust;

    fn from_str(name: &str) -> Result<Self, UnknownTrust> {
        match name {
            "strict" => Ok(Trust::Strict),
            "normal" => Ok(Trust::Normal),
            "eager" => Ok(Trust::Eager),
            _ => Err(UnknownTrust(name.into())),
        }
    }
}

/// What a receiver needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Samples per second, 1.0 to 3.2 million.
    pub sample_rate_hz: f64,
    /// What to believe.
    pub trust: Trust,
    /// Hand out leads as well: frames that cannot stand alone (see [`Config::is_lead`]), for a caller who
    /// knows the meters.
    pub leads: bool,
}

impl Config {
    /// Whether a packet with this `doubt` is but a lead, to be believed only where something else speaks
    /// for it.
    pub fn is_lead(&self, doubt: f32) -> bool {
        doubt > self.trust.limit()
    }

    /// The greatest doubt handed out. Strict hears no leads: what it needs are clean frames, not more words.
    pub(crate) fn max_doubt(&self) -> f32 {
        if self.leads && self.trust != Trust::Strict {
            LEAD
        } else {
            self.trust.limit()
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// The rate does not suit the protocols.
    #[error(
        "a sample rate of {0} S/s cannot be used: ERT needs 1 000 000 to 3 200 000 (2 359 296 is customary)"
    )]
    SampleRate(f64),
}

/// What happened so far, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Samples taken.
    pub samples: u64,
    /// Bursts found by the search.
    pub bursts: u64,
    /// Preambles found in them.
    pub preambles: u64,
    /// Frames whose check could be made to pass, but not believably: leads and worse.
    pub doubtful: u64,
    /// Frames seen a second time at the same moment.
    pub duplicates: u64,
    /// Strong packets taken out to look under them.
    pub peeled: u64,
    /// Packets handed out, leads not counted.
    pub packets: u64,
}

/// Hears every protocol on every carrier of the window.
pub struct Receiver {
    config: Config,
    bank: Bank,
    tracks: Tracks,
    lock: Lock,
    peeler: Peeler,
    /// Carriers under a strong packet.
    under: Tracks,
    strong: Vec<Packet>,
    tally: Tally,
    /// Samples less their mean; the first is number `origin`.
    history: Vec<Complex32>,
    origin: u64,
    /// Blocks searched so far.
    blocks: u64,
    dc: Option<Complex32>,
    window_noise: f32,
    ended: Vec<Burst>,
    remembered: Vec<Packet>,
    oldest: usize,
}

impl Receiver {
    /// Allocates all that is ever needed.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let rate = config.sample_rate_hz;
        if !(1.0e6..=3.2e6).contains(&rate) {
            return Err(ConfigError::SampleRate(rate));
        }
        let bank = Bank::new(rate);
        let history = HISTORY_BLOCKS as usize * bank.block_len();
        Ok(Receiver {
            config,
            tracks: Tracks::new(bank.band_reach()),
            under: Tracks::new(bank.band_reach()),
            peeler: Peeler::new(rate, history),
            strong: Vec::with_capacity(MAX_STRONG),
            lock: Lock::new(config, history),
            tally: Tally::default(),
            // Twice what is needed, so that old samples are moved out of the way only now and then.
            history: Vec::with_capacity(2 * history),
            origin: 0,
            blocks: 0,
            dc: None,
            window_noise: 1e-12,
            ended: Vec::with_capacity(MAX_ENDED),
            remembered: Vec::with_capacity(REMEMBERED),
            oldest: 0,
            bank,
        })
    }

    /// Takes the next samples (any number) and hands packets to `out` as they are found, up to 75 ms after
    /// the end of their frame.
    pub fn push(&mut self, mut samples: &[Complex32], mut out: impl FnMut(&Packet)) {
        self.tally.samples += samples.len() as u64;
        while !samples.is_empty() {
            if self.history.len() == self.history.capacity() {
                self.forget();
            }
            let searched = (self.blocks * self.bank.block_len() as u64 - self.origin) as usize;
            let filled = self.history.len() - searched;
            let take = (self.bank.block_len() - filled).min(samples.len());
            let (head, rest) = samples.split_at(take);
            self.history.extend_from_slice(head);
            samples = rest;
            if filled + take == self.bank.block_len() {
                self.search_block(&mut out);
            }
        }
    }

    /// Finds what is left at the end of a recording. Samples may follow, but as after a gap.
    pub fn flush(&mut self, mut out: impl FnMut(&Packet)) {
        // The last block is filled up with zeros, so that its samples are searched as well.
        let block = self.bank.block_len();
        let filled = self.history.len() % block;
        if filled > 0 {
            let fill = self.dc.unwrap_or_default();
            let zeros = [fill; 64];
            let mut left = block - filled;
            while left > 0 {
                let part = left.min(zeros.len());
                self.push(&zeros[..part], &mut out);
                self.tally.samples -= part as u64;
                left -= part;
            }
        }
        let ended = &mut self.ended;
        self.tracks.flush(|burst| keep(ended, burst));
        self.lock_ended(&mut out);
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        Tally {
            preambles: self.lock.preambles,
            doubtful: self.lock.doubtful,
            ..self.tally
        }
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        10.0 * self.window_noise.log10()
    }

    /// Drops history that no open burst needs.
    fn forget(&mut self) {
        let block = self.bank.block_len() as u64;
        let keep_from = self
            .tracks
            .oldest()
            .unwrap_or(self.blocks)
            .min(self.blocks.saturating_sub(3))
            .max(self.blocks.saturating_sub(HISTORY_BLOCKS - 1));
        let drop = (keep_from * block).saturating_sub(self.origin) as usize;
        self.history.drain(..drop);
        self.origin += drop as u64;
    }

    fn search_block(&mut self, out: &mut impl FnMut(&Packet)) {
        let len = self.bank.block_len();
        let start = self.history.len() - len;
        let block = &mut self.history[start..];
        let mean = block.iter().sum::<Complex32>() / len as f32;
        let dc = self.dc.get_or_insert(mean);
        *dc += (mean - *dc) * DC_WEIGHT;
        let dc = *dc;
        for sample in block.iter_mut() {
            *sample -= dc;
        }
        let peaks = self.bank.push(block);
        let ended = &mut self.ended;
        self.tracks.push(self.blocks, peaks, |burst| keep(ended, burst));
        self.blocks += 1;
        if !self.ended.is_empty() {
            self.lock_ended(out);
        }
    }

    fn lock_ended(&mut self, out: &mut impl FnMut(&Packet)) {
        self.window_noise = self.bank.noise();
        self.lock_all(out);
        while let Some(packet) = self.strong.pop() {
            self.tally.peeled += 1;
            self.look_under(&packet);
            self.lock_all(out);
        }
    }

    fn lock_all(&mut self, out: &mut impl FnMut(&Packet)) {
        // The strongest first: what it explains need not be believed of the others.
        self.ended
            .sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength));
        let mut ended = std::mem::take(&mut self.ended);
        for burst in ended.drain(..) {
            self.tally.bursts += 1;
            self.lock_one(&burst, out);
        }
        self.ended = ended;
    }

    /// Takes a strong packet out of the history and looks for what it hid: bursts that have ended join
    /// `ended`, others the open tracks.
    fn look_under(&mut self, packet: &Packet) {
        let rate = self.config.sample_rate_hz;
        let block = self.bank.block_len() as u64;
        let first_block = packet.start_sample / block;
        let from_block = first_block
            .saturating_sub(UNDER_BLOCKS)
            .max(self.origin.div_ceil(block));
        let searched = (self.blocks * block - self.origin) as usize;
        let from = ((from_block * block).saturating_sub(self.origin) as usize).min(searched);
        let keyed_from = (first_block.saturating_sub(1).max(from_block) * block - self.origin) as usize;
        let keyed_to = (packet.start_sample + packet.len_samples).saturating_sub(self.origin) as usize;
        let keyed_to = (keyed_to + block as usize).min(searched);
        if keyed_from >= keyed_to {
            return;
        }
        let keyed = Keyed {
            frequency: packet.signal.offset_hz / rate,
            start: packet.start_sample as f64 - self.origin as f64 - keyed_from as f64,
            chip: rate / CHIP_RATE_HZ * (1.0 + f64::from(packet.signal.clock_ppm) * 1e-6),
            power: 10f32.powf(packet.signal.level_dbfs / 10.0),
        };
        self.peeler.peel(&mut self.history[keyed_from..keyed_to], keyed);
        let (under, ended) = (&mut self.under, &mut self.ended);
        let mut number = from_block;
        self.bank.look_again(&self.history[from..searched], |peaks| {
            under.push(number, peaks, |burst| keep(ended, burst));
            number += 1;
        });
        self.tracks.adopt(under);
    }

    fn lock_one(&mut self, burst: &Burst, out: &mut impl FnMut(&Packet)) {
        let block = self.bank.block_len() as u64;
        let from = (burst.first * block).max(self.origin);
        let to = ((burst.last + 2) * block).min(self.origin + self.history.len() as u64);
        if to <= from {
            return;
        }
        let stretch = Stretch {
            samples: &self.history[(from - self.origin) as usize..(to - self.origin) as usize],
            first_sample: from,
            frequency: f64::from(burst.bin) / block as f64,
            kind: burst.kind,
            noise: burst.noise,
            window_noise: self.window_noise,
        };
        let config = self.config;
        let (tally, remembered, oldest) = (&mut self.tally, &mut self.remembered, &mut self.oldest);
        let strong = &mut self.strong;
        self.lock.run(&stretch, |packet| {
            if remembered.iter().any(|other| same(other, packet)) {
                tally.duplicates += 1;
                return;
            }
            if remembered.len() < REMEMBERED {
                remembered.push(*packet);
            } else {
                remembered[*oldest] = *packet;
                *oldest = (*oldest + 1) % REMEMBERED;
            }
            tally.packets += u64::from(!config.is_lead(packet.signal.doubt));
            let is_strong = packet.signal.snr_db > STRONG_DB && !config.is_lead(packet.signal.doubt);
            if is_strong && strong.len() < MAX_STRONG {
                strong.push(*packet);
            }
            out(packet);
        });
    }

    /// What the receiver was made with.
    pub fn config(&self) -> Config {
        self.config
    }
}

fn keep(ended: &mut Vec<Burst>, burst: Burst) {
    if ended.len() < MAX_ENDED {
        ended.push(burst);
    }
}

/// The same frame at the same moment.
fn same(a: &Packet, b: &Packet) -> bool {
    a.protocol == b.protocol
        && a.start_sample.abs_diff(b.start_sample) < a.len_samples.min(b.len_samples) / 2
        && a.bytes() == b.bytes()
}

/// The longest frame fits into what is kept.
const _: () = assert!(Protocol::MAX_CHIPS as f64 / 32_768.0 < 0.045);
