//! Known meters: frames whose id, type and flags are expected, and whose counter has risen by up to [`RISE`].

use crate::trial::{BATCH, Channel, Outcome, SPREAD, Sent, WINDOW_HZ, length_s, run};
use metertap_dsp::synth::{Random, random_frame};
use metertap_dsp::{Expectation, Protocol, Trust, fec};

/// Greatest rise of a counter.
const RISE: u32 = 1000;
/// Meters expected besides the one that sends.
const ABSENT: usize = 9;

/// Sends `packets` frames of known meters of `protocol` at `snr_db`, on random carriers.
pub fn alone(protocol: Protocol, snr_db: f64, packets: usize, channel: Channel) -> Outcome {
    let mut random = Random::new((snr_db * 16.0) as i64 as u64 ^ 0x5EED ^ protocol as u64);
    let mut outcome = Outcome::default();
    for _ in 0..packets.div_ceil(BATCH) {
        let last = random_frame(protocol, &mut random);
        let mut at = 0.02;
        let sent: Vec<Sent> = (0..BATCH)
            .map(|_| {
                let start_s = at;
                at += length_s(protocol) + random.uniform(0.012, 0.016);
                Sent {
                    protocol,
                    frame: risen(protocol, &last, random.uniform(0.0, f64::from(RISE) + 1.0) as u32),
                    start_s,
                    offset_hz: random.uniform(-SPREAD, SPREAD) * WINDOW_HZ,
                    snr_db,
                }
            })
            .collect();
        let mut expectations = absent(ABSENT, &mut random);
        expectations.extend(Expectation::after(protocol, &last, RISE));
        outcome.add(run(&sent, channel, Trust::Normal, &expectations, &mut random));
    }
    outcome
}

/// Expects `count` meters that are not on the air.
pub fn absent(count: usize, random: &mut Random) -> Vec<Expectation> {
    let protocols = [Protocol::Scm, Protocol::ScmPlus, Protocol::R900];
    let frames = protocols.into_iter().cycle().take(count);
    frames
        .filter_map(|protocol| Expectation::after(protocol, &random_frame(protocol, random), RISE))
        .collect()
}

/// Returns the frame with its counter `rise` counts higher.
fn risen(protocol: Protocol, frame: &[u8], rise: u32) -> Vec<u8> {
    // Bytes of the counter; R900 packs its symbols, so that it is the same there.
    let counter = match protocol {
        Protocol::Scm => 4..7,
        Protocol::ScmPlus => 8..12,
        Protocol::R900 => 6..9,
        Protocol::Idm => 29..33,
    };
    let mut frame = frame.to_vec();
    let mut rest = rise;
    for byte in frame[counter].iter_mut().rev() {
        rest += u32::from(*byte);
        *byte = rest as u8;
        rest >>= 8;
    }
    fec::encode(protocol, &mut frame);
    frame
}
