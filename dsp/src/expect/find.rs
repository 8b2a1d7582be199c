//! Search of expected frames in one carrier, by the energy of all chips that are known.
//!
//! As in `sync.rs`, but over a whole frame: the sum of `w · e`, w = probability of ON less ½, has mean 0 and
//! variance Σw² in noise. With 70 of 96 bits known, a frame at -17 dB stands 8.5 standard deviations above that.

use super::template::Template;
use crate::baseband::Baseband;
use crate::demod::Timing;
use crate::{Complex32, Protocol};

/// Standard deviations of noise that a frame must reach.
const SIGNIFICANCE: f32 = 4.6;
/// The same in units of the standard deviation that the energies have there, which a strong signal raises.
const CONTRAST: f32 = 3.0;
/// The same over all bits that are known of an IDM. Another meter's has 2 and, if it consumes as little, 8; the one expected has
/// 10 at -19.5 dB.
const IDM_CONTRAST: f32 = 8.0;
/// Candidates kept per segment, the best.
const MAX_CANDIDATES: usize = 4;

/// Place at which an expected frame may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Number of the meter.
    pub meter: usize,
    /// Start of the frame, in cells.
    pub start: f64,
    /// Standard deviations above noise.
    pub score: f32,
}

pub(crate) struct Finder {
    score: Vec<f32>,
    /// Cells from the first chip to each.
    offsets: Vec<usize>,
    found: Vec<Found>,
    chips: Vec<Complex32>,
}

impl Finder {
    /// Room for `cells` cells.
    pub fn new(cells: usize) -> Self {
        Finder {
            score: Vec::with_capacity(cells),
            offsets: Vec::with_capacity(Protocol::MAX_CHIPS + 1),
            found: Vec::with_capacity(MAX_CANDIDATES + 1),
            chips: Vec::with_capacity(Protocol::MAX_CHIPS),
        }
    }

