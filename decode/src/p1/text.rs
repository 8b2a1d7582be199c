//! Texts as they stand in brackets: in hex as a rule.

use crate::hex::octets;

/// Hex of readable text as that text; everything else as it stands.
pub fn text(group: &str) -> String {
    let is_readable = |byte: &u8| (0x20..0x7F).contains(byte) || *byte >= 0xA0;
    match octets(group) {
        Some(bytes) if bytes.iter().all(is_readable) => bytes.into_iter().map(char::from).collect(),
        _ => group.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_where_they_are_hex_of_letters() {
        assert_eq!(text("4B384547"), "K8EG");
        assert_eq!(text("serienummer"), "serienummer");
        assert_eq!(text("012"), "012");
        assert_eq!(text(""), "");
        assert_eq!(text("0001"), "0001", "not readable");
    }
}
