//! What the receiver learns of known meters from frame to frame.

mod common;
#[path = "common/known.rs"]
mod known;

use common::{quantized, scene, transmission};
use known::{RATE_HZ, id, is_expected, last_frame, listen, risen, sent};
use metertap_dsp::synth::{Keying, Random, Transmission, random_frame};
use metertap_dsp::{Complex32, Expectation, Method, Protocol, Trust, fec};

/// Samples that hold `frames`, a tenth of a second apart, at these SNRs.
fn samples(protocol: Protocol, frames: &[(Vec<u8>, f64)], random: &mut Random) -> Vec<Complex32> {
    let transmissions = frames
        .iter()
        .enumerate()
        .map(|(i, (frame, snr_db))| Transmission {
            phase_rad: random.uniform(0.0, std::f64::consts::TAU),
            ..transmission(
                protocol,
                frame,
                0.1 * (i + 1) as f64,
                random.uniform(-1e6, 1e6),
                *snr_db,
            )
        });
    let scene = scene(RATE_HZ, 0.1 * (frames.len() + 2) as f64, transmissions.collect());
    quantized(&scene, random)
}

#[test]
fn given_an_id_alone_then_a_strong_frame_is_enough_to_receive_the_weak_ones_after_it() {
    let mut random = Random::new(31);
    for (protocol, weak_db) in [
        (Protocol::Scm, -14.5),
        (Protocol::ScmPlus, -14.5),
        (Protocol::R900, -14.5),
        (Protocol::Idm, -15.5),
    ] {
        let first = last_frame(protocol, &mut random);
        let mut frames = vec![(first.clone(), 5.0)];
        frames.extend((0..10).map(|_| (first.clone(), weak_db)));
        let samples = samples(protocol, &frames, &mut random);
        let expected = Expectation::for_id(protocol, id(protocol, &first), 1000).unwrap();
        let other = Expectation::for_id(protocol, id(protocol, &first) ^ 1, 1000).unwrap();
        assert_eq!(
            listen(Trust::Normal, &[other], &samples)
                .iter()
                .filter(is_expected)
                .count(),
            0
        );
        let received = listen(Trust::Normal, &[expected], &samples);
        assert!(received.len() >= 9, "{protocol:?}: {} of 11", received.len());
        assert!(received.iter().filter(is_expected).count() >= 8, "{protocol:?}");
        // Of an IDM, all but time and checks, which follow them.
        let len = first.len().min(86);
        assert!(
            received
                .iter()
                .all(|packet| packet.bytes()[..len] == first[..len]),
            "{protocol:?}"
        );
    }
}

#[test]
fn given_frames_too_weak_alone_then_their_repeats_are_received() {
    let mut random = Random::new(32);
    for protocol in [Protocol::Scm, Protocol::ScmPlus, Protocol::R900] {
        let (mut apart, mut together) = (0, 0);
        for _ in 0..6 {
            let last = last_frame(protocol, &mut random);
            let expected = Expectation::after(protocol, &last, 1000).unwrap();
            let frame = risen(protocol, &last, 150);
            let repeats = samples(protocol, &vec![(frame.clone(), -17.5); 10], &mut random);
            let received = listen(Trust::Normal, &[expected], &repeats);
            assert!(received.iter().all(|packet| packet.bytes() == frame));
            together += received.len();
            // The same number of frames of as many meters: none repeats the counter of another.
            for _ in 0..10 {
                let last = last_frame(protocol, &mut random);
                let expected = Expectation::after(protocol, &last, 1000).unwrap();
                let once = samples(protocol, &[(risen(protocol, &last, 150), -17.5)], &mut random);
                apart += listen(Trust::Normal, &[expected], &once).len();
            }
        }
        assert!(
            together >= 30 && together * 10 > apart * 13,
            "{protocol:?}: {together} of 60 repeats, {apart} of 60 others"
        );
    }
}

/// Returns an IDM of the interval after `last`, with this consumption and time.
fn next_idm(last: &[u8], consumption: u16, time: u16) -> Vec<u8> {
    let mut frame = last.to_vec();
    frame[13] = frame[13].wrapping_add(1);
    let total = u32::from_be_bytes([last[29], last[30], last[31], last[32]]).wrapping_add(consumption.into());
    frame[29..33].copy_from_slice(&total.to_be_bytes());
    let bit = |frame: &[u8], at: usize| frame[at / 8] >> (7 - at % 8) & 1 == 1;
    for i in 0..423 {
        let at = 264 + i;
        let is_set = if i < 9 {
            consumption >> (8 - i) & 1 == 1
        } else {
            bit(last, at - 9)
        };
        let mask = 0x80 >> (at % 8);
        frame[at / 8] = frame[at / 8] & !mask | if is_set { mask } else { 0 };
    }
    frame[86..88].copy_from_slice(&time.to_be_bytes());
    fec::encode(Protocol::Idm, &mut frame);
    frame
}

#[test]
fn given_an_idm_of_the_next_interval_whose_time_is_unpredictable_then_repeats_tell_its_total() {
    let mut random = Random::new(33);
    let (mut received, mut wrong) = (0, 0);
    for _ in 0..4 {
        let last = (0..47).fold(random_frame(Protocol::Idm, &mut random), |last, _| {
            next_idm(&last, random.uniform(0.0, 60.0) as u16, 0)
        });
        let consumption = random.uniform(0.0, 60.0) as u16;
        let frames: Vec<_> = (0..6)
            .map(|_| {
                (
                    next_idm(&last, consumption, random.uniform(0.0, 4800.0) as u16),
                    -16.5,
                )
            })
            .collect();
        let expected = Expectation::after(Protocol::Idm, &last, 1000).unwrap();
        let samples = samples(Protocol::Idm, &frames, &mut random);
        for packet in listen(Trust::Normal, &[expected], &samples) {
            received += 1;
            wrong += usize::from(packet.bytes()[..86] != frames[0].0[..86]);
            let is_time_certain = matches!(
                packet.signal.method,
                Method::Expected {
                    time_doubt_percent: 0,
                    ..
                }
            );
            assert!(!is_time_certain || frames.iter().any(|(frame, _)| packet.bytes() == frame));
        }
    }
    assert!(received >= 18, "{received} of 24");
    assert_eq!(wrong, 0);
}

#[test]
fn given_a_wrong_last_frame_that_passed_no_check_then_counters_below_it_are_received_and_correct_it() {
    let mut random = Random::new(34);
    for protocol in [Protocol::Scm, Protocol::ScmPlus, Protocol::R900] {
        let earlier = last_frame(protocol, &mut random);
        let wrong = risen(protocol, &earlier, 90);
        let (frames, samples) = sent(protocol, &earlier, -13.5, Keying::default(), 12, &mut random);
        let below = frames.iter().filter(|frame| *frame < &wrong).count();
        assert!(below >= 4, "{below}");
        let after = Expectation::after(protocol, &wrong, 1000).unwrap();
        let locked_out = listen(Trust::Normal, std::slice::from_ref(&after), &samples);
        let received = listen(Trust::Normal, &[after.or_since(&earlier)], &samples);
        assert!(received.len() >= 10, "{protocol:?}: {} of 12", received.len());
        assert!(
            received.len() > locked_out.len() + 1,
            "{protocol:?}: {}",
            locked_out.len()
        );
        assert!(
            received
                .iter()
                .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
        );
    }
}
