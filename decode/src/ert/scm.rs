//! SCM, the standard consumption message: 96 bits.
//!
//! ```text
//!  bit 0                  21   23 24  26    30  32           56        80      96
//!  ├── sync 1F2A60 ────────┼ id ┼─┼ phy ┼ type ┼ enc ┼ consumption ┼ id ────┼ BCH ──┤
//!                           25..24  tamper      tamper   24 bits      23..0
//! ```

use super::{Refused, bits};
use metertap_dsp::{Protocol, fec};
use serde::Serialize;

/// Fields of an SCM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scm {
    /// 26 bits.
    #[serde(rename = "ID")]
    pub id: u32,
    /// What is measured, see [`super::Commodity::of_ert_type`]; 4 bits.
    #[serde(rename = "Type")]
    pub ert_type: u8,
    /// Physical tamper, 2 bits.
    #[serde(rename = "TamperPhy")]
    pub tamper_phy: u8,
    /// Encoder tamper, 2 bits.
    #[serde(rename = "TamperEnc")]
    pub tamper_enc: u8,
    /// The counter, 24 bits.
    #[serde(rename = "Consumption")]
    pub consumption: u32,
    /// The check as sent.
    #[serde(rename = "ChecksumVal")]
    pub checksum: u16,
}

impl Scm {
    /// Reads a frame of 12 bytes.
    ///
    /// # Errors
    /// [`Refused`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, Refused> {
        if frame.len() != Protocol::Scm.bytes() {
            return Err(Refused::Length(frame.len()));
        }
        let field = |from, len| bits::get(frame, from, len);
        let id = field(21, 2) << 24 | field(56, 24);
        if id == 0 {
            return Err(Refused::IdZero);
        }
        Ok(Scm {
            id,
            tamper_phy: field(24, 2) as u8,
            ert_type: field(26, 4) as u8,
            tamper_enc: field(30, 2) as u8,
            consumption: field(32, 24),
            checksum: field(80, 16) as u16,
        })
    }

    /// The frame, with sync and a fresh check.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![0; Protocol::Scm.bytes()];
        bits::put(&mut frame, 21, 2, self.id >> 24);
        bits::put(&mut frame, 24, 2, self.tamper_phy.into());
        bits::put(&mut frame, 26, 4, self.ert_type.into());
        bits::put(&mut frame, 30, 2, self.tamper_enc.into());
        bits::put(&mut frame, 32, 24, self.consumption);
        bits::put(&mut frame, 56, 24, self.id);
        fec::encode(Protocol::Scm, &mut frame);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Worked out by hand in UX.md: preamble 1f2a60, id bits 0, tamper 1, type 13, 48213, 12345678.
    const WATER: [u8; 12] = [
        0xF9, 0x53, 0x00, 0x74, 0x00, 0xBC, 0x55, 0xBC, 0x61, 0x4E, 0x8E, 0x66,
    ];

    #[test]
    fn given_a_documented_frame_then_its_fields_come_out() {
        let message = Scm::parse(&WATER).unwrap();
        let expected = Scm {
            id: 12_345_678,
            ert_type: 13,
            tamper_phy: 1,
            tamper_enc: 0,
            consumption: 48_213,
            checksum: 0x8E66,
        };
        assert_eq!(message, expected);
        assert_eq!(message.encode(), WATER);
    }

    #[test]
    fn given_all_id_bits_then_both_parts_of_the_id_count() {
        // PROTOCOLS-rf.md section 11.
        let frame = [
            0xF9, 0x53, 0x06, 0x33, 0xFF, 0xFF, 0xFF, 0xAB, 0xCD, 0xEF, 0x75, 0xBE,
        ];
        let message = Scm::parse(&frame).unwrap();
        assert_eq!((message.id, message.ert_type), (61_591_023, 12));
        assert_eq!((message.tamper_phy, message.tamper_enc), (0, 3));
        assert_eq!((message.consumption, message.checksum), (16_777_215, 30_142));
    }

    #[test]
    fn given_id_zero_or_a_cut_frame_then_it_is_refused() {
        let mut frame = WATER;
        frame[7..10].fill(0);
        assert_eq!(Scm::parse(&frame), Err(Refused::IdZero));
        assert_eq!(Scm::parse(&WATER[..11]), Err(Refused::Length(11)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            id in 1u32..1 << 26, ert_type in 0u8..16, tamper_phy in 0u8..4, tamper_enc in 0u8..4, consumption in 0u32..1 << 24,
        ) {
            let message = Scm { id, ert_type, tamper_phy, tamper_enc, consumption, checksum: 0 };
            let back = Scm::parse(&message.encode()).unwrap();
            prop_assert_eq!(Scm { checksum: 0, ..back }, message);
        }
    }
}
