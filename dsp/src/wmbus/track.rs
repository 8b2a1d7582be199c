//! Tracks: joins what the search finds in consecutive blocks around one carrier to a burst, and measures its spectrum.

/// Blocks before a first detection in which a frame may begin.
pub(super) const LEAD: u64 = 2;
/// Blocks without a detection that end a burst.
const SILENCE: u64 = 2;
/// Weight of a new peak in the carrier of a burst.
const BIN_WEIGHT: f32 = 0.25;
/// Power over the noise of the band that a frame of less than `WEAK_BLOCKS` blocks has: mode T needs 1.8 times the noise, and
/// mode S, which needs 0.7 times the noise, fills more blocks.
const SHORT_STRENGTH: f32 = 0.8;
const WEAK_BLOCKS: u32 = 5;
/// Bursts tracked at a time.
pub(super) const MAX_TRACKS: usize = 12;

/// Band that stands out in the newest block or the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// Middle, in bins from the center of the window.
    pub bin: f32,
    /// Power over the noise of the band.
    pub strength: f32,
}

/// Interval of time around one carrier in which there may be frames.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    /// First and last block, inclusive.
    pub first: u64,
    pub last: u64,
    pub bin: f32,
    pub strength: f32,
    /// Power over the floor of every bin, added up over `blocks` blocks.
    pub spectrum: Vec<f32>,
    pub blocks: u32,
    /// Longer than any frame: an interferer.
    pub is_endless: bool,
}

impl Burst {
    /// Returns false for what is too weak for a short frame and too short for a weak one.
    fn may_be_a_frame(&self) -> bool {
        self.blocks >= WEAK_BLOCKS || self.strength >= SHORT_STRENGTH
    }
}

/// All bursts being tracked.
pub(super) struct Tracks {
    open: Vec<Burst>,
    /// Spectra that are not in use.
    spare: Vec<Vec<f32>>,
    /// Distance of carriers that belong together, in bins.
    reach: f32,
    /// Blocks after which a burst is cut.
    longest: u64,
}

impl Tracks {
    pub fn new(bins: usize, reach: f32, longest: u64) -> Self {
        Tracks {
            open: Vec::with_capacity(MAX_TRACKS),
            spare: vec![vec![0.0; bins]; MAX_TRACKS],
            reach,
            longest,
        }
    }

    /// Returns the first block of any open burst.
    pub fn first(&self) -> Option<u64> {
        self.open.iter().map(|burst| burst.first).min()
    }

    /// Returns the carriers of bursts that may be frames, in bins, and the reach around them. While the floors are not settled
    /// a weak burst is likelier to be the shape of the noise.
    pub fn carriers(&self, is_settled: bool) -> (impl Iterator<Item = f32> + '_, f32) {
        let least = if is_settled { 0.0 } else { SHORT_STRENGTH };
        let may_be_frame = move |burst: &&Burst| !burst.is_endless && burst.strength >= least;
        let open = self.open.iter().filter(may_be_frame);
        (open.map(|burst| burst.bin), self.reach)
    }

    /// Takes the peaks of `block` and its powers over the floor; hands bursts that have ended to `ended`.
    pub fn push(&mut self, block: u64, peaks: &[Peak], powers: &[f32], mut ended: impl FnMut(&Burst)) {
        for peak in peaks {
            self.take(block, peak);
        }
        for burst in &mut self.open {
            if burst.last == block {
                burst.blocks += 1;
                for (sum, power) in burst.spectrum.iter_mut().zip(powers) {
                    *sum += power;
                }
            }
        }
        let mut i = 0;
        while i < self.open.len() {
            if block >= self.open[i].last + SILENCE {
                let burst = self.open.swap_remove(i);
                if burst.may_be_a_frame() {
                    ended(&burst);
                }
                self.spare.push(burst.spectrum);
                continue;
            }
            if block >= self.open[i].first + self.longest {
                let burst = &mut self.open[i];
                ended(burst);
                // A frame that has begun but not ended is found again in the next part.
                burst.first = block.saturating_sub(self.longest / 3);
                burst.is_endless = true;
            }
            i += 1;
        }
    }

    /// Ends every burst.
    pub fn flush(&mut self, mut ended: impl FnMut(&Burst)) {
        while let Some(burst) = self.open.pop() {
            ended(&burst);
            self.spare.push(burst.spectrum);
        }
    }

    fn take(&mut self, block: u64, peak: &Peak) {
        let near = |burst: &&mut Burst| (burst.bin - peak.bin).abs() < self.reach;
        if let Some(burst) = self.open.iter_mut().find(near) {
            burst.last = block;
            burst.bin += (peak.bin - burst.bin) * BIN_WEIGHT;
            burst.strength = burst.strength.max(peak.strength);
            return;
        }
        if let Some(mut spectrum) = self.spare.pop() {
            spectrum.fill(0.0);
            self.open.push(Burst {
                first: block.saturating_sub(LEAD),
                last: block,
                bin: peak.bin,
                strength: peak.strength,
                spectrum,
                blocks: 0,
                is_endless: false,
            });
        }
    }
}