    /// Finds the places at which a frame of one of `templates` may begin, from cell `first` on. `energy` is that of a chip at each
    /// cell, `difference` that of a chip less that of the next one, `chip` the cells of a chip.
    pub fn search<'a>(
        &mut self,
        energy: &[f32],
        difference: &[f32],
        chip: f64,
        first: usize,
        templates: impl Iterator<Item = &'a Template>,
    ) {
        self.found.clear();
        self.offsets.clear();
        self.offsets
            .extend((0..=Protocol::MAX_CHIPS).map(|i| first + (i as f64 * chip).round() as usize));
        for (meter, template) in templates.enumerate() {
            self.search_one(energy, difference, chip, meter, template);
        }
    }

    fn search_one(
        &mut self,
        energy: &[f32],
        difference: &[f32],
        chip: f64,
        meter: usize,
        template: &Template,
    ) {
        let offsets = &self.offsets;
        let Some(places) = energy.len().checked_sub(offsets[template.weights.len()]) else {
            return;
        };
        self.score.clear();
        self.score.resize(places, 0.0);
        // The two chips of a Manchester bit have opposite weights.
        let (bits, chips) = template.known.split_at(template.known_bits);
        for (known, values) in [(bits, difference), (chips, energy)] {
            for &(i, weight) in known {
                for (score, value) in self.score.iter_mut().zip(&values[offsets[usize::from(i)]..]) {
                    *score += weight * value;
                }
            }
        }
        let apart = chip.round() as usize;
        let mut place = 0;
        while place < places {
            if self.score[place] < SIGNIFICANCE * template.sigma {
                place += 1;
                continue;
            }
            // The best place within a chip of the first one that passes.
            let end = (place + apart).min(places);
            let top = |a: usize, b: usize| if self.score[b] > self.score[a] { b } else { a };
            let best = (place..end).fold(place, top);
            place = end;
            let spread = |known: &[(u16, f32)], values: &[f32]| {
                let squares = known
                    .iter()
                    .map(|&(i, w)| (w * values[best + offsets[usize::from(i)]]).powi(2));
                squares.sum::<f32>()
            };
            let spread = (spread(bits, difference) + spread(chips, energy)).sqrt();
            if self.score[best] > CONTRAST * spread {
                let score = self.score[best] / template.sigma;
                let start = (offsets[0] + best) as f64;
                keep(&mut self.found, Found { meter, start, score });
            }
        }
    }

    /// Returns what was found, best first.
    pub fn found(&self) -> &[Found] {
        &self.found
    }

    /// Returns the start at which the known chips fit best. A clock error of 500 ppm moves the first and the last chip of 256 by a
    /// sixteenth of a chip: a search for it would lose more to noise.
    pub fn time(&mut self, baseband: &Baseband, template: &Template, start: f64) -> Timing {
        let chip = baseband.chip();
        self.earlier_or_later(baseband, template, Timing { start, chip }, 12)
    }

    /// The same for an IDM, which is so long that its clock has to be searched for: the step of 100 ppm moves its ends by a fourteenth
    /// of a chip.
    pub fn time_long(&mut self, baseband: &Baseband, template: &Template, start: f64) -> Timing {
        let nominal = baseband.chip();
        let middle = template.weights.len() as f64 / 2.0;
        let mut best = (f32::NEG_INFINITY, Timing { start, chip: nominal });
        for ppm in (-6..=6).map(|step| 100.0 * f64::from(step)) {
            let chip = nominal * (1.0 + ppm * 1e-6);
            // The search has aligned the front of the frame rather than its middle.
            for late in (-5..=5).map(|step| f64::from(step) / 8.0) {
                let timing = Timing {
                    start: start + (nominal - chip) * middle + late * nominal,
                    chip,
                };
                let fit = self.fit(baseband, template, timing);
                if fit > best.0 {
                    best = (fit, timing);
                }
            }
        }
        self.earlier_or_later(baseband, template, best.1, 5)
    }

    /// Returns the best of the starts up to `reach` sixty-fourths of a chip away.
    fn earlier_or_later(
        &mut self,
        baseband: &Baseband,
        template: &Template,
        timing: Timing,
        reach: i32,
    ) -> Timing {
        let mut best = (f32::NEG_INFINITY, timing);
        for shift in -reach..=reach {
            let start = timing.start + baseband.chip() * f64::from(shift) / 64.0;
            let timing = Timing { start, ..timing };
            let fit = self.fit(baseband, template, timing);
            if fit > best.0 {
                best = (fit, timing);
            }
        }
        best.1
    }

    /// Returns the one of `templates` of an IDM that the energies fit best, if they do.
    pub fn best_idm<'a>(
        &mut self,
        baseband: &Baseband,
        templates: impl Iterator<Item = &'a Template>,
        start: f64,
    ) -> Option<&'a Template> {
        let chip = baseband.chip();
        let mut best = (IDM_CONTRAST, None);
        for template in templates {
            let sum = self.fit(baseband, template, Timing { start, chip });
            let bits = self.chips.chunks_exact(2).zip(template.weights.chunks_exact(2));
            let squares = bits.map(|(y, w)| (w[0] * (y[0].norm_sqr() - y[1].norm_sqr())).powi(2));
            let contrast = sum / squares.sum::<f32>().sqrt();
            if contrast > best.0 {
                best = (contrast, Some(template));
            }
        }
        best.1
    }

    /// Returns the energy of the chips that are known, with their signs.
    fn fit(&mut self, baseband: &Baseband, template: &Template, timing: Timing) -> f32 {
        self.chips.resize(template.weights.len(), Complex32::default());
        baseband.chips(timing.start, timing.chip, &mut self.chips);
        let chips = self.chips.iter().zip(&template.weights);
        chips.map(|(y, w)| w * y.norm_sqr()).sum()
    }
}

/// Inserts in order of score.
fn keep(all: &mut Vec<Found>, found: Found) {
    let at = all.partition_point(|other| other.score >= found.score);
    all.insert(at, found);
    all.truncate(MAX_CANDIDATES);
}
