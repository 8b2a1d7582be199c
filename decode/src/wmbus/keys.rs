//! Keys of meters, and the keys that manufacturers deliver their meters with.

use super::address::Address;
use crate::cipher::Key;
use std::collections::BTreeMap;

/// Keys by identification, and one for every other meter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    by_number: BTreeMap<String, Key>,
    any: Option<Key>,
}

impl KeyRing {
    /// Sets the key of every meter that has none of its own.
    pub fn set_any(&mut self, key: Key) {
        self.any = Some(key);
    }

    /// Sets the key of the meter, or of the radio, with this identification of eight digits.
    pub fn insert(&mut self, number: impl Into<String>, key: Key) {
        self.by_number.insert(number.into().to_ascii_uppercase(), key);
    }

    /// Returns the key of a meter, by its own identification or else by that of its radio: which of the two is printed on
    /// the meter differs.
    pub fn find(&self, meter: &Address, radio: &Address) -> Option<&Key> {
        let by_number = |address: &Address| self.by_number.get(&address.number());
        by_number(meter)
            .or_else(|| by_number(radio))
            .or(self.any.as_ref())
    }
}

/// Key that a manufacturer delivers meters with, which everybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultKey {
    /// Name, such as `Apator's default key`.
    pub name: &'static str,
    bytes: [u8; 16],
}

impl DefaultKey {
    pub(super) fn key(&self) -> Key {
        self.bytes.into()
    }
}

/// Apator's meters leave the factory with it (wmbusmeters' documentation of its driver apator162).
const APATOR: DefaultKey = DefaultKey {
    name: "Apator's default key",
    bytes: [0; 16],
};

/// Meters of Diehl (Hydrus, Sharky, IZAR) leave the factory with it.
const DIEHL: DefaultKey = DefaultKey {
    name: "Diehl's default key",
    bytes: [
        0x51, 0x72, 0x89, 0x10, 0xE6, 0x6D, 0x83, 0xF8, 0x51, 0x72, 0x89, 0x10, 0xE6, 0x6D, 0x83, 0xF8,
    ],
};

/// Returns the key that meters of this manufacturer are delivered with.
pub(super) fn default_key(address: &Address) -> Option<&'static DefaultKey> {
    match &*address.letters() {
        "APA" | "APT" => Some(&APATOR),
        "DME" | "EWT" | "HYD" | "SAP" | "SPL" => Some(&DIEHL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Address {
        Address::from_link(&[0x43, 0x04, last, 0x56, 0x34, 0x1A, 1, 7])
    }

    #[test]
    fn a_key_is_found_by_meter_then_by_radio_then_for_any() {
        let key = |byte: u8| Key::from([byte; 16]);
        let mut keys = KeyRing::default();
        assert_eq!(keys.find(&address(1), &address(2)), None);
        keys.set_any(key(1));
        keys.insert("1a345602", key(2));
        assert_eq!(keys.find(&address(1), &address(2)), Some(&key(2)));
        keys.insert("1A345601", key(3));
        assert_eq!(keys.find(&address(1), &address(2)), Some(&key(3)));
        assert_eq!(keys.find(&address(8), &address(9)), Some(&key(1)));
    }

    #[test]
    fn only_manufacturers_with_a_known_key_have_a_default_one() {
        assert_eq!(default_key(&address(1)), None);
        let apator = Address::from_link(&[0x01, 0x06, 0, 0, 0, 0, 5, 7]);
        assert_eq!(default_key(&apator).unwrap().name, "Apator's default key");
    }
}
