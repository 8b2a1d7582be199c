//! Expected meters: received far deeper than others, and never where they are not.

mod common;
#[path = "common/known.rs"]
mod known;

use common::{quantized, scene, transmission};
use known::{RATE_HZ, last_frame, listen, risen, sent};
use metertap_dsp::synth::{Keying, Random, Transmission, random_frame};
use metertap_dsp::{Complex32, Expectation, Method, Packet, Protocol, Trust, fec};

/// Protocols that can be expected, with an SNR at which nine in ten are received (SCM: docs/receiver.md).
const EXPECTED: [(Protocol, f64); 3] = [
    (Protocol::Scm, -15.0),
    (Protocol::ScmPlus, -15.0),
    (Protocol::R900, -15.5),
];

#[test]
fn given_known_meters_near_threshold_then_most_are_received_and_none_is_wrong() {
    let mut random = Random::new(11);
    for (protocol, snr_db) in EXPECTED {
        let last = last_frame(protocol, &mut random);
        let expected = Expectation::after(protocol, &last, 1000).unwrap();
        let (frames, samples) = sent(protocol, &last, snr_db, Keying::default(), 40, &mut random);
        let unexpected = listen(Trust::Normal, &[], &samples);
        assert!(unexpected.len() < 5, "{protocol:?}: {} without", unexpected.len());
        let received = listen(Trust::Normal, std::slice::from_ref(&expected), &samples);
        assert!(received.len() >= 34, "{protocol:?}: {} of 40", received.len());
        for packet in &received {
            assert!(frames.iter().any(|frame| packet.bytes() == frame));
            let start_s = packet.start_sample as f64 / RATE_HZ;
            assert!(
                (start_s / 0.02 - (start_s / 0.02).round()).abs() < 2e-3,
                "{start_s}"
            );
        }
        let by_expectation = |packet: &&Packet| matches!(packet.signal.method, Method::Expected { .. });
        assert!(received.iter().filter(by_expectation).count() >= 30);
        let strict = listen(Trust::Strict, &[expected], &samples);
        assert!(
            strict.iter().filter(by_expectation).count() == 0,
            "strict corrects nothing"
        );
    }
}

#[test]
fn given_a_carrier_that_drifts_by_20_khz_a_second_then_it_is_received_as_well() {
    let mut random = Random::new(12);
    for drift_hz_per_s in [-20e3, 20e3] {
        let keying = Keying {
            drift_hz_per_s,
            ..Keying::default()
        };
        let last = last_frame(Protocol::Scm, &mut random);
        let expected = Expectation::after(Protocol::Scm, &last, 1000).unwrap();
        let (frames, samples) = sent(Protocol::Scm, &last, -14.5, keying, 40, &mut random);
        let received = listen(Trust::Normal, &[expected], &samples);
        assert!(
            received.len() >= 34,
            "{drift_hz_per_s} Hz/s: {} of 40",
            received.len()
        );
        assert!(
            received
                .iter()
                .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
        );
    }
}

#[test]
fn given_only_the_dial_then_the_meter_is_received_whatever_its_type() {
    let mut random = Random::new(13);
    let mut last = last_frame(Protocol::Scm, &mut random);
    last[3] &= 0x3C;
    let (id, counter) = (
        u32::from(last[2] >> 1 & 3) << 24 | u32::from_be_bytes([0, last[7], last[8], last[9]]),
        u32::from_be_bytes([0, last[4], last[5], last[6]]),
    );
    last[2] &= 0x06;
    let expected = Expectation::for_counter(Protocol::Scm, id, counter, 1000).unwrap();
    let (frames, samples) = sent(Protocol::Scm, &last, -14.0, Keying::default(), 30, &mut random);
    let received = listen(Trust::Normal, &[expected], &samples);
    assert!(received.len() >= 26, "{} of 30", received.len());
    assert!(
        received
            .iter()
            .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
    );
    assert_eq!(Expectation::for_counter(Protocol::Scm, 1 << 26, 0, 0), None);
    assert_eq!(Expectation::for_counter(Protocol::R900, 1, 1 << 27, 0), None);
    assert_eq!(Expectation::for_counter(Protocol::Idm, 1, 0, 0), None);
}

#[test]
fn given_relatives_on_the_air_then_they_are_not_taken_for_the_meter_that_is_expected() {
    let mut random = Random::new(14);
    for (protocol, snr_db) in EXPECTED {
        let last = last_frame(protocol, &mut random);
        let low_id = match protocol {
            Protocol::Scm => 9,
            Protocol::ScmPlus => 7,
            _ => 3,
        };
        for change in [1, 2, 0x10] {
            let mut relative = last.clone();
            relative[low_id] ^= change;
            let expected = Expectation::after(protocol, &last, 1000).unwrap();
            let (_, samples) = sent(protocol, &relative, snr_db, Keying::default(), 40, &mut random);
            let received = listen(Trust::Normal, &[expected], &samples);
            let wrong = received
                .iter()
                .filter(|packet| packet.bytes()[low_id] == last[low_id]);
            assert_eq!(wrong.count(), 0, "{protocol:?}, id ^ {change}");
        }
    }
}

