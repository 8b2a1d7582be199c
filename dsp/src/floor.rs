//! Noise floor of each bin: a tracked median. A spur of the receiver raises its own floor and is no longer
//! detected, while bursts, which fill a bin less than half of the time, do not move it.

/// Change of a bin's floor per block, towards the median. Its jitter is then 0.4 dB.
const FLOOR_STEP: f32 = 0.012;

/// Factor over the floor from which a rise counts as a jump. A smaller rise is soon tracked, and may be the
/// splatter of a very strong packet.
const JUMP: f32 = 1000.0;

/// Factor by which a floor must be above its neighborhood to be lowered at once: 1.5 dB. A median over a neighborhood
/// of 128 bins or more strays by a tenth of that.
const CLEARLY: f32 = 1.4;

/// Floor of a bin over that of its neighborhood that is a spur: of a thirtieth of the power of a known meter at -16 dB. Floors in
/// noise stray by a tenth.
const SPUR: f32 = 4.0;

/// Bins around a carrier in which its own line may be.
const OWN_LINE: f32 = 2.5;

/// Returns true if the noise has changed at once: the gain was changed, or samples follow silence. (In noise, one
/// bin in 16 falls short of a sixteenth of its mean.)
pub(crate) fn has_jumped(power: &[f32], floor: &[f32]) -> bool {
    let (mut above, mut below) = (0u32, 0u32);
    for (power, floor) in power.iter().zip(floor) {
        above += u32::from(*power > JUMP * floor);
        below += u32::from(16.0 * power < *floor);
    }
    let bins = power.len() as u32;
    above > bins / 2 || below > bins / 4 * 3
}

/// Initializes the floor of each bin with that of its neighborhood, whose median is not moved by bursts.
pub(crate) fn first_floor(power: &[f32], floor: &mut [f32], scratch: &mut [f32]) {
    for_each_neighborhood(power, floor, scratch, <[f32]>::fill);
}

/// Lowers the floor of each bin to that of its neighborhood, if that is clearly lower: what the floor was initialized with
/// was no noise.
pub(crate) fn lower_floor(power: &[f32], floor: &mut [f32], scratch: &mut [f32]) {
    for_each_neighborhood(power, floor, scratch, |floor, median| {
        for floor in floor.iter_mut().filter(|floor| **floor > CLEARLY * median) {
            *floor = median;
        }
    });
}

/// Hands `change` the floors of each neighborhood, and the noise in it. (The median of exponentially distributed power is
/// ln 2 times its mean.)
fn for_each_neighborhood(
    power: &[f32],
    floor: &mut [f32],
    scratch: &mut [f32],
    mut change: impl FnMut(&mut [f32], f32),
) {
    let width = (power.len() / 16).max(1);
    for (power, floor) in power.chunks(width).zip(floor.chunks_mut(width)) {
        let sorted = &mut scratch[..power.len()];
        sorted.copy_from_slice(power);
        sorted.sort_unstable_by(f32::total_cmp);
        let median = sorted[sorted.len() / 2];
        change(floor, (median / std::f32::consts::LN_2).max(f32::MIN_POSITIVE));
    }
}

/// Moves each floor a step towards the median and divides the powers by it.
pub(crate) fn track_floor(power: &mut [f32], floor: &mut [f32]) {
    for (power, floor) in power.iter_mut().zip(floor) {
        let up = *power > *floor * std::f32::consts::LN_2;
        *floor *= if up {
            1.0 + FLOOR_STEP
        } else {
            1.0 / (1.0 + FLOOR_STEP)
        };
        *floor = floor.max(1e-20);
        *power /= *floor;
    }
}

/// Returns the bin, with fraction, of the strongest spur within `reach` bins of `bin` (negative below the center of the window): one that
/// has raised its floor far above the `noise` of a bin around it.
pub(crate) fn spur_around(floor: &[f32], noise: f32, bin: f32, reach: f32) -> Option<f32> {
    let at = |k: isize| floor[k.rem_euclid(floor.len() as isize) as usize];
    let (first, last) = ((bin - reach).ceil() as isize, (bin + reach).floor() as isize);
    let top = (first..=last)
        .filter(|&k| (k as f32 - bin).abs() > OWN_LINE)
        .max_by(|&a, &b| at(a).total_cmp(&at(b)))
        .filter(|&top| at(top) > SPUR * noise)?;
    // The spur lies between two bins, and their amplitudes tell where.
    let beside = if at(top + 1) > at(top - 1) { 1 } else { -1 };
    let (a, b) = (at(top).sqrt(), (at(top + beside) - noise).max(0.0).sqrt());
    Some(top as f32 + beside as f32 * b / (a + b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_click_in_the_first_block_then_the_next_one_brings_the_floors_down() {
        let (mut floor, mut scratch) = (vec![0.0; 4096], vec![0.0; 4096]);
        first_floor(&[50.0; 4096], &mut floor, &mut scratch);
        lower_floor(&[1.0; 4096], &mut floor, &mut scratch);
        let noise = 1.0 / std::f32::consts::LN_2;
        assert!(floor.iter().all(|floor| (floor - noise).abs() < 1e-3));
        // Noise strays: what is hardly lower changes nothing.
        lower_floor(&[0.9; 4096], &mut floor, &mut scratch);
        assert!(floor.iter().all(|floor| (floor - noise).abs() < 1e-3));
    }
    #[test]
    fn given_a_spur_beside_a_carrier_then_its_bin_is_found_and_noise_is_none() {
        let mut floor = vec![1.0; 4096];
        floor[90] = 1.3;
        assert_eq!(spur_around(&floor, 1.0, 100.0, 50.0), None);
        // A tone at bin 80.3 has amplitudes like 1 / 0.3 and 1 / 0.7 in the two bins around it.
        (floor[80], floor[81]) = (1.0 + 490.0, 1.0 + 90.0);
        let spur = spur_around(&floor, 1.0, 100.0, 50.0).unwrap();
        assert!((spur - 80.3).abs() < 0.02, "{spur}");
        assert_eq!(spur_around(&floor, 1.0, 100.0, 10.0), None);
        // Its own line is no spur.
        assert_eq!(spur_around(&floor, 1.0, 80.0, 50.0), None);
        // Below the center of the window.
        floor[4090] = 20.0;
        assert!((spur_around(&floor, 1.0, 10.0, 50.0).unwrap() + 6.0).abs() < 0.1);
    }
}
