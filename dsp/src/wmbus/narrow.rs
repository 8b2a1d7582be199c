//! Narrow search: finds the modes R, N and F, whose signals are 7 to 20 kHz wide and up to a second long.
//!
//! Their energy drowns in a band of 200 kHz and in a block of 0.9 ms. The spectra of 16 blocks are therefore added up and bands
//! of 14 kHz compared with the noise, which strays by 7 % in them. A second of samples would fill the memory; a band that
//! stands out gets a *slot* instead, which keeps its carrier's samples at a lower rate.

use super::segment::{Detection, Estimate};
use super::tones::Cells;
use crate::Complex32;

/// Blocks whose spectra are added up.
const GROUP: u32 = 16;
/// Width of a band.
const BAND_HZ: f64 = 14e3;
/// Standard deviations by which a band must exceed the noise.
const THRESHOLD: f32 = 6.5;
/// Share of the power within [`AROUND_HZ`] that lies in the band of a narrow signal.
const CONCENTRATION: f32 = 0.5;
const AROUND_HZ: f64 = 100e3;
/// Distance within which detections are one signal.
const REACH_HZ: f64 = 20e3;
/// Share of a stronger signal around it below which a band is its splatter.
const SPLATTER: f32 = 0.03;
/// Blocks before a detection that are kept: two groups, and the preamble.
pub(super) const LEAD: u64 = 56;
/// Groups without a detection that end a signal.
const SILENCE: u32 = 2;
/// Signals followed at a time.
const SLOTS: usize = 4;
/// Longest frame in seconds: 292 bytes of mode R with its preamble, and the lead.
const LONGEST_S: f64 = 1.1;
/// Lowest rate of the samples kept.
const LOWEST_RATE_HZ: f64 = 55e3;
/// Bins of a slot's spectrum.
const BINS: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Open,
    /// Longer than any frame: an interferer, whose end is awaited.
    Endless,
}

/// One signal being followed.
struct Slot {
    state: State,
    cells: Cells,
    /// Carrier in bins from the center of the window.
    bin: i32,
    first_sample: u64,
    silent_groups: u32,
    /// Power over the floor of the bins around the carrier, and the groups in it.
    spectrum: [f32; BINS],
    groups: u32,
}

/// Watches for narrow signals.
pub(super) struct Narrow {
    sums: Vec<f32>,
    blocks: u32,
    slots: Vec<Slot>,
    bin_hz: f64,
    max_cells: usize,
}

/// What the search knows of a block.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    /// Samples from [`LEAD`] blocks before, if they are there, to the end of the block; the first is number `first_sample`.
    pub history: &'a [Complex32],
    pub first_sample: u64,
    /// Power of each bin over its floor, and the floors.
    pub powers: &'a [f32],
    pub floor: &'a [f32],
}

impl Narrow {
    pub fn new(sample_rate_hz: f64, block_len: usize) -> Self {
        // A divisor of the length of a block.
        let decimation = 1 << (sample_rate_hz / LOWEST_RATE_HZ).log2() as u32;
        let max_cells = (LONGEST_S * sample_rate_hz) as usize / decimation;
        let slot = |_| Slot {
            state: State::Free,
            cells: Cells::with_decimation(decimation, max_cells * decimation + block_len),
            bin: 0,
            first_sample: 0,
            silent_groups: 0,
            spectrum: [0.0; BINS],
            groups: 0,
        };
        Narrow {
            sums: vec![0.0; block_len],
            blocks: 0,
            slots: (0..SLOTS).map(slot).collect(),
            bin_hz: sample_rate_hz / block_len as f64,
            max_cells,
        }
    }

    /// Returns the carriers of signals that may be frames, in bins, and the reach around them.
    pub fn carriers(&self) -> (impl Iterator<Item = i32> + '_, i32) {
        let open = self.slots.iter().filter(|slot| slot.state == State::Open);
        (open.map(|slot| slot.bin), (REACH_HZ / 2.0 / self.bin_hz) as i32)
    }

    /// Takes the next block; hands signals that have ended to `found`.
    pub fn push(&mut self, block: Block, mut found: impl FnMut(&mut Cells, &Detection)) {
        let len = self.sums.len();
        for (sum, power) in self.sums.iter_mut().zip(block.powers) {
            *sum += power;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::Open) {
            let newest = &block.history[block.history.len() - len..];
            slot.cells.append(newest);
            if slot.cells.values().len() >= self.max_cells {
                slot.hand_out(block.floor, &mut found);
                slot.state = State::Endless;
            }
        }
        self.blocks += 1;
        if self.blocks == GROUP {
            self.end_group(block);
            for slot in &mut self.slots {
                if slot.state != State::Free && slot.silent_groups > SILENCE {
                    if slot.state == State::Open {
                        slot.hand_out(block.floor, &mut found);
                    }
                    slot.state = State::Free;
                }
            }
        }
    }

