//! IDM, interval data: 92 bytes, big-endian.
//!
//! ```text
//!  byte 0           4    5    6    7     8      9        13      14      15           21
//!  ├─ 55 55 16 A3 ──┼ 1C ┼ 5C ┼ C6 ┼ app ┼ type ┼ serial ┼ count ┼ state ┼ tamper × 6 ┼ …
//!  21      23            29              33                             86      88           90    92
//!  ┼ async ┼ outages × 6 ┼ consumption ──┼ 47 intervals of 9 bits, 1 ───┼ time ─┼ serial CRC ┼ CRC ┤
//! ```
//!
//! The newest interval comes first; each is 5 minutes. `time` is what has passed since its end, in 1/16 s.

use super::{Refused, bits};
use metertap_dsp::{Protocol, fec};
use serde::{Serialize, Serializer};

/// Intervals in a message.
pub const INTERVALS: usize = 47;

/// Fields of an IDM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Idm {
    /// 0x555516A3.
    pub preamble: u32,
    /// 0x1C.
    #[serde(rename = "PacketTypeID")]
    pub packet_type_id: u8,
    /// 0x5C = 92.
    pub packet_length: u8,
    /// Of the length: 0xC6.
    pub hamming_code: u8,
    /// Version of the module's program.
    pub application_version: u8,
    /// ERT type, 4 bits.
    #[serde(rename = "ERTType")]
    pub ert_type: u8,
    /// The meter.
    #[serde(rename = "ERTSerialNumber")]
    pub ert_serial_number: u32,
    /// One more every 5 minutes, modulo 256.
    pub consumption_interval_count: u8,
    /// State of the module.
    pub module_programming_state: u8,
    /// Six counters of tampering.
    #[serde(serialize_with = "base64")]
    pub tamper_counters: [u8; 6],
    /// Counters that depend on the meter.
    pub asynchronous_counters: u16,
    /// One bit an interval.
    #[serde(serialize_with = "base64")]
    pub power_outage_flags: [u8; 6],
    /// The counter at the end of the newest interval.
    pub last_consumption_count: u32,
    /// Consumption per interval, newest first; 9 bits each.
    #[serde(serialize_with = "list")]
    pub differential_consumption_intervals: [u16; INTERVALS],
    /// Since the newest interval ended, 1/16 s.
    pub transmit_time_offset: u16,
    /// Check of the serial number as sent.
    #[serde(rename = "SerialNumberCRC")]
    pub serial_number_crc: u16,
    /// Check of the packet as sent.
    #[serde(rename = "PacketCRC")]
    pub packet_crc: u16,
}

/// Bytes as padded base64, as Go's JSON writes them.
fn base64<S: Serializer>(bytes: &[u8; 6], to: S) -> Result<S::Ok, S::Error> {
    use base64::Engine;
    to.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// Arrays longer than serde's 32.
pub(super) fn list<S: Serializer>(values: &[u16], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values)
}

impl Idm {
    /// Reads a frame of 92 bytes.
    ///
    /// # Errors
    /// [`Refused`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, Refused> {
        if frame.len() != Protocol::Idm.bytes() {
            return Err(Refused::Length(frame.len()));
        }
        let field = |byte: usize, bytes: usize| bits::get(frame, byte * 8, bytes * 8);
        let six = |byte: usize| std::array::from_fn(|i| frame[byte + i]);
        let ert_serial_number = field(9, 4);
        if ert_serial_number == 0 {
            return Err(Refused::IdZero);
        }
        Ok(Idm {
            preamble: field(0, 4),
            packet_type_id: frame[4],
            packet_length: frame[5],
            hamming_code: frame[6],
            application_version: frame[7],
            ert_type: frame[8] & 0x0F,
            ert_serial_number,
            consumption_interval_count: frame[13],
            module_programming_state: frame[14],
            tamper_counters: six(15),
            asynchronous_counters: field(21, 2) as u16,
            power_outage_flags: six(23),
            last_consumption_count: field(29, 4),
            differential_consumption_intervals: std::array::from_fn(|i| {
                bits::get(frame, 33 * 8 + i * 9, 9) as u16
            }),
            transmit_time_offset: field(86, 2) as u16,
            serial_number_crc: field(88, 2) as u16,
            packet_crc: field(90, 2) as u16,
        })
    }

    /// The frame, with fixed bytes and fresh checks.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![0; Protocol::Idm.bytes()];
        frame[7] = self.application_version;
        // Meters send 1 in the upper nibble.
        frame[8] = 0x10 | self.ert_type;
        bits::put(&mut frame, 9 * 8, 32, self.ert_serial_number);
        frame[13] = self.consumption_interval_count;
        frame[14] = self.module_programming_state;
        frame[15..21].copy_from_slice(&self.tamper_counters);
        bits::put(&mut frame, 21 * 8, 16, self.asynchronous_counters.into());
        frame[23..29].copy_from_slice(&self.power_outage_flags);
        bits::put(&mut frame, 29 * 8, 32, self.last_consumption_count);
        for (i, &interval) in self.differential_consumption_intervals.iter().enumerate() {
            bits::put(&mut frame, 33 * 8 + i * 9, 9, interval.into());
        }
        bits::put(&mut frame, 86 * 8, 16, self.transmit_time_offset.into());
        fec::encode(Protocol::Idm, &mut frame);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;
    use proptest::prelude::*;

    /// PROTOCOLS-rf.md section 11.
    const FRAME: &str = "555516A31C5CC6041700BC614EF6BC0102030405061234A1B2C3D4E5F6000EDEFC000040403020140C0704024140B060341C0F0804424130A0542C170C064341B0E0743C1F100844423120944C27140A4542B160B45C01DC61B0AB9A";

    fn hex(text: &str) -> Vec<u8> {
        octets(text).unwrap()
    }

    #[test]
    fn given_a_documented_frame_then_its_fields_come_out() {
        let frame = hex(FRAME);
        let message = Idm::parse(&frame).unwrap();
        assert_eq!(message.ert_serial_number, 12_345_678);
        assert_eq!((message.ert_type, message.consumption_interval_count), (7, 246));
        assert_eq!(message.module_programming_state, 188);
        assert_eq!(message.last_consumption_count, 974_588);
        let intervals: Vec<u16> = (0..47).collect();
        assert_eq!(message.differential_consumption_intervals[..], intervals);
        assert_eq!(
            (message.transmit_time_offset, message.asynchronous_counters),
            (476, 4660)
        );
        assert_eq!((message.serial_number_crc, message.packet_crc), (25_008, 43_930));
        let json = serde_json::to_value(&message).unwrap();
        assert_eq!(
            (&json["TamperCounters"], &json["PowerOutageFlags"]),
            (&"AQIDBAUG".into(), &"obLD1OX2".into())
        );
        assert_eq!(message.encode(), frame);
    }

    #[test]
    fn given_serial_zero_then_it_is_refused() {
        let mut frame = hex(FRAME);
        frame[9..13].fill(0);
        assert_eq!(Idm::parse(&frame), Err(Refused::IdZero));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(mut frame in prop::collection::vec(any::<u8>(), 92)) {
            frame[8] = 0x10 | frame[8] & 0x0F;
            frame[85] &= 0xFE;
            fec::encode(Protocol::Idm, &mut frame);
            if let Ok(message) = Idm::parse(&frame) {
                prop_assert_eq!(message.encode(), frame);
            }
        }
    }
}