#[test]
fn given_a_counter_outside_of_what_is_expected_then_no_other_one_is_made_of_it() {
    let mut random = Random::new(15);
    for (protocol, snr_db) in EXPECTED {
        let last = last_frame(protocol, &mut random);
        let (frames, samples) = sent(protocol, &last, snr_db, Keying::default(), 40, &mut random);
        // As of half a million counts ago.
        let mut before = last.clone();
        before[if protocol == Protocol::Scm {
            4
        } else if protocol == Protocol::R900 {
            6
        } else {
            9
        }] ^= 0x08;
        let expected = Expectation::after(protocol, &before, 1000).unwrap();
        let received = listen(Trust::Normal, &[expected], &samples);
        assert!(
            received
                .iter()
                .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
        );
    }
}

#[test]
fn given_noise_and_20_expectations_then_nothing_is_received() {
    let mut random = Random::new(16);
    let expectations: Vec<_> = Protocol::ALL
        .into_iter()
        .cycle()
        .take(20)
        .filter_map(|protocol| Expectation::after(protocol, &random_frame(protocol, &mut random), 1000))
        .collect();
    assert_eq!(expectations.len(), 20);
    let samples = quantized(&scene(RATE_HZ, 4.0, vec![]), &mut random);
    assert_eq!(listen(Trust::Normal, &expectations, &samples), []);
}

#[test]
fn given_a_street_and_absent_meters_then_the_packets_are_those_without_expectations() {
    let mut random = Random::new(17);
    let transmissions = (0..40).map(|i| {
        let protocol = Protocol::ALL[i % 4];
        let frame = random_frame(protocol, &mut random);
        let (start_s, offset_hz) = (random.uniform(0.01, 1.0), random.uniform(-1e6, 1e6));
        transmission(protocol, &frame, start_s, offset_hz, random.uniform(-14.0, 20.0))
    });
    let scene = scene(RATE_HZ, 1.1, transmissions.collect());
    let samples = quantized(&scene, &mut random);
    let expectations: Vec<_> = (0..20)
        .filter_map(|_| Expectation::after(Protocol::Scm, &random_frame(Protocol::Scm, &mut random), 1000))
        .collect();
    let bytes = |packets: Vec<Packet>| packets.iter().map(|p| p.bytes().to_vec()).collect::<Vec<_>>();
    let without = bytes(listen(Trust::Normal, &[], &samples));
    assert!(without.len() > 20);
    let with = bytes(listen(Trust::Normal, &expectations, &samples));
    assert!(without.iter().all(|packet| with.contains(packet)));
    assert!(
        with.len() <= without.len() + 1,
        "a longer segment may hold one packet more"
    );
}

#[test]
fn given_a_known_meter_30_db_below_its_neighbor_then_both_are_received() {
    let mut random = Random::new(18);
    let mut received = 0;
    for _ in 0..20 {
        let last = last_frame(Protocol::Scm, &mut random);
        let weak = risen(Protocol::Scm, &last, 99);
        let strong = random_frame(Protocol::Scm, &mut random);
        let lag_s = random.uniform(-0.005, 0.005);
        let transmissions = vec![
            transmission(Protocol::Scm, &strong, 0.012, -250e3, 16.0),
            transmission(Protocol::Scm, &weak, 0.012 + lag_s, 250e3, -14.0),
        ];
        let samples = quantized(&scene(RATE_HZ, 0.04, transmissions), &mut random);
        let expected = Expectation::after(Protocol::Scm, &last, 1000).unwrap();
        let packets = listen(Trust::Normal, &[expected], &samples);
        assert!(
            packets
                .iter()
                .all(|packet| [&weak, &strong].contains(&&packet.bytes().to_vec()))
        );
        received += packets.len();
    }
    assert!(received >= 38, "{received} of 40");
}

/// Returns the IDM of the next interval, in which this was consumed, transmitted `time` sixteenths of a second after it began.
fn next_idm(last: &[u8], consumption: u16, time: u16) -> Vec<u8> {
    let words = |frame: &[u8]| -> Vec<bool> {
        (264..687)
            .map(|bit| frame[bit / 8] >> (7 - bit % 8) & 1 == 1)
            .collect()
    };
    let mut frame = last.to_vec();
    frame[13] = frame[13].wrapping_add(1);
    let total = u32::from_be_bytes([last[29], last[30], last[31], last[32]]);
    frame[29..33].copy_from_slice(&total.wrapping_add(consumption.into()).to_be_bytes());
    let newest = (0..9).map(|i| consumption >> (8 - i) & 1 == 1);
    for (bit, one) in (264..687).zip(newest.chain(words(last))) {
        let mask = 0x80 >> (bit % 8);
        frame[bit / 8] = frame[bit / 8] & !mask | if one { mask } else { 0 };
    }
    frame[86..88].copy_from_slice(&time.to_be_bytes());
    fec::encode(Protocol::Idm, &mut frame);
    frame
}