    /// Ends every signal.
    pub fn flush(&mut self, floor: &[f32], mut found: impl FnMut(&mut Cells, &Detection)) {
        for slot in &mut self.slots {
            if slot.state == State::Open {
                slot.hand_out(floor, &mut found);
            }
            slot.state = State::Free;
        }
    }

    /// Looks for bands that stand out in the group.
    fn end_group(&mut self, block: Block) {
        let len = self.sums.len() as i32;
        for slot in &mut self.slots {
            slot.silent_groups += 1;
        }
        let bins = |hz: f64| ((hz / self.bin_hz).round() as i32).max(1);
        let half = bins(BAND_HZ / 2.0);
        let (around, reach) = (bins(AROUND_HZ), bins(REACH_HZ));
        let sums = &self.sums;
        let at = |bin: i32| sums[bin.rem_euclid(len) as usize] / GROUP as f32 - 1.0;
        let total = |bin: i32, reach: i32| (bin - reach..=bin + reach).map(at).sum::<f32>();
        let width = (2 * half + 1) as f32;
        let threshold = THRESHOLD * (width / GROUP as f32).sqrt();
        // The sum over a band slides along.
        let mut here = total(-len / 2 - 1, half);
        for bin in -len / 2..len / 2 {
            here += at(bin + half) - at(bin - half - 1);
            if here < threshold || here < CONCENTRATION * total(bin, around) {
                continue;
            }
            // The sliding sum has small errors, which must not decide between neighbors.
            let here = total(bin, half);
            let is_top = (1..=reach).all(|i| here > total(bin - i, half) && here >= total(bin + i, half));
            let splatter = [2, 4, 6].iter().any(|i| {
                here < SPLATTER * total(bin - i * reach, half)
                    || here < SPLATTER * total(bin + i * reach, half)
            });
            if !is_top || splatter {
                continue;
            }
            if let Some(slot) = slot_for(&mut self.slots, bin, reach) {
                if slot.state == State::Free {
                    slot.open(bin, block, len as usize);
                }
                slot.silent_groups = 0;
                slot.groups += 1;
                for (i, sum) in slot.spectrum.iter_mut().enumerate() {
                    *sum += at(slot.bin + i as i32 - BINS as i32 / 2);
                }
            }
        }
        self.sums.fill(0.0);
        self.blocks = 0;
    }
}

/// Returns the slot that follows the signal at `bin`, or a free one.
fn slot_for(slots: &mut [Slot], bin: i32, reach: i32) -> Option<&mut Slot> {
    let follows = |slot: &Slot| slot.state != State::Free && (slot.bin - bin).abs() <= reach;
    let i = slots
        .iter()
        .position(follows)
        .or_else(|| slots.iter().position(|slot| slot.state == State::Free))?;
    slots.get_mut(i)
}

impl Slot {
    fn open(&mut self, bin: i32, block: Block, len: usize) {
        self.state = State::Open;
        self.bin = bin;
        self.first_sample = block.first_sample;
        self.spectrum = [0.0; BINS];
        self.groups = 0;
        self.cells.restart(f64::from(bin) / len as f64);
        self.cells.append(block.history);
    }

    fn hand_out(&mut self, floor: &[f32], found: &mut impl FnMut(&mut Cells, &Detection)) {
        let len = floor.len();
        let (mut sum, mut first, mut second) = (0.0f64, 0.0, 0.0);
        for (i, power) in self.spectrum.iter().enumerate() {
            let offset = i as f64 - BINS as f64 / 2.0;
            sum += f64::from(*power);
            first += f64::from(*power) * offset;
            second += f64::from(*power) * offset * offset;
        }
        if sum <= 0.0 {
            return;
        }
        let shift = (first / sum).clamp(-8.0, 8.0);
        let deviation = (second / sum - shift * shift).max(0.0).sqrt();
        let around = (-8..8).map(|i| floor[(self.bin + i).rem_euclid(len as i32) as usize]);
        let noise = around.sum::<f32>() / 16.0;
        let window_noise = floor.iter().sum::<f32>() / len as f32;
        let estimate = Estimate {
            shift: shift / len as f64,
            deviation: deviation / len as f64,
        };
        let detection = Detection {
            first_sample: self.first_sample,
            frequency: f64::from(self.bin) / len as f64,
            moments: estimate,
            lobes: estimate,
            noise: noise / len as f32,
            window_noise: window_noise / len as f32,
        };
        found(&mut self.cells, &detection);
    }
}
