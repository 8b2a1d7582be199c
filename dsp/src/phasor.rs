//! Unit phasor of an oscillator.

use crate::Complex32;
use std::f64::consts::TAU;

/// Returns e^(2πi · turns).
pub(crate) fn phasor(turns: f64) -> Complex32 {
    let (sin, cos) = (TAU * turns.fract()).sin_cos();
    Complex32::new(cos as f32, sin as f32)
}