/// 20 IDMs of the next interval, 70 ms apart, on random carriers.
fn sent_idms(
    last: &[u8],
    time: u16,
    snr_db: f64,
    keying: Keying,
    random: &mut Random,
) -> (Vec<Vec<u8>>, Vec<Complex32>) {
    let consumption = random.uniform(0.0, 200.0) as u16;
    let frames: Vec<_> = (0..20)
        .map(|i| next_idm(last, consumption, time + (0.07 * 16.0 * f64::from(i + 1)) as u16))
        .collect();
    let transmissions = frames.iter().enumerate().map(|(i, frame)| {
        let offset_hz = random.uniform(-1e6, 1e6);
        Transmission {
            phase_rad: random.uniform(0.0, std::f64::consts::TAU),
            clock_ppm: random.uniform(-200.0, 200.0),
            keying,
            ..transmission(Protocol::Idm, frame, 0.07 * (i + 1) as f64, offset_hz, snr_db)
        }
    });
    let scene = scene(RATE_HZ, 0.07 * 22.0, transmissions.collect());
    (frames, quantized(&scene, random))
}

/// Returns true if an IDM is one of `frames`, but for a time that is wrong by up to a second, or in doubt.
fn is_one_of(frames: &[Vec<u8>], packet: &Packet) -> bool {
    let idm = packet.bytes();
    let is_time_certain = !matches!(packet.signal.method, Method::Expected { time_doubt_percent, .. } if time_doubt_percent > 0);
    let time = |frame: &[u8]| u16::from_be_bytes([frame[86], frame[87]]);
    frames
        .iter()
        .any(|frame| frame[..86] == idm[..86] && (!is_time_certain || time(frame).abs_diff(time(idm)) <= 16))
}

#[test]
fn given_an_idm_of_five_minutes_ago_then_the_next_one_is_received_deep_in_noise() {
    let mut random = Random::new(21);
    let last = random_frame(Protocol::Idm, &mut random);
    let last = next_idm(&last, 50, 1000);
    // (1000 + 16 · 250 - 4800) sixteenths of a second into the next interval.
    let expected = Expectation::after(Protocol::Idm, &last, 1000).unwrap();
    for (expectation, snr_db) in [(expected.clone().heard_ago(250.0), -15.5), (expected, -14.0)] {
        let (frames, samples) = sent_idms(&last, 200, snr_db, Keying::default(), &mut random);
        assert_eq!(listen(Trust::Normal, &[], &samples), []);
        let received = listen(Trust::Normal, &[expectation], &samples);
        assert!(received.len() >= 17, "{snr_db}: {} of 20", received.len());
        for packet in &received {
            assert!(is_one_of(&frames, packet), "{snr_db}: {packet:?}");
        }
    }
}

#[test]
fn given_an_idm_with_a_drifting_carrier_then_it_is_received_as_well() {
    let mut random = Random::new(22);
    let last = next_idm(&random_frame(Protocol::Idm, &mut random), 50, 1000);
    let keying = Keying {
        drift_hz_per_s: 20e3,
        ..Keying::default()
    };
    let expected = Expectation::after(Protocol::Idm, &last, 1000).unwrap();
    let (frames, samples) = sent_idms(&last, 200, -15.0, keying, &mut random);
    let received = listen(Trust::Normal, &[expected.heard_ago(250.0)], &samples);
    assert!(received.len() >= 17, "{} of 20", received.len());
    assert!(received.iter().all(|packet| is_one_of(&frames, packet)));
}

#[test]
fn given_idms_of_relatives_or_of_an_hour_later_then_none_is_made_the_one_expected() {
    let mut random = Random::new(23);
    let last = next_idm(&random_frame(Protocol::Idm, &mut random), 50, 1000);
    let mut neighbor = last.clone();
    neighbor[12] ^= 1;
    let mut later = last.clone();
    for _ in 0..12 {
        later = next_idm(&later, random.uniform(0.0, 200.0) as u16, 1000);
    }
    let expected = Expectation::after(Protocol::Idm, &last, 1000).unwrap();
    for other in [neighbor, later] {
        let (frames, samples) = sent_idms(&other, 200, -14.0, Keying::default(), &mut random);
        let received = listen(Trust::Normal, &[expected.clone().heard_ago(250.0)], &samples);
        assert!(received.iter().all(|packet| is_one_of(&frames, packet)));
    }
}
