//! NetIDM: the frame of an IDM with another body, sent by meters that also feed in.
//!
//! ```text
//!  byte 0 … 13 as IDM   14      15         25            28           31    34    38
//!  ├────────────────────┼ state ┼ unknown ─┼ consumption ┼ generation ┼ ?? ─┼ net ┼ 27 × 14 bits, 6 ─┤ 86 as IDM
//! ```

use super::idm::list;
use super::{Kind, Refused, bits};
use metertap_dsp::{Protocol, fec};
use serde::Serialize;

/// Intervals in a message.
pub const INTERVALS: usize = 27;

/// Fields of a NetIDM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetIdm {
    /// 0x555516A3.
    pub preamble: u32,
    /// 0x1C.
    #[serde(rename = "ProtocolID")]
    pub protocol_id: u8,
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
    /// One more every interval, modulo 256.
    pub consumption_interval_count: u8,
    /// State of the module.
    pub programming_state: u8,
    /// Fed in, 24 bits.
    pub last_generation: u32,
    /// Taken, 24 bits.
    pub last_consumption: u32,
    /// Taken less fed in; two's complement.
    pub last_consumption_net: u32,
    /// Consumption per interval, newest first; 14 bits each.
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

impl NetIdm {
    /// Reads a frame of 92 bytes.
    ///
    /// # Errors
    /// [`Refused`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, Refused> {
        if frame.len() != Protocol::Idm.bytes() {
            return Err(Refused::Length(frame.len()));
        }
        let field = |byte: usize, bytes: usize| bits::get(frame, byte * 8, bytes * 8);
        let ert_serial_number = field(9, 4);
        if ert_serial_number == 0 {
            return Err(Refused::IdZero);
        }
        Ok(NetIdm {
            preamble: field(0, 4),
            protocol_id: frame[4],
            packet_length: frame[5],
            hamming_code: frame[6],
            application_version: frame[7],
            ert_type: frame[8] & 0x0F,
            ert_serial_number,
            consumption_interval_count: frame[13],
            programming_state: frame[14],
            last_consumption: field(25, 3),
            last_generation: field(28, 3),
            last_consumption_net: field(34, 4),
            differential_consumption_intervals: std::array::from_fn(|i| {
                bits::get(frame, 38 * 8 + i * 14, 14) as u16
            }),
            transmit_time_offset: field(86, 2) as u16,
            serial_number_crc: field(88, 2) as u16,
            packet_crc: field(90, 2) as u16,
        })
    }

    /// The frame, with fixed bytes and fresh checks; what is unknown is zero.
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = vec![0; Protocol::Idm.bytes()];
        frame[7] = self.application_version;
        frame[8] = 0x10 | self.ert_type;
        bits::put(&mut frame, 9 * 8, 32, self.ert_serial_number);
        frame[13] = self.consumption_interval_count;
        frame[14] = self.programming_state;
        bits::put(&mut frame, 25 * 8, 24, self.last_consumption);
        bits::put(&mut frame, 28 * 8, 24, self.last_generation);
        bits::put(&mut frame, 34 * 8, 32, self.last_consumption_net);
        for (i, &interval) in self.differential_consumption_intervals.iter().enumerate() {
            bits::put(&mut frame, 38 * 8 + i * 14, 14, interval.into());
        }
        bits::put(&mut frame, 86 * 8, 16, self.transmit_time_offset.into());
        fec::encode(Protocol::Idm, &mut frame);
        frame
    }
}

/// Whether a frame of the IDM family is an IDM or a NetIDM. Nothing in it tells for certain: type 8 is
/// usually a net meter and 7 a plain one; of another type a frame is a NetIDM if it adds up as one.
pub fn likely_kind(frame: &[u8]) -> Kind {
    let Ok(net) = NetIdm::parse(frame) else {
        return Kind::Idm;
    };
    let adds_up = net.last_generation != 0
        && net.last_consumption_net == net.last_consumption.wrapping_sub(net.last_generation);
    match net.ert_type {
        7 => Kind::Idm,
        8 => Kind::NetIdm,
        _ if adds_up => Kind::NetIdm,
        _ => Kind::Idm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;

    /// PROTOCOLS-rf.md section 11.
    const FRAME: &str = "555516A31C5CC6041800BC614F1EB80001020304050607080900006F0000DE0000000000014D0FA03E90FA83EB0FB03ED0FB83EF0FC03F10FC83F30FD03F50FD83F70FE03F90FE83FB0FF03FD0FF83FF100040110080086171916884";

    fn frame() -> Vec<u8> {
        octets(FRAME).unwrap()
    }

    #[test]
    fn given_a_documented_frame_then_its_fields_come_out() {
        let message = NetIdm::parse(&frame()).unwrap();
        assert_eq!((message.ert_serial_number, message.ert_type), (12_345_679, 8));
        assert_eq!(
            (message.consumption_interval_count, message.programming_state),
            (30, 184)
        );
        assert_eq!((message.last_consumption, message.last_generation), (111, 222));
        assert_eq!(message.last_consumption_net, 333);
        let intervals: Vec<u16> = (1000..1027).collect();
        assert_eq!(message.differential_consumption_intervals[..], intervals);
        assert_eq!(message.transmit_time_offset, 2145);
        assert_eq!((message.serial_number_crc, message.packet_crc), (29_073, 26_756));
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let message = NetIdm::parse(&frame()).unwrap();
        let back = NetIdm::parse(&message.encode()).unwrap();
        // The unknown bytes are part of the check.
        let packet_crc = message.packet_crc;
        assert_eq!(NetIdm { packet_crc, ..back }, message);
    }

    #[test]
    fn given_type_8_then_it_is_a_net_meter_and_given_7_a_plain_one() {
        let mut frame = frame();
        assert_eq!(likely_kind(&frame), Kind::NetIdm);
        frame[8] = 0x17;
        assert_eq!(likely_kind(&frame), Kind::Idm);
    }

    #[test]
    fn given_another_type_then_sums_decide() {
        let mut message = NetIdm::parse(&frame()).unwrap();
        message.ert_type = 5;
        assert_eq!(likely_kind(&message.encode()), Kind::Idm);
        message.last_consumption_net = 111u32.wrapping_sub(222);
        assert_eq!(likely_kind(&message.encode()), Kind::NetIdm);
    }
}
