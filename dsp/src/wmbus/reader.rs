//! Reader: words and blocks of a frame whose clock, carrier and level are known.

use super::blocks::{Blocks, CRC_LEN, Checked, HEADER, MAX_AIR_BYTES, Soft, air_bytes, likeliest_lengths};
use super::coding::{Coding, MAX_WORDS};
use super::family::{C_FORMATS, Family, Known, Payload};
use super::fixed::Fixed;
use super::mode::{Format, Mode, Modes};
use super::phase::{Level, Moves, PhaseTracker};
use super::sync::Clock;
use super::timing::Timing;
use super::tones::{Tones, between, energies};
use std::ops::RangeInclusive;

/// Words after a block that are demodulated with it, as witnesses of the phase.
const WITNESSES: usize = 8;
/// Chips by which a frame may seem to be longer than the segment, whose last block may be cut.
const SLACK_CHIPS: f64 = 8.0;
/// Greatest estimate of the error probability of a frame that is handed out. The estimate is somewhat low for format B, where one check
/// covers up to 126 bytes: with a limit of 1e-3, 6 of 4333 frames near threshold were wrong.
const MAX_DOUBT: f64 = 3e-4;
/// Chips of the word that announces mode C.
const ANNOUNCEMENT: usize = 16;

/// Frame that has been found, but not yet decoded.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Cell at which the tones begin.
    pub first_cell: usize,
    pub clock: Clock,
    /// Carrier and deviation in cycles per cell.
    pub carrier: f64,
    pub deviation: f64,
    pub level: Level,
    /// Variance of the noise by the search.
    pub floor: f32,
    pub no_frame: f64,
}

