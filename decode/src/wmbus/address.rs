//! Addresses: manufacturer, identification, version and device type.

use crate::mbus::{manufacturer, medium, number};

/// Address of a radio or of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Manufacturer: three letters of five bits. Bit 15 says that the address is unique only within an installation.
    pub manufacturer: u16,
    /// Identification as sent, lowest byte first; decimal digits as a rule.
    pub identification: [u8; 4],
    /// Version, by which manufacturers tell their products apart.
    pub version: u8,
    /// Device type: what is measured.
    pub device_type: u8,
}

impl Address {
    /// Reads the order of the link layer: manufacturer, identification, version, type.
    pub(super) fn from_link(&[m1, m2, i1, i2, i3, i4, version, device_type]: &[u8; 8]) -> Self {
        Address {
            manufacturer: u16::from_le_bytes([m1, m2]),
            identification: [i1, i2, i3, i4],
            version,
            device_type,
        }
    }

    /// Reads the order of a long header: identification, manufacturer, version, type.
    pub(super) fn from_header(&[i1, i2, i3, i4, m1, m2, version, device_type]: &[u8; 8]) -> Self {
        Self::from_link(&[m1, m2, i1, i2, i3, i4, version, device_type])
    }

    /// Returns the bytes in the order of the link layer.
    pub fn to_link(self) -> [u8; 8] {
        let [m1, m2] = self.manufacturer.to_le_bytes();
        let [i1, i2, i3, i4] = self.identification;
        [m1, m2, i1, i2, i3, i4, self.version, self.device_type]
    }

    /// Returns the bytes in the order of a long header.
    pub fn to_header(self) -> [u8; 8] {
        let [m1, m2, i1, i2, i3, i4, version, device_type] = self.to_link();
        [i1, i2, i3, i4, m1, m2, version, device_type]
    }

    /// Returns the identification as it is printed on the meter: eight digits, or hexadecimal where it has letters.
    pub fn number(&self) -> String {
        number(self.identification)
    }

    /// Returns the three letters of the manufacturer; empty if they are no letters.
    pub fn letters(&self) -> String {
        manufacturer(self.manufacturer)
    }

    /// Returns what is measured, such as `water`.
    pub fn medium(&self) -> &'static str {
        medium(self.device_type)
    }

    /// Returns true if the manufacturer has these letters.
    pub(super) fn is_of(&self, letters: &str) -> bool {
        self.letters() == letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_give_the_same_address() {
        let address = Address::from_link(&[0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 1, 7]);
        assert_eq!(Address::from_header(&address.to_header()), address);
        assert_eq!(address.to_link(), [0x43, 0x04, 0x78, 0x56, 0x34, 0x12, 1, 7]);
        assert_eq!(
            (
                address.number().as_str(),
                address.letters().as_str(),
                address.medium()
            ),
            ("12345678", "ABC", "water")
        );
    }

    #[test]
    fn the_bit_of_an_address_that_is_not_unique_is_no_letter() {
        let address = Address::from_link(&[0x43, 0x84, 0, 0, 0, 0, 1, 7]);
        assert!(address.is_of("ABC"));
    }
}
