//! Carrier phase over a frame, smoothed forwards and backwards.
//!
//! State: phase and phase step per segment; a Kalman filter takes the segments in order, then the
//! Rauch–Tung–Striebel recursion goes back, so that every segment is judged by those before and after it.

use crate::Complex32;

/// Model of a carrier: variances per segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carrier {
    /// Variance of the phase itself, rad².
    pub phase: f64,
    /// Variance of the phase step, rad². A drift of 20 kHz/s is 0.03 rad per segment of 16 chips.
    pub step: f64,
}

/// Carrier that keeps its phase, as those of real meters do: segments within about ±25 bits are averaged.
pub(crate) const STEADY: Carrier = Carrier {
    phase: 1e-5,
    step: 3e-4,
};
/// Carrier whose phase wanders.
pub(crate) const WANDERING: Carrier = Carrier {
    phase: 0.08,
    step: 3e-3,
};

type Matrix = [[f64; 2]; 2];

/// Estimate for a segment from it and its predecessors.
#[derive(Clone, Copy, Default)]
struct Step {
    predicted: [f64; 2],
    predicted_cov: Matrix,
    filtered: [f64; 2],
    filtered_cov: Matrix,
}

pub(crate) struct Smoother {
    steps: Vec<Step>,
}

impl Smoother {
    /// Room for `segments`.
    pub fn new(segments: usize) -> Self {
        Smoother {
            steps: Vec::with_capacity(segments),
        }
    }

    /// Estimates phase (rad) and phase step (rad per segment) of each of `segments` into `out`. `variance` is that of
    /// the phase of one segment; `step` a first guess of the phase step.
    pub fn run(
        &mut self,
        segments: &[Complex32],
        variance: f64,
        step: f64,
        carrier: Carrier,
        out: &mut Vec<[f64; 2]>,
    ) {
        self.filter(segments, variance, step, carrier);
        out.clear();
        out.extend(self.steps.iter().map(|s| s.filtered));
        for i in (0..self.steps.len().saturating_sub(1)).rev() {
            let (now, next) = (&self.steps[i], &self.steps[i + 1]);
            // gain = P Fᵀ P'⁻¹ with F = [[1, 1], [0, 1]]
            let p = now.filtered_cov;
            let pft = [[p[0][0] + p[0][1], p[0][1]], [p[1][0] + p[1][1], p[1][1]]];
            let gain = multiply(pft, invert(next.predicted_cov));
            let ahead = [
                out[i + 1][0] - next.predicted[0],
                out[i + 1][1] - next.predicted[1],
            ];
            for (state, gain) in out[i].iter_mut().zip(gain) {
                *state += gain[0] * ahead[0] + gain[1] * ahead[1];
            }
        }
    }

    fn filter(&mut self, segments: &[Complex32], variance: f64, step: f64, carrier: Carrier) {
        self.steps.clear();
        let Some(first) = segments.first() else {
            return;
        };
        let mut state = [f64::from(first.arg()) - step, step];
        let mut cov = [[10.0, 0.0], [0.0, 0.04]];
        for segment in segments {
            let predicted = [state[0] + state[1], state[1]];
            let cross = cov[0][1] + cov[1][1];
            let predicted_cov = [
                [cov[0][0] + cov[0][1] + cross + carrier.phase, cross],
                [cross, cov[1][1] + carrier.step],
            ];
            let seen = Complex32::from_polar(1.0, -(predicted[0] as f32)) * segment;
            let innovation = f64::from(seen.arg());
            let total = predicted_cov[0][0] + variance;
            let gain = [predicted_cov[0][0] / total, predicted_cov[1][0] / total];
            state = [
                predicted[0] + gain[0] * innovation,
                predicted[1] + gain[1] * innovation,
            ];
            cov = [
                [
                    predicted_cov[0][0] * (1.0 - gain[0]),
                    predicted_cov[0][1] * (1.0 - gain[0]),
                ],
                [
                    predicted_cov[1][0] * (1.0 - gain[0]),
                    predicted_cov[1][1] - gain[1] * predicted_cov[0][1],
                ],
            ];
            self.steps.push(Step {
                predicted,
                predicted_cov,
                filtered: state,
                filtered_cov: cov,
            });
        }
    }
}

fn multiply(a: Matrix, b: Matrix) -> Matrix {
    let cell = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[cell(0, 0), cell(0, 1)], [cell(1, 0), cell(1, 1)]]
}

fn invert(m: Matrix) -> Matrix {
    let determinant = (m[0][0] * m[1][1] - m[0][1] * m[1][0]).max(1e-30);
    [
        [m[1][1] / determinant, -m[0][1] / determinant],
        [-m[1][0] / determinant, m[0][0] / determinant],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_drifting_carrier_is_followed_without_lag(phase in -3.0f64..3.0, step in -0.3f64..0.3, drift in -0.03f64..0.03, len in 6usize..92) {
            let truth: Vec<f64> = (0..len).map(|i| { let t = i as f64; phase + step * t + drift * t * t / 2.0 }).collect();
            let segments: Vec<Complex32> = truth.iter().map(|&p| Complex32::from_polar(8.0, p as f32)).collect();
            let mut out = Vec::new();
            Smoother::new(len).run(&segments, 0.03, 0.0, STEADY, &mut out);
            for (i, (found, truth)) in out.iter().zip(&truth).enumerate() {
                let error = (found[0] - truth).rem_euclid(std::f64::consts::TAU);
                let error = error.min(std::f64::consts::TAU - error);
                prop_assert!(error < 0.35, "segment {i} of {len}: {error}");
            }
        }
    }
}
