//! NetIDM: the frame of an IDM with another body, sent by meters that also feed in.
//!
//! ```text
//!  byte 0 … 13 as IDM   14      15         25            28           31    34    38
//!  ├────────────────────┼ state ┼ unknown ─┼ consumption ┼ generation ┼ ?? ─┼ net ┼ 27 × 14 bits, 6 ─┤ 86 as IDM
//! ```

use super::bits;
use super::error::ErtError;
use super::idm::list;
use super::kind::Kind;
use metertap_dsp::{Protocol, fec};
use serde::Serialize;

/// Intervals in a message.
pub const INTERVALS: usize = 27;

/// Fields of a NetIDM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetIdm {
    /// Training and sync word, 0x555516A3.
    pub preamble: u32,
    /// Packet type, 0x1C.
    #[serde(rename = "ProtocolID")]
    pub protocol_id: u8,
    /// Length of the packet, 0x5C = 92 bytes.
    pub packet_length: u8,
    /// Hamming code of the length, 0xC6.
    pub hamming_code: u8,
    /// Version of the module's firmware.
    pub application_version: u8,
    /// ERT type, 4 bits.
    #[serde(rename = "ERTType")]
    pub ert_type: u8,
    /// Id of the meter.
    #[serde(rename = "ERTSerialNumber")]
    pub ert_serial_number: u32,
    /// Counter of intervals, modulo 256.
    pub consumption_interval_count: u8,
    /// Programming state of the module.
    pub programming_state: u8,
    /// Energy fed into the grid, 24 bits.
    pub last_generation: u32,
    /// Energy taken from the grid, 24 bits.
    pub last_consumption: u32,
    /// Energy taken less energy fed in, in two's complement.
    pub last_consumption_net: u32,
    /// Consumption per interval, newest first; 14 bits each.
    #[serde(serialize_with = "list")]
    pub differential_consumption_intervals: [u16; INTERVALS],
    /// Time since the newest interval ended, in 1/16 s.
    pub transmit_time_offset: u16,
    /// Check (CRC) of the serial number as sent.
    #[serde(rename = "SerialNumberCRC")]
    pub serial_number_crc: u16,
    /// Check (CRC) of the packet as sent.
    #[serde(rename = "PacketCRC")]
    pub packet_crc: u16,
}

impl NetIdm {
    /// Decodes a frame of 92 bytes.
    ///
    /// # Errors
    /// [`ErtError`] for another length or meter id 0.
    pub fn parse(frame: &[u8]) -> Result<Self, ErtError> {
        if frame.len() != Protocol::Idm.bytes() {
            return Err(ErtError::Length(frame.len()));
        }
        let field = |byte: usize, bytes: usize| bits::get(frame, byte * 8, bytes * 8);
        let ert_serial_number = field(9, 4);
        if ert_serial_number == 0 {
            return Err(ErtError::IdZero);
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

    /// Returns the frame, with its constant bytes and checks; unknown bytes are zero.
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

/// Returns the likely type of a frame that may be an IDM or a NetIDM. Nothing in the frame tells for certain: ERT type 8 is
/// usually a net meter and 7 a plain one; a frame of another type is taken for a NetIDM if its sum is right.
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
    use data_encoding::HEXUPPER;
    use proptest::prelude::*;

    /// NetIDM of meter 12 345 679, made by this project's encoder.
    const FRAME: &str = "555516A31C5CC6041800BC614F1EB80001020304050607080900006F0000DE0000000000014D0FA03E90FA83EB0FB03ED0FB83EF0FC03F10FC83F30FD03F50FD83F70FE03F90FE83FB0FF03FD0FF83FF100040110080086171916884";

    fn frame() -> Vec<u8> {
        HEXUPPER.decode(FRAME.as_bytes()).unwrap()
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

    proptest! {
        #[test]
        fn every_field_that_is_encoded_is_read_back(
            ert_type in 0u8..16, ert_serial_number in 1u32.., consumption in 0u32..1 << 24, generation in 0u32..1 << 24,
            net: u32, intervals in prop::array::uniform27(0u16..1 << 14), transmit_time_offset: u16,
        ) {
            let message = NetIdm {
                ert_type,
                ert_serial_number,
                last_consumption: consumption,
                last_generation: generation,
                last_consumption_net: net,
                differential_consumption_intervals: intervals,
                transmit_time_offset,
                ..NetIdm::parse(&frame()).unwrap()
            };
            let back = NetIdm::parse(&message.encode()).unwrap();
            let NetIdm { serial_number_crc, packet_crc, .. } = back;
            prop_assert_eq!(&back, &NetIdm { serial_number_crc, packet_crc, ..message });
        }
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
