//! Makes the rows of the waterfall, while somebody looks.

use crate::source::Levels;
use crate::status::spectrum::{SpectrumBuffer, SpectrumRow};
use jiff::Timestamp;
use metertap_dsp::{Complex32, Spectrum};

/// Bins of a row: 4.6 kHz each at 2.36 MS/s, a seventh of a Manchester signal.
const BINS: usize = 512;
/// Rows a second.
const ROWS: f64 = 4.0;
/// Parts of the scale of which is told how many samples are in them.
const PARTS: usize = 64;

/// Makes rows of samples.
pub struct SpectrumTap {
    view: SpectrumBuffer,
    span_hz: f64,
    at: Timestamp,
    center_hz: Option<f64>,
    /// Of the row under way.
    samples: usize,
    work: Option<Work>,
}

/// Only while somebody looks.
struct Work {
    spectrum: Spectrum,
    levels: Levels,
}

impl SpectrumTap {
    /// For samples at this rate, shown in `view`.
    pub fn new(sample_rate_hz: f64, view: SpectrumBuffer) -> Self {
        SpectrumTap {
            view,
            span_hz: sample_rate_hz,
            at: Timestamp::UNIX_EPOCH,
            center_hz: None,
            samples: 0,
            work: None,
        }
    }

    /// Where and when what comes next was heard.
    pub fn at(&mut self, center_hz: Option<f64>, time: Timestamp) {
        if self.center_hz != center_hz {
            // A row has one centre.
            (self.samples, self.work) = (0, None);
        }
        (self.center_hz, self.at) = (center_hz, time);
    }

    /// Takes samples, if somebody looks.
    pub fn look(&mut self, samples: &[Complex32], noise_dbfs: f32) {
        if !self.view.is_watched() {
            (self.samples, self.work) = (0, None);
            return;
        }
        let work = self.work.get_or_insert_with(|| Work {
            spectrum: Spectrum::new(BINS),
            levels: Levels::default(),
        });
        work.spectrum.add(samples);
        work.levels.add_samples(samples);
        self.samples += samples.len();
        if self.samples as f64 * ROWS < self.span_hz {
            return;
        }
        self.samples = 0;
        let levels = std::mem::take(&mut work.levels);
        self.view.push(SpectrumRow {
            revision: 0,
            at: self.at,
            center_hz: self.center_hz,
            span_hz: self.span_hz,
            dbfs: work.spectrum.take_dbfs().into(),
            levels: levels.shares(PARTS).into(),
            clipped: levels.clipped(),
            power_dbfs: levels.power_dbfs(),
            noise_dbfs,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_nobody_who_looks_then_nothing_is_made_and_who_looks_gets_rows_once() {
        let view = SpectrumBuffer::default();
        let mut scope = SpectrumTap::new(1000.0, view.clone());
        let samples = vec![Complex32::new(0.5, 0.0); 1000];
        scope.look(&samples, -40.0);
        assert!(view.since(0).is_empty());
        scope.at(Some(912e6), Timestamp::UNIX_EPOCH);
        for part in samples.chunks(250) {
            scope.look(part, -40.0);
        }
        let rows = view.since(0);
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (rows[0].center_hz, rows[0].dbfs.len(), rows[0].levels.len()),
            (Some(912e6), BINS, PARTS)
        );
        // Half of full scale in I, nothing in Q: two parts of the scale.
        assert_eq!(rows[0].levels.iter().filter(|share| **share > 0.4).count(), 2);
        assert_eq!(view.since(rows[2].revision).len(), 1);
    }

    #[test]
    fn given_hours_then_only_the_last_rows_are_kept() {
        let view = SpectrumBuffer::default();
        let mut scope = SpectrumTap::new(40.0, view.clone());
        view.since(0);
        for _ in 0..1000 {
            scope.look(&[Complex32::default(); 10], -40.0);
        }
        assert_eq!(view.since(0).len(), crate::status::spectrum::MAX_ROWS);
    }
}
