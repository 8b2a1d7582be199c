//! Any split of the bytes gives the same events: a serial port delivers them in pieces of its own choice.

use crate::port::{DecodeEvent, Dlms, DlmsOptions, Iec, Kmp, Listener, Mbus, P1, Sml, Tic};
use metertap_decode::framing::dlms::mbus_segments;
use metertap_decode::framing::{kmp, mbus, p1, sml};
use proptest::prelude::*;

/// Events with the places at which their bytes begin, in this order: P1 has several framers side by side.
fn events<'a>(
    mut listener: Box<dyn Listener>,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<(u64, String)> {
    let mut events = Vec::new();
    let mut emit = |event: DecodeEvent| events.push((event.at, format!("{:?}", event.result)));
    for part in parts {
        listener.push(part, &mut emit);
    }
    listener.finish(&mut emit);
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Bytes with which frames begin, go on and end, so that noise of them looks like frames.
const TELLING: &[u8] = b"\x68\x10\x16\xE5\x40\x80\x0D\x1B\x7E\xA0\xDB\x08\x0F\x02\x03\x01\x05\x00\xFF\n/!A5";

/// A part of a stream: noise, or a frame that may be damaged.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(prop::sample::select(TELLING), 0..300);
    // Lengths beyond 255 are stated modulo 256 by Sagemcom's T210-D.
    let long = prop::collection::vec(any::<u8>(), 0..500).prop_map(|data| {
        let mut frame = mbus::long(0x53, 0xFF, 0, &data[..data.len().min(252)]);
        let body = [&[0x53, 0xFF, 0][..], &data].concat();
        frame.splice(4.., body.iter().copied().chain([mbus::checksum(&body), 0x16]));
        let len = body.len() as u8;
        frame[1..3].fill(len);
        frame
    });
    let data = prop::collection::vec(any::<u8>(), 1..80);
    let frame = prop_oneof![
        long,
        data.clone()
            .prop_map(|data| mbus_segments(&[&[0x0F], &data[..]].concat(), 40)),
        data.clone().prop_map(|data| kmp::request(0x10, &data)),
        data.prop_map(|data| sml::seal(&data)),
        "[0-9]{1,9}".prop_map(|value| p1::seal(&format!("/MTP5\\x\n\n1-0:1.8.0({value}*kWh)"), true)),
    ];
    let damaged =
        (frame.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut frame, at, byte)| {
            let at = at.index(frame.len());
            frame[at] = byte;
            frame
        });
    prop_oneof![noise, frame, damaged]
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(parts in prop::collection::vec(part(), 1..6), len in 1usize..200) {
        let bytes = parts.concat();
        let listeners = || -> [Box<dyn Listener>; 7] {
            [
                Box::<Mbus>::default(),
                Box::<Kmp>::default(),
                Box::new(Dlms::new(DlmsOptions::default())),
                Box::<P1>::default(),
                Box::<Sml>::default(),
                Box::<Tic>::default(),
                Box::<Iec>::default(),
            ]
        };
        for (i, (at_once, in_pieces)) in listeners().into_iter().zip(listeners()).enumerate() {
            prop_assert_eq!(events(at_once, [&bytes[..]]), events(in_pieces, bytes.chunks(len)), "listener {}", i);
        }
    }
}
