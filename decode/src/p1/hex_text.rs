//! Text values, which meters send as hexadecimal digits of the characters (DSMR 5.0.2 P1, 6.4).

use data_encoding::HEXUPPER_PERMISSIVE;

/// Returns the text whose hexadecimal digits `group` holds; `group` itself if it holds anything else.
pub fn decode(group: &str) -> String {
    let is_printable = |byte: &u8| (0x20..0x7F).contains(byte) || *byte >= 0xA0;
    match HEXUPPER_PERMISSIVE.decode(group.as_bytes()) {
        // Bytes from A0 on are Latin-1.
        Ok(bytes) if bytes.iter().all(is_printable) => bytes.into_iter().map(char::from).collect(),
        _ => group.to_owned(),
    }
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
}
