//! Text and numbers in octet strings.

use crate::dlms::data::Data;
use crate::report::Value;

/// Returns octets as text if all of them are printable, without the zeros and spaces that pad them.
pub(super) fn readable_text(data: &Data) -> Option<String> {
    let (Data::Octets(octets) | Data::Text(octets)) = data else {
        return None;
    };
    let end = octets
        .iter()
        .rposition(|octet| !matches!(octet, 0 | b' '))
        .map_or(0, |last| last + 1);
    let is_text = end > 0 && octets[..end].iter().all(|octet| (0x20..0x7F).contains(octet));
    is_text.then(|| String::from_utf8_lossy(&octets[..end]).trim_start().to_owned())
}

/// Returns a number that a meter sends as text (`0001`) or as octets (`00 01`).
pub(super) fn count(octets: &[u8]) -> Option<Value> {
    let printed = std::str::from_utf8(octets)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let binary = || {
        octets
            .iter()
            .fold(0, |number, octet| number << 8 | u64::from(*octet))
    };
    let is_binary = (1..=8).contains(&octets.len()) && !octets.iter().all(u8::is_ascii_graphic);
    printed.or_else(|| is_binary.then(binary)).map(Value::Count)
}
