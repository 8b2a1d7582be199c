//! Search: finds the segments of the samples in which there may be frames.

use crate::bank::{Bank, block_len};
use crate::cancel::{Canceler, Keyed};
use crate::expect::Expected;
use crate::packet::Packet;
use crate::segment::{DELAY, Detection, Segment};
use crate::track::{Burst, Tracks};
use crate::{CHIP_RATE_HZ, Complex32, Config, ConfigError, Protocol};
use std::sync::Arc;

/// Blocks of history: the longest burst, the reach before and after it, and slack.
const HISTORY_BLOCKS: u64 = 52;
/// Room for so many histories: samples that are still needed are moved to the front when it is full, so a third of all samples
/// are moved on a busy band, where two would mean all of them. 6.8 MB at 2.36 MS/s.
const HISTORIES: usize = 4;
/// Blocks for which all history is kept after a segment was found: its packet may yet be canceled, and then
/// again one found in the residual.
const CANCEL_BLOCKS: u64 = 3 * DELAY;
/// Blocks kept while nothing is found: the reach before a burst, and slack.
const QUIET_BLOCKS: u64 = 8;
/// Weight per block with which the DC offset of the receiver, the mean of the samples, is tracked.
const DC_WEIGHT: f32 = 1.0 / 64.0;
/// Blocks before a strong frame in which a weak one under it may begin: the longest frame has 26.
const UNDER_BLOCKS: u64 = 27;
/// Bursts that may end at once; more are dropped and counted.
const MAX_ENDED: usize = 256;

/// Watches every carrier, and keeps as much history as the longest frame needs.
pub struct Searcher {
    config: Config,
    bank: Bank,
    tracks: Tracks,
    canceler: Canceler,
    /// Carriers under a strong packet.
    under: Tracks,
    /// Samples less their mean; the first is number `origin`.
    history: Vec<Complex32>,
    origin: u64,
    /// Blocks searched so far.
    blocks: u64,
    dc: Option<Complex32>,
    window_noise: f32,
    ended: Vec<Burst>,
    /// Blocks searched when a segment was last found.
    last_found: u64,
    dropped: u64,
    max_segment_len: usize,
    expected: Option<Arc<Expected>>,
}

/// Blocks that hold an IDM which ends in the last five of them: the first part of the line of a very weak one may not be seen.
const IDM_BLOCKS: u64 = 31;

/// Samples of the longest segment.
pub(crate) fn max_segment_len(sample_rate_hz: f64) -> usize {
    HISTORY_BLOCKS as usize * block_len(sample_rate_hz)
}

