//! P1 against telegrams of other projects, read where they stand.

mod common;

use common::shared;
use metertap::decode::p1::{Telegram, text};
use metertap::link::p1::{Crc, Frame, Framer};
use serde_json::Value;

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut framer, mut frames) = (Framer::default(), Vec::new());
    framer.push(bytes, |frame| frames.push(frame));
    framer.pause(|frame| frames.push(frame));
    frames
}

/// Every telegram of `../shared/vectors/p1`: what was found in it, and what an independent reader found.
fn each(mut check: impl FnMut(&str, &Frame, &Value)) {
    let Some(folder) = shared("vectors/p1") else {
        return;
    };
    let mut telegrams = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".txt") else {
            continue;
        };
        let expected = std::fs::read_to_string(path.with_file_name(format!("{stem}.expected.json"))).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let whole = expected["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|frame| frame["complete"] == true);
        let found = frames(&std::fs::read(&path).unwrap());
        assert_eq!(found.len(), whole.clone().count(), "{name}");
        for (frame, expected) in found.iter().zip(whole) {
            check(&name, frame, expected);
            telegrams += 1;
        }
    }
    assert!(telegrams > 40, "{telegrams}");
}

#[test]
fn telegrams_are_found_and_their_crc_is_judged() {
    each(|name, frame, expected| {
        // The reference takes lines without CR as they are; the meter computed its CRC with it.
        if !frame.bytes.contains(&b'\r') && frame.crc == Crc::Right {
            return;
        }
        let verdict = match frame.crc {
            Crc::Absent => Value::Null,
            Crc::Right => true.into(),
            Crc::Wrong { .. } => false.into(),
        };
        assert_eq!(verdict, expected["crc_ok"], "{name}");
    });
}

#[test]
fn objects_are_those_of_the_reference() {
    each(|name, frame, expected| {
        let text = text(&frame.bytes);
        let telegram = Telegram::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(telegram.identification, expected["identification"], "{name}");
        assert_eq!(
            telegram.manufacturer().as_deref(),
            expected["manufacturer"].as_str(),
            "{name}"
        );
        let objects: Vec<Value> = telegram
            .objects
            .iter()
            .map(|object| serde_json::json!({"obis": object.obis.to_string(), "groups": object.groups}))
            .collect();
        // "Now" as the billing period says nothing, and is left out of ours.
        let mut due = expected["objects"].clone();
        for object in due.as_array_mut().unwrap() {
            let code = object["obis"].as_str().unwrap();
            let short = code
                .strip_suffix(".255")
                .or(code.strip_suffix("*255"))
                .unwrap_or(code);
            object["obis"] = short.into();
        }
        assert_eq!(Value::from(objects), due, "{name}");
        assert_eq!(
            serde_json::json!(telegram.unread),
            expected["unparsed_lines"],
            "{name}"
        );
    });
}
