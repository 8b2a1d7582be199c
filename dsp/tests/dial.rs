//! Meters of which only id and counter are known, as from a dial: type and flags are not.

mod common;
#[path = "common/known.rs"]
mod known;

use common::{quantized, scene, transmission};
use known::{RATE_HZ, id, is_expected, last_frame, listen, sent};
use metertap_dsp::synth::{Keying, Random, Transmission};
use metertap_dsp::{Expectation, MAX_RISE, Packet, Protocol, Trust, fec};

/// Time from one frame to the next.
const APART_S: f64 = 0.02;

/// Returns the SCM of a meter; `status` is the byte of flags and type.
fn scm(id: u32, reserved: u8, status: u8, counter: u32) -> Vec<u8> {
    let mut frame = vec![0; Protocol::Scm.bytes()];
    frame[2] = (id >> 24 << 1) as u8 | reserved;
    frame[3] = status;
    frame[4..7].copy_from_slice(&counter.to_be_bytes()[1..]);
    frame[7..10].copy_from_slice(&id.to_be_bytes()[1..]);
    fec::encode(Protocol::Scm, &mut frame);
    frame
}

/// Sends `frames` at `snr_db` and returns what is received with one meter expected.
fn received(frames: &[Vec<u8>], snr_db: f64, expected: &Expectation, random: &mut Random) -> Vec<Packet> {
    let transmissions = frames.iter().enumerate().map(|(i, frame)| {
        let (start_s, offset_hz) = (APART_S * (i + 1) as f64, random.uniform(-1e6, 1e6));
        Transmission {
            phase_rad: random.uniform(0.0, std::f64::consts::TAU),
            ..transmission(Protocol::Scm, frame, start_s, offset_hz, snr_db)
        }
    });
    let seconds = APART_S * (frames.len() + 2) as f64;
    let samples = quantized(&scene(RATE_HZ, seconds, transmissions.collect()), random);
    listen(Trust::Normal, std::slice::from_ref(expected), &samples)
}

#[test]
fn given_only_the_dial_then_a_meter_is_received_whatever_its_reserved_bit_and_flags_are() {
    let mut random = Random::new(24);
    let (id, dial) = (17_563_920, 101_000);
    let expected = Expectation::for_counter(Protocol::Scm, id, dial, MAX_RISE).unwrap();
    // Reserved bit, flags and type of meters in real recordings.
    for (reserved, status) in [(0, 0x30), (1, 0x20), (0, 0x60), (1, 0x61), (1, 0x63)] {
        let frames: Vec<_> = (0..30)
            .map(|i| scm(id, reserved, status, dial + 60 * i))
            .collect();
        let packets = received(&frames, -14.0, &expected, &mut random);
        assert!(packets.len() >= 24, "{status:02X}: {} of 30", packets.len());
        let is_sent = |packet: &Packet| frames.iter().any(|frame| packet.bytes() == frame);
        assert!(packets.iter().all(is_sent), "{status:02X}");
    }
}

#[test]
fn given_only_the_dial_then_neighbors_are_not_taken_for_the_meter() {
    let mut random = Random::new(25);
    let (id, dial) = (17_563_920, 101_000);
    let expected = Expectation::for_counter(Protocol::Scm, id, dial, MAX_RISE).unwrap();
    for change in [1, 2, 0x10] {
        let frames: Vec<_> = (0..40)
            .map(|i| scm(id ^ change, 1, 0x60, dial + 60 * i))
            .collect();
        let packets = received(&frames, -14.5, &expected, &mut random);
        let is_sent = |packet: &Packet| frames.iter().any(|frame| packet.bytes() == frame);
        assert!(packets.iter().all(is_sent), "id ^ {change}");
    }
}

#[test]
fn given_only_the_dial_of_an_r900_then_it_is_received_whatever_its_model() {
    let mut random = Random::new(35);
    for (model, leak) in [(0xA3, 0), (0x0F, 0x1F)] {
        // 27 bits of counter: 0x2012345.
        let mut last = vec![
            0x5B,
            0x1D,
            0xE0,
            0x42,
            model,
            0,
            0x01,
            0x23,
            0x45,
            0x40 | leak,
            0,
            0,
            0,
            0,
        ];
        fec::encode(Protocol::R900, &mut last);
        let id = id(Protocol::R900, &last);
        let expected = Expectation::for_counter(Protocol::R900, id, 0x201_2345, 1000).unwrap();
        let (frames, samples) = sent(Protocol::R900, &last, -14.0, Keying::default(), 20, &mut random);
        let received = listen(Trust::Normal, &[expected], &samples);
        assert!(received.len() >= 18, "{model:x}: {} of 20", received.len());
        assert!(
            received
                .iter()
                .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
        );
    }
}

#[test]
fn given_only_the_dial_of_an_scm_plus_then_it_is_received_whatever_its_tamper_flags() {
    let mut random = Random::new(36);
    for (tamper, snr_db) in [(0, -14.0), (0x4900, -12.5)] {
        let mut last = last_frame(Protocol::ScmPlus, &mut random);
        last[3] = 0xAB;
        last[12..14].copy_from_slice(&u16::to_be_bytes(tamper));
        fec::encode(Protocol::ScmPlus, &mut last);
        let counter = u32::from_be_bytes([last[8], last[9], last[10], last[11]]);
        let id = id(Protocol::ScmPlus, &last);
        let expected = Expectation::for_counter(Protocol::ScmPlus, id, counter, 1000).unwrap();
        let (frames, samples) = sent(
            Protocol::ScmPlus,
            &last,
            snr_db,
            Keying::default(),
            20,
            &mut random,
        );
        let received = listen(Trust::Normal, &[expected], &samples);
        assert!(received.len() >= 17, "{tamper:x}: {} of 20", received.len());
        assert!(received.iter().filter(is_expected).count() >= 10, "{tamper:x}");
        assert!(
            received
                .iter()
                .all(|packet| frames.iter().any(|frame| packet.bytes() == frame))
        );
    }
}