/// Buffers for reading one frame.
pub(super) struct Reader {
    phase: PhaseTracker,
    blocks: Blocks,
    edges: Vec<f64>,
    words: Vec<f32>,
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            phase: PhaseTracker::new(MAX_AIR_BYTES * 8 + 64, MAX_AIR_BYTES * 2 * MAX_WORDS + 1024),
            blocks: Blocks::new(),
            edges: Vec::with_capacity(MAX_AIR_BYTES * 16 + 256),
            words: Vec::with_capacity(MAX_AIR_BYTES * 2 * MAX_WORDS + 1024),
        }
    }

    /// Decodes what follows the known chips, in the mode that is likelier by the first of them or in the other. Returns mode, format, bytes, the end in cells, and the last chip length.
    pub fn payload(
        &mut self,
        tones: &Tones,
        family: &Family,
        modes: Modes,
        found: &Found,
    ) -> Option<(Mode, Option<Format>, Checked, f64, f64)> {
        let attempt = |reader: &mut Self, mode, coding, format, skipped| {
            reader
                .read(tones, found, coding, format, skipped)
                .filter(|(checked, ..)| checked.doubt <= MAX_DOUBT)
                .map(|(checked, end, chip)| (mode, Some(format), checked, end, chip))
        };
        match family.payload {
            Payload::Plain(mode, coding, format) => attempt(self, mode, coding, format, 0),
            Payload::Fixed(fixed) => self
                .read_fixed(tones, found, fixed)
                .filter(|(checked, ..)| checked.doubt <= MAX_DOUBT)
                .map(|(checked, end, chip)| (fixed.mode, None, checked, end, chip)),
            Payload::C2 => {
                let format = announced(tones, found);
                attempt(self, Mode::C2, Coding::Nrz, format.0, ANNOUNCEMENT)
            }
            Payload::TOrC => {
                let (format, eye) = announced(tones, found);
                let c = |reader: &mut Self| {
                    let is_wanted = modes.contains(Modes::C);
                    is_wanted
                        .then(|| attempt(reader, Mode::C1, Coding::Nrz, format, ANNOUNCEMENT))
                        .flatten()
                };
                let t = |reader: &mut Self| {
                    let is_wanted = modes.contains(Modes::T);
                    is_wanted
                        .then(|| attempt(reader, Mode::T1, Coding::ThreeOfSix, Format::A, 0))
                        .flatten()
                };
                if eye > 0.5 {
                    c(self).or_else(|| t(self))
                } else {
                    t(self).or_else(|| c(self))
                }
            }
        }
    }

    /// Returns the mean energy of the chips of the frame that was read last, each on its tone.
    pub fn energy(&self, tones: &Tones) -> f32 {
        let chips = self.edges.windows(2);
        let count = chips.len().max(1) as f32;
        let energy = |edges: &[f64]| {
            let [lower, upper] = energies(between(tones.sums_at(edges[0]), tones.sums_at(edges[1])));
            lower.max(upper)
        };
        chips.map(energy).sum::<f32>() / count
    }

    /// Makes the soft words between these edges. `h`: modulation index.
    fn soften(&mut self, tones: &Tones, edges: RangeInclusive<usize>, h: f64, coding: Coding, level: Level) {
        let edges = &self.edges[edges];
        self.phase.words(tones, edges, h, coding, level, &mut self.words);
    }

    /// Reads a frame whose first word is `skipped` chips after the known ones.
    fn read(
        &mut self,
        tones: &Tones,
        found: &Found,
        coding: Coding,
        format: Format,
        skipped: usize,
    ) -> Option<(Checked, f64, f64)> {
        let mut timing = found.timing();
        let h = 2.0 * found.deviation;
        let byte_chips = coding.byte_chips();
        self.edges.clear();
        let head = HEADER + CRC_LEN;
        let head_chips = skipped + head * byte_chips + WITNESSES * coding.word_chips();
        timing.follow(tones, head_chips + 1, &mut self.edges);
        self.soften(
            tones,
            skipped..=head_chips,
            h * timing.chip(),
            coding,
            found.level,
        );
        let soft = Soft {
            words: &self.words,
            coding,
        };
        let mut header = Checked::new();
        let mut lengths = [0; 4];
        let mut count = 0;
        match format {
            Format::A => {
                if !self.blocks.append(soft, head, found.no_frame, &mut header) {
                    return None;
                }
                lengths[0] = header.bytes[0];
                count = 1;
            }
            Format::B => likeliest_lengths(soft, |length| {
                lengths[count] = length;
                count += 1;
                false
            }),
        }
        let chips_of = |length: u8| Some(skipped + air_bytes(format, length)? * byte_chips);
        let available = (tones.len() as f64 - found.clock.end) / timing.chip() + SLACK_CHIPS;
        let is_complete = |chips: &usize| (*chips as f64) < available;
        let chips = lengths[..count]
            .iter()
            .filter_map(|length| chips_of(*length))
            .filter(is_complete)
            .max()?;
        let missing = (chips + 1).saturating_sub(self.edges.len());
        timing.follow(tones, missing, &mut self.edges);
        self.soften(tones, skipped..=chips, h * timing.chip(), coding, found.level);
        let soft = Soft {
            words: &self.words,
            coding,
        };
        let mut checked = header;
        match format {
            Format::A => {
                if !self.blocks.append_rest_of_a(soft, &mut checked) {
                    return None;
                }
            }
            Format::B => {
                let is_right = lengths[..count].iter().any(|length| {
                    checked = Checked::new();
                    chips_of(*length).is_some_and(|of| of <= chips)
                        && self.blocks.append_b(soft, *length, found.no_frame, &mut checked)
                });
                if !is_right {
                    return None;
                }
            }
        }
        self.edges.truncate(skipped + checked.air_bytes * byte_chips + 1);
        let end = self.edges.last().copied()?;
        Some((checked, end, timing.chip()))
    }

    /// Reads a frame of fixed length.
    fn read_fixed(&mut self, tones: &Tones, found: &Found, fixed: Fixed) -> Option<(Checked, f64, f64)> {
        let mut timing = found.timing();
        let chips = fixed.air_bytes() * fixed.coding.byte_chips();
        if (tones.len() as f64 - found.clock.end) / timing.chip() + SLACK_CHIPS < chips as f64 {
            return None;
        }
        self.edges.clear();
        timing.follow(tones, chips + 1, &mut self.edges);
        let h = 2.0 * found.deviation * timing.chip();
        self.soften(tones, 0..=chips, h, fixed.coding, found.level);
        let soft = Soft {
            words: &self.words,
            coding: fixed.coding,
        };
        let checked = self.blocks.fixed(soft, fixed, found.no_frame)?;
        Some((checked, self.edges[chips], timing.chip()))
    }
}

impl Found {
    fn timing(&self) -> Timing {
        let ratio = self.level.amplitude * self.level.amplitude / self.level.noise.max(f32::MIN_POSITIVE);
        Timing::new(self.clock, f64::from(ratio), self.level.moves == Moves::Slow)
    }
}

/// Returns the likelier format of mode C, and how well the chips agree with it: 1 = all do.
fn announced(tones: &Tones, found: &Found) -> (Format, f32) {
    let edge = |i: usize| tones.sums_at(found.clock.end + i as f64 * found.clock.chip);
    let mut best = (Format::A, -1.0);
    for (word, format) in C_FORMATS {
        let known = Known {
            chips: word,
            len: ANNOUNCEMENT,
        };
        let (mut agree, mut all) = (0.0, f32::MIN_POSITIVE);
        for i in 0..ANNOUNCEMENT {
            let [lower, upper] = energies(between(edge(i), edge(i + 1)));
            agree += known.sign(i) * (upper - lower);
            all += (upper - lower).abs();
        }
        if agree / all > best.1 {
            best = (format, agree / all);
        }
    }
    best
}
