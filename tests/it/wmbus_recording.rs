//! A recording of real wireless M-Bus meters, through the receiver.

use crate::support::shared;
use metertap_dsp::iq;
use metertap_dsp::wmbus::{Config, Frame, Modes, Receiver};
use serde_json::Value;
use test_needs::needs;

#[needs(shared)]
#[test]
fn every_frame_of_the_real_recording_is_received_and_no_other() {
    let truth =
        std::fs::read_to_string(shared("recordings/rtlsdr_868.950M_1M6_samples2.cu8.truth.jsonl")).unwrap();
    let truth: Vec<Value> = truth
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(truth.len(), 2);
    let rate_hz = truth[0]["rate_hz"].as_f64().unwrap();
    let bytes = std::fs::read(shared("recordings").join(truth[0]["file"].as_str().unwrap())).unwrap();
    let mut samples = Vec::new();
    iq::Format::Cu8.decode(&bytes, &mut samples);
    let mut receiver = Receiver::new(Config {
        sample_rate_hz: rate_hz,
        center_hz: truth[0]["centre_hz"].as_f64().unwrap(),
        modes: Modes::BAND_868,
    })
    .unwrap();
    let mut received: Vec<Frame> = Vec::new();
    receiver.push(&samples, |frame| received.push(*frame));
    receiver.flush(|frame| received.push(*frame));
    assert_eq!(received.len(), truth.len(), "{received:?}");
    for (frame, truth) in received.iter().zip(&truth) {
        assert_eq!(
            data_encoding::HEXLOWER.encode(frame.bytes()),
            truth["hex"],
            "{truth}"
        );
        assert_eq!(frame.mode.to_string(), truth["mode"]);
        assert_eq!(
            frame.format.map(|format| format.to_string()).as_deref(),
            truth["frame"].as_str()
        );
        // The truth is rounded to 10 kHz, and the time is that of the preamble.
        let offset_hz = truth["offset_hz"].as_f64().unwrap();
        assert!((frame.signal.offset_hz - offset_hz).abs() < 5e3, "{frame:?}");
        let at_ms = frame.sample as f64 / rate_hz * 1e3;
        assert!(
            (at_ms - truth["at_ms"].as_f64().unwrap()).abs() < 3.0,
            "{at_ms} ms"
        );
        let chip_rate = truth["chip_rate"].as_f64().unwrap();
        assert!(
            (f64::from(frame.signal.chip_rate_hz) - chip_rate).abs() < 400.0,
            "{frame:?}"
        );
    }
}
