//! Two tones, moved to 0 Hz and summed up, so that the matched filter of a chip is a difference.
//!
//! A chip is one of two tones, and the filter matched to it is the integral of the samples shifted by that tone. Running
//! sums give the integral over any interval, at any real time and length: chips need not be whole numbers of samples,
//! and an error of the chip rate costs nothing. Samples are first shifted to the carrier and added up to *cells*, at
//! least eight per chip of the fastest mode; the sums have one value per cell and are interpolated linearly.

use crate::Complex32;
use crate::phasor::phasor;

/// Values of an oscillator computed at once.
const TABLE: usize = 64;

/// Samples shifted to a carrier and added up to cells.
pub(super) struct Cells {
    /// Samples per cell.
    decimation: usize,
    values: Vec<Complex32>,
    /// Carrier in cycles per sample, and what it is shifted with.
    frequency: f64,
    oscillator: Vec<Complex32>,
}

impl Cells {
    /// Room for `capacity` samples, at `chip_samples` samples per chip of the fastest mode.
    pub fn new(chip_samples: f64, capacity: usize) -> Self {
        Self::with_decimation(((chip_samples / 8.0) as usize).max(1), capacity)
    }

    /// Room for `capacity` samples, `decimation` per cell.
    pub fn with_decimation(decimation: usize, capacity: usize) -> Self {
        Cells {
            decimation,
            values: Vec::with_capacity(capacity / decimation + 1),
            frequency: 0.0,
            oscillator: vec![Complex32::default(); TABLE * decimation],
        }
    }

    /// Samples per cell.
    pub fn decimation(&self) -> usize {
        self.decimation
    }

    pub fn values(&self) -> &[Complex32] {
        &self.values
    }

    /// Takes `samples`, of which the carrier at `frequency` cycles a sample is wanted.
    pub fn fill(&mut self, samples: &[Complex32], frequency: f64) {
        self.restart(frequency);
        self.append(samples);
    }

    /// Drops all cells; those to come are shifted by `frequency`.
    pub fn restart(&mut self, frequency: f64) {
        self.values.clear();
        self.frequency = frequency;
        for (i, value) in self.oscillator.iter_mut().enumerate() {
            *value = phasor(-frequency * i as f64);
        }
    }

    /// Adds the samples that follow, a whole number of cells but for the last part; what there is no room for is dropped.
    pub fn append(&mut self, samples: &[Complex32]) {
        let stride = self.oscillator.len();
        let first = self.values.len() * self.decimation;
        let room = (self.values.capacity() - self.values.len()) * self.decimation;
        for (chunk, part) in samples[..samples.len().min(room)].chunks(stride).enumerate() {
            let turn = phasor(-(self.frequency * (first + chunk * stride) as f64).fract());
            let cells = part.chunks_exact(self.decimation);
            for (cell, mixer) in cells.zip(self.oscillator.chunks_exact(self.decimation)) {
                let sum: Complex32 = cell.iter().zip(mixer).map(|(a, b)| a * b).sum();
                self.values.push(sum * turn);
            }
        }
    }
}

/// Running sums of the cells shifted by the lower and by the upper tone.
pub(super) struct Tones {
    /// Before each cell, and after the last.
    sums: Vec<[Complex32; 2]>,
    /// Deviation in cycles per cell.
    deviation: f64,
}

impl Tones {
    /// Room for `capacity` cells.
    pub fn new(capacity: usize) -> Self {
        Tones {
            sums: Vec::with_capacity(capacity + 1),
            deviation: 0.0,
        }
    }

    /// Deviation in cycles per cell.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Cells held.
    pub fn len(&self) -> usize {
        self.sums.len().saturating_sub(1)
    }

    /// Takes the cells from `from` on, for the tones at `carrier` ± `deviation` (cycles a cell).
    pub fn fill(&mut self, cells: &[Complex32], carrier: f64, deviation: f64) {
        self.deviation = deviation;
        let tone = [carrier - deviation, carrier + deviation];
        let mut table = [[Complex32::default(); 2]; TABLE];
        for (i, values) in table.iter_mut().enumerate() {
            // The phase in the middle of a cell.
            *values = tone.map(|tone| phasor(-tone * (i as f64 + 0.5)));
        }
        self.sums.clear();
        let mut sum = [Complex32::default(); 2];
        self.sums.push(sum);
        for (chunk, part) in cells.chunks(TABLE).enumerate() {
            let turn = tone.map(|tone| phasor(-(tone * (chunk * TABLE) as f64).fract()));
            for (cell, mixer) in part.iter().zip(&table) {
                sum[0] += cell * mixer[0] * turn[0];
                sum[1] += cell * mixer[1] * turn[1];
                self.sums.push(sum);
            }
        }
    }

    /// Returns the sums at time `t` in cells; clamped to what is held.
    pub fn sums_at(&self, t: f64) -> [Complex32; 2] {
        let last = self.sums.len() - 1;
        let t = t.clamp(0.0, last as f64);
        let i = (t as usize).min(last.saturating_sub(1));
        let part = (t - i as f64) as f32;
        let (a, b) = (self.sums[i], self.sums[(i + 1).min(last)]);
        [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part]
    }

    /// Turns the integrals of a chip that begins at `t` so that their phase is that of the carrier at `t`.
    pub fn at_start(&self, chip: [Complex32; 2], t: f64) -> [Complex32; 2] {
        let turn = phasor(self.deviation * t);
        [chip[0] * turn.conj(), chip[1] * turn]
    }

    /// Computes the energy of a chip on the upper tone less that on the lower, for chips of `chip` cells that begin at
    /// every `stride`-th cell, into `out` (cleared first).
    pub fn contrasts(&self, chip: f64, stride: usize, out: &mut Vec<f32>) {
        out.clear();
        let whole = chip as usize;
        let part = (chip - whole as f64) as f32;
        let Some(ends) = self.sums.get(whole..) else {
            return;
        };
        let starts = self.sums.iter().step_by(stride);
        out.extend(ends.windows(2).step_by(stride).zip(starts).map(|(end, start)| {
            let energy = |tone: usize| {
                let end = end[0][tone] + (end[1][tone] - end[0][tone]) * part;
                (end - start[tone]).norm_sqr()
            };
            energy(1) - energy(0)
        }));
    }
}

/// Returns the energies of a chip on the lower and on the upper tone.
pub(super) fn energies(chip: [Complex32; 2]) -> [f32; 2] {
    [chip[0].norm_sqr(), chip[1].norm_sqr()]
}

/// Returns the integrals between two sums.
pub(super) fn between(start: [Complex32; 2], end: [Complex32; 2]) -> [Complex32; 2] {
    [end[0] - start[0], end[1] - start[1]]
}