impl Searcher {
    /// Allocates everything that is ever needed.
    ///
    /// # Errors
    /// [`ConfigError::SampleRate`] outside 1.0 to 3.2 MS/s.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let rate = config.sample_rate_hz;
        let bank = Bank::new(rate);
        let history = max_segment_len(rate);
        Ok(Searcher {
            config,
            tracks: Tracks::new(bank.band_reach()),
            under: Tracks::new(bank.band_reach()),
            canceler: Canceler::new(rate, history),
            history: Vec::with_capacity(HISTORIES * history),
            origin: 0,
            blocks: 0,
            dc: None,
            window_noise: 1e-12,
            ended: Vec::with_capacity(MAX_ENDED),
            last_found: 0,
            dropped: 0,
            max_segment_len: history,
            bank,
            expected: None,
        })
    }

    /// Replaces the meters expected in the segments to come.
    pub fn expect(&mut self, expected: Option<Arc<Expected>>) {
        self.expected = expected;
        self.tracks.await_idm(self.awaits_idm());
    }

    /// Returns the number of the next sample to be pushed, as packets count them.
    pub fn position(&self) -> u64 {
        self.origin + self.history.len() as u64
    }

    /// Returns the number of blocks searched so far; a block is about 1.75 ms.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Takes samples off the front of `samples` until a block is full, searches it and hands the segments that
    /// have ended in it to `found`, the strongest first. Returns whether the block was filled.
    pub fn push(&mut self, samples: &mut &[Complex32], found: impl FnMut(&Segment)) -> bool {
        if self.history.len() == HISTORIES * self.max_segment_len {
            self.forget();
        }
        let missing = self.missing();
        let (head, rest) = samples.split_at(missing.min(samples.len()));
        self.history.extend_from_slice(head);
        *samples = rest;
        let is_complete = head.len() == missing;
        if is_complete {
            self.search_block();
            self.hand_out(found);
        }
        is_complete
    }

    /// Ends every segment. Samples may follow, but as after a gap.
    pub fn flush(&mut self, mut found: impl FnMut(&Segment)) {
        // The last block is filled up with silence, so that its samples are searched as well.
        let fill = [self.dc.unwrap_or_default(); 64];
        while self.missing() < self.bank.block_len() {
            let mut part = &fill[..self.missing().min(fill.len())];
            self.push(&mut part, &mut found);
        }
        // Also of a recording in which nothing was found.
        self.window_noise = self.bank.noise();
        let (ended, dropped) = (&mut self.ended, &mut self.dropped);
        self.tracks.flush(|burst| keep(ended, burst, dropped));
        self.hand_out(found);
    }

    /// Segments lost because more bursts than [`MAX_ENDED`] ended at once.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Cancels a strong packet in the history, as far as it is still there, and hands the segments found in the
    /// residual to `found`. Carriers that are still on the air there are followed on by [`Searcher::push`].
    pub fn search_residual(&mut self, packet: &Packet, found: impl FnMut(&Segment)) {
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
        self.canceler
            .cancel(&mut self.history[keyed_from..keyed_to], keyed);
        let (under, ended, dropped) = (&mut self.under, &mut self.ended, &mut self.dropped);
        let mut number = from_block;
        self.bank.search_again(&self.history[from..searched], |peaks| {
            under.push(number, peaks, |burst| keep(ended, burst, dropped));
            number += 1;
        });
        self.tracks.adopt(under);
        self.hand_out(found);
    }

    /// Returns the noise power of the window in dBFS.
    pub fn noise_dbfs(&self) -> f32 {
        10.0 * self.window_noise.log10()
    }

    /// Returns the number of samples missing in the block that is being filled.
    fn missing(&self) -> usize {
        let searched = (self.blocks * self.bank.block_len() as u64 - self.origin) as usize;
        self.bank.block_len() - (self.history.len() - searched)
    }

    /// Drops history that is no longer needed: while a burst is open or a segment may be under way, a packet
    /// may come of it that has to be canceled, and with it weak frames that began long before; in quiet times
    /// nearly everything, so that there is little to move.
    fn forget(&mut self) {
        let block = self.bank.block_len() as u64;
        let is_quiet = self.tracks.is_empty() && self.blocks > self.last_found + CANCEL_BLOCKS;
        let kept = if is_quiet && !self.awaits_idm() {
            QUIET_BLOCKS
        } else {
            HISTORY_BLOCKS - 1
        };
        let keep_from = self.blocks.saturating_sub(kept);
        let drop = (keep_from * block).saturating_sub(self.origin) as usize;
        self.history.drain(..drop);
        self.origin += drop as u64;
    }

    fn awaits_idm(&self) -> bool {
        self.expected
            .as_ref()
            .is_some_and(|expected| !expected.idms.is_empty())
    }

    fn search_block(&mut self) {
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
        let (ended, dropped) = (&mut self.ended, &mut self.dropped);
        self.tracks
            .push(self.blocks, peaks, |burst| keep(ended, burst, dropped));
        self.blocks += 1;
    }

    fn hand_out(&mut self, mut found: impl FnMut(&Segment)) {
        if self.ended.is_empty() {
            return;
        }
        self.last_found = self.blocks;
        self.window_noise = self.bank.noise();
        // The strongest first: the weakest are dropped if there are too many.
        self.ended
            .sort_unstable_by(|a, b| b.strength.total_cmp(&a.strength));
        let (block, max_len) = (self.bank.block_len() as u64, self.max_segment_len as u64);
        let awaits_idm = self.awaits_idm();
        for burst in self.ended.drain(..) {
            let expected = self.expected.as_ref().filter(|_| burst.is_weak(awaits_idm));
            let (more_before, more_after) = expected.map_or((0, 0), |_| (2, 1));
            let to = ((burst.last + 2 + more_after) * block).min(self.origin + self.history.len() as u64);
            // A residual may lengthen an open burst beyond what a locker has room for.
            let from = (burst.first.saturating_sub(more_before) * block)
                .max(to.saturating_sub(max_len))
                .max(self.origin);
            if to <= from {
                continue;
            }
            let mut lead = 0;
            if awaits_idm && burst.is_long() && expected.is_some() {
                lead = from - to.saturating_sub(IDM_BLOCKS * block).clamp(self.origin, from);
            }
            let from = from - lead;
            let noise_around = expected.map_or(0.0, |_| self.bank.noise_around(burst.bin));
            let spur = expected.and_then(|_| self.bank.spur_around(burst.bin, noise_around));
            found(&Segment {
                samples: &self.history[(from - self.origin) as usize..(to - self.origin) as usize],
                detection: Detection {
                    first_sample: from,
                    lead: lead as usize,
                    frequency: f64::from(burst.bin) / block as f64,
                    bandwidth: burst.bandwidth,
                    noise: burst.noise,
                    noise_around,
                    spur: spur.map(|bin| f64::from(bin) / block as f64),
                    window_noise: self.window_noise,
                },
                expected,
            });
        }
    }
}

fn keep(ended: &mut Vec<Burst>, burst: Burst, dropped: &mut u64) {
    if ended.len() < MAX_ENDED {
        ended.push(burst);
    } else {
        *dropped += 1;
    }
}

/// The longest frame fits into what is kept.
const _: () = assert!(Protocol::MAX_CHIPS as f64 / 32_768.0 < 0.045);
