//! Identifications of meters in the form that is printed on them.

use data_encoding::HEXUPPER;

/// Returns a server id as it is printed on the meter.
///
/// | octets | printed |
/// | --- | --- |
/// | `0A` or `09`, medium, three letters of the maker, block, number (4) (DIN 43863-5) | `1EMH0012345678` |
/// | `01`, maker (2), number (4), version, medium (M-Bus address, EN 13757-3) | `12345678` |
/// | text | the text |
/// | any other, such as the `06` of older meters | hexadecimal digits |
pub fn printed_id(octets: &[u8]) -> String {
    match octets {
        [0x09 | 0x0A, medium @ 0..=15, maker @ .., block, a, b, c, d]
            if maker.len() == 3 && maker.iter().all(u8::is_ascii_alphanumeric) =>
        {
            let number = u32::from_be_bytes([*a, *b, *c, *d]);
            let maker = String::from_utf8_lossy(maker);
            format!("{medium:X}{maker}{block:02X}{number:08}")
        }
        [0x01, _, _, number @ .., _, _] if number.len() == 4 && number.iter().all(|byte| is_bcd(*byte)) => {
            number.iter().rev().map(|byte| format!("{byte:02X}")).collect()
        }
        text if text.iter().all(|byte| (0x20..0x7F).contains(byte)) => {
            String::from_utf8_lossy(text).trim().to_owned()
        }
        other => HEXUPPER.encode(other),
    }
}

fn is_bcd(byte: u8) -> bool {
    byte >> 4 < 10 && byte & 0x0F < 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_an_id_of_any_maker_then_it_is_in_its_printed_form() {
        for (octets, printed) in [
            ("0A014D54500000BC614E", "1MTP0012345678"),
            ("09014D5450110000002A", "1MTP1100000042"),
            ("064D54500102715D00FF", "064D54500102715D00FF"),
            ("01A8157856341202020D", "01A8157856341202020D"),
            ("01A815785634120102", "12345678"),
            ("3132333435363738", "12345678"),
            ("", ""),
        ] {
            let octets = HEXUPPER.decode(octets.as_bytes()).unwrap();
            assert_eq!(printed_id(&octets), printed);
        }
    }

    proptest! {
        #[test]
        fn two_meters_never_share_an_id(a in any::<u32>(), b in any::<u32>(), block in any::<u8>()) {
            let id = |number: u32| {
                let mut octets = vec![0x0A, 1, b'M', b'T', b'P', block];
                octets.extend(number.to_be_bytes());
                printed_id(&octets)
            };
            prop_assert_eq!(a == b, id(a) == id(b));
        }

        #[test]
        fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = printed_id(&octets);
        }
    }
}
