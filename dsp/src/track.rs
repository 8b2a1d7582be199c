//! Carrier tracks: joins the peaks of consecutive blocks on one carrier to a burst.

use crate::bank::{Bandwidth, MAX_PEAKS, Peak};

/// Blocks before a first peak in which its frame may begin: a peak covers its block and the one before, and the
/// frame may begin late in the one before that.
const LEAD: u64 = 2;
/// Blocks without a peak that end a burst.
const SILENCE: u64 = 2;
/// The same for a burst that may be an IDM which is expected: the line of a very weak one is lost now and then.
const IDM_SILENCE: u64 = 5;
/// Blocks in which an IDM is seen at least, of 26; all other frames are shorter.
const IDM_SHORTEST: u64 = 8;
/// Blocks after which a burst is cut (70 ms): a steady interferer must not be collected for ever.
const LONGEST: u64 = 40;
/// Strength from which a frame would have been seen in at least `SHORTEST` blocks, as the shortest one fills
/// three. A shorter burst is a sideband of a run of equal bits, or a click.
const CLEAR: f32 = 100.0;
const SHORTEST: u64 = 3;
/// Strength (-10 dB) from which every frame is decoded without an expectation, if it can be decoded at all.
const WEAK: f32 = 200.0;
/// The same for an IDM (-7 dB), which has more bits to be wrong and more blocks of which the strongest counts.
const WEAK_IDM: f32 = 400.0;
/// Distance by which a line may move from block to block, in bins (570 Hz): 20 kHz/s of drift is a tenth of that.
const LINE_REACH: f32 = 2.5;

/// Interval of time on one carrier in which there may be frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Burst {
    pub bandwidth: Bandwidth,
    /// Carrier in bins from the center of the window, mean over the burst.
    pub bin: f32,
    /// First and last block in which a frame could begin or end; `last` is inclusive.
    pub first: u64,
    pub last: u64,
    /// Noise power per sample at this carrier.
    pub noise: f32,
    /// Strength of the strongest peak.
    pub strength: f32,
}

impl Burst {
    /// Returns true if a frame of this strength may be too weak to be decoded without an expectation. A weak burst may also
    /// be longer than it was seen.
    pub fn is_weak(&self, awaits_idm: bool) -> bool {
        let weak = if awaits_idm && self.is_long() {
            WEAK_IDM
        } else {
            WEAK
        };
        self.bandwidth == Bandwidth::Narrow && self.strength < weak
    }

    /// Returns true if it is longer than any frame but an IDM.
    pub fn is_long(&self) -> bool {
        self.seen() >= IDM_SHORTEST
    }

    /// Blocks with a peak, from the first to the last.
    fn seen(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first + LEAD)
    }

    fn may_be_a_frame(&self) -> bool {
        self.strength < CLEAR || self.seen() >= SHORTEST
    }
}

/// Carriers tracked at a time.
const MAX_TRACKS: usize = 2 * MAX_PEAKS;

#[derive(Clone, Copy)]
struct Track {
    burst: Burst,
    /// Bin of the newest peak.
    bin: f32,
    /// Sum of strength and of strength · bin.
    weight: f32,
    moment: f32,
}

/// All carriers being tracked; bounded.
pub(crate) struct Tracks {
    open: Vec<Track>,
    /// Half the width of a band, in bins.
    band_reach: f32,
    awaits_idm: bool,
}

impl Tracks {
    pub fn new(band_reach: f32) -> Self {
        Tracks {
            open: Vec::with_capacity(MAX_TRACKS),
            band_reach,
            awaits_idm: false,
        }
    }

    /// Tells whether an IDM is expected.
    pub fn await_idm(&mut self, awaits_idm: bool) {
        self.awaits_idm = awaits_idm;
    }

    /// Returns true if no carrier is being tracked.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes the peaks of `block` (the newest) and hands the bursts that have ended to `ended`.
    pub fn push(&mut self, block: u64, peaks: &[Peak], mut ended: impl FnMut(Burst)) {
        for peak in peaks {
            self.take(block, peak);
        }
        let mut i = 0;
        while i < self.open.len() {
            let track = &mut self.open[i];
            let burst = track.ended();
            let silence = if self.awaits_idm && burst.is_long() && burst.is_weak(true) {
                IDM_SILENCE
            } else {
                SILENCE
            };
            if block >= burst.last + silence {
                self.open.swap_remove(i);
                if burst.may_be_a_frame() {
                    ended(burst);
                }
                continue;
            }
            if block >= burst.first + LONGEST {
                // Frames that have begun but not ended will be found again, whole, in the next part.
                track.burst.first = block.saturating_sub(LONGEST * 2 / 3);
                ended(burst);
            }
            i += 1;
        }
    }

    /// Ends every burst.
    pub fn flush(&mut self, mut ended: impl FnMut(Burst)) {
        for burst in self.open.drain(..).map(|track| track.ended()) {
            if burst.may_be_a_frame() {
                ended(burst);
            }
        }
    }

    /// Takes over the tracks still open in `other`, which has seen the same blocks.
    pub fn adopt(&mut self, other: &mut Tracks) {
        for track in other.open.drain(..) {
            match self.near(track.burst.bandwidth, track.bin) {
                Some(i) => self.open[i].burst.first = self.open[i].burst.first.min(track.burst.first),
                None if self.open.len() < MAX_TRACKS => self.open.push(track),
                None => {}
            }
        }
    }

    /// Returns the index of the open track to which a peak at `bin` belongs.
    fn near(&self, bandwidth: Bandwidth, bin: f32) -> Option<usize> {
        self.open.iter().position(|track| {
            let apart = (track.bin - bin).abs();
            match (track.burst.bandwidth, bandwidth) {
                (Bandwidth::Narrow, Bandwidth::Narrow) => apart < LINE_REACH,
                _ => apart < self.band_reach,
            }
        })
    }

    fn take(&mut self, block: u64, peak: &Peak) {
        match self.near(peak.bandwidth, peak.bin) {
            Some(i) if self.open[i].burst.bandwidth == peak.bandwidth => self.open[i].extend(block, peak),
            // Energy around a known line belongs to that line; a line within a known band is tracked beside it.
            Some(_) if peak.bandwidth == Bandwidth::Wide => {}
            _ if self.open.len() < MAX_TRACKS => self.open.push(Track::new(block, peak)),
            _ => {}
        }
    }
}

impl Track {
    fn new(block: u64, peak: &Peak) -> Self {
        let burst = Burst {
            bandwidth: peak.bandwidth,
            bin: peak.bin,
            first: block.saturating_sub(LEAD),
            last: block,
            noise: peak.noise,
            strength: peak.strength,
        };
        let mut track = Track {
            burst,
            bin: peak.bin,
            weight: 0.0,
            moment: 0.0,
        };
        track.extend(block, peak);
        track
    }

    fn extend(&mut self, block: u64, peak: &Peak) {
        self.burst.last = block;
        self.bin = peak.bin;
        self.weight += peak.strength;
        self.moment += peak.strength * peak.bin;
        if peak.strength > self.burst.strength {
            self.burst.strength = peak.strength;
        }
    }

    fn ended(&self) -> Burst {
        Burst {
            bin: self.moment / self.weight,
            ..self.burst
        }
    }
}
