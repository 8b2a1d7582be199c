//! Text values, which meters send as hexadecimal digits of the characters (DSMR 5.0.2 P1, 6.4).

use data_encoding::HEXUPPER_PERMISSIVE;

/// Characters FF at the end of a text that are filler; fewer may belong to a word.
const FILLER: &str = "\u{FF}\u{FF}\u{FF}\u{FF}";
/// Lengths of numbers of a meter that are taken for decimal ones: shorter and longer ones are texts in hexadecimal digits.
const DECIMAL: std::ops::RangeInclusive<usize> = 6..=12;

/// Returns the text whose hexadecimal digits `group` holds, without the zeros and FF that fill it; `group` itself if it holds
/// anything else.
pub fn decode(group: &str) -> String {
    let is_printable = |byte: &u8| (0x20..0x7F).contains(byte) || *byte >= 0xA0;
    let Ok(bytes) = HEXUPPER_PERMISSIVE.decode(group.as_bytes()) else {
        // Filler may be sent as bytes, too; FF is read as a Latin-1 character.
        return match group.trim_end_matches('\u{FF}') {
            text if text.is_empty() || group.ends_with(FILLER) => text.to_owned(),
            _ => group.to_owned(),
        };
    };
    let is_filler = |byte: &u8| matches!(byte, 0 | 0xFF);
    let end = bytes
        .iter()
        .rposition(|byte| !is_filler(byte))
        .map_or(0, |last| last + 1);
    match &bytes[..end] {
        [] if !bytes.contains(&0) => String::new(),
        // Bytes from A0 on are Latin-1.
        text @ [_, ..] if text.iter().all(is_printable) => text.iter().copied().map(char::from).collect(),
        _ => group.to_owned(),
    }
}

/// Returns the number of a meter, which is sent in hexadecimal digits of its characters, or as it stands. A short decimal number
/// is one as it stands, even if its digits in pairs are characters.
pub fn decode_number(group: &str) -> String {
    let is_decimal = group.bytes().all(|byte| byte.is_ascii_digit());
    let is_digits_of_digits = group.len() % 2 == 0 && group.bytes().step_by(2).all(|byte| byte == b'3');
    let number = match is_decimal && DECIMAL.contains(&group.len()) && !is_digits_of_digits {
        true => group.to_owned(),
        false => decode(group),
    };
    number.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_of_printable_characters_are_decoded() {
        assert_eq!(decode("4B384547"), "K8EG");
        assert_eq!(decode("4b384547"), "K8EG");
        assert_eq!(decode("serienummer"), "serienummer");
        assert_eq!(decode("012"), "012");
        assert_eq!(decode(""), "");
        assert_eq!(decode("0001"), "0001", "not printable");
    }

    #[test]
    fn filler_is_no_text() {
        assert_eq!(decode(&"FF".repeat(256)), "");
        assert_eq!(decode(&"ÿ".repeat(256)), "");
        assert_eq!(decode("text ÿÿÿÿÿ"), "text ");
        assert_eq!(decode("L'Haÿ"), "L'Haÿ");
        assert_eq!(decode("4B38FFFF"), "K8");
        assert_eq!(decode("4B380000"), "K8");
        assert_eq!(decode("00000000"), "00000000", "a number");
    }

    #[test]
    fn a_short_decimal_number_is_not_taken_for_characters() {
        for (group, number) in [
            ("4B384547", "K8EG"),
            ("31323334", "1234"),
            ("34563412", "34563412"),
            ("96815390", "96815390"),
            ("41", "A"),
            ("1EBZ0100507409", "1EBZ0100507409"),
            ("205A4142463030", "ZABF00"),
        ] {
            assert_eq!(decode_number(group), number, "{group}");
        }
    }
}
