//! rtlamr's default format: `{Time:… SCM:{…}}`, with milliseconds and without a zone. Field names and number formats are
//! those of rtlamr's `String` functions.

use crate::meter::Reading;
use data_encoding::HEXUPPER;
use metertap_decode::ert::Message;
use std::fmt;

/// Formats a reading as rtlamr's plain line.
pub fn line(reading: &Reading) -> String {
    let time = reading.time.strftime("%Y-%m-%dT%H:%M:%S%.3f");
    let name = reading.message.kind().rtlamr_name();
    format!("{{Time:{time} {name}:{{{}}}}}", Fields(&reading.message))
}

struct Fields<'a>(&'a Message);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Message::Scm(m) => write!(
                f,
                "ID:{:8} Type:{:2} Tamper:{{Phy:{:02X} Enc:{:02X}}} Consumption:{:8} CRC:0x{:04X}",
                m.id, m.ert_type, m.tamper_phy, m.tamper_enc, m.consumption, m.checksum
            ),
            Message::ScmPlus(m) => write!(
                f,
                "ProtocolID:0x{:02X} EndpointType:0x{:02X} EndpointID:{:10} Consumption:{:10} Tamper:0x{:04X} PacketCRC:0x{:04X}",
                m.protocol_id, m.endpoint_type, m.endpoint_id, m.consumption, m.tamper, m.packet_crc
            ),
            Message::Idm(m) => write!(
                f,
                "Preamble:0x{:08X} PacketTypeID:0x{:02X} PacketLength:0x{:02X} HammingCode:0x{:02X} ApplicationVersion:0x{:02X} \
                 ERTType:0x{:02X} ERTSerialNumber:{:10} ConsumptionIntervalCount:{} ModuleProgrammingState:0x{:02X} \
                 TamperCounters:{} AsynchronousCounters:0x{:02X} PowerOutageFlags:{} LastConsumptionCount:{} \
                 DifferentialConsumptionIntervals:{} TransmitTimeOffset:{} SerialNumberCRC:0x{:04X} PacketCRC:0x{:04X}",
                m.preamble,
                m.packet_type_id,
                m.packet_length,
                m.hamming_code,
                m.application_version,
                m.ert_type,
                m.ert_serial_number,
                m.consumption_interval_count,
                m.module_programming_state,
                HEXUPPER.encode(&m.tamper_counters),
                m.asynchronous_counters,
                HEXUPPER.encode(&m.power_outage_flags),
                m.last_consumption_count,
                List(&m.differential_consumption_intervals),
                m.transmit_time_offset,
                m.serial_number_crc,
                m.packet_crc
            ),
            Message::NetIdm(m) => write!(
                f,
                "Preamble:0x{:08X} ProtocolID:0x{:02X} PacketLength:0x{:02X} HammingCode:0x{:02X} ApplicationVersion:0x{:02X} \
                 ERTType:0x{:02X} ERTSerialNumber:{:10} ConsumptionIntervalCount:{} ProgrammingState:0x{:02X} \
                 LastGeneration:{} LastConsumption:{} LastConsumptionNet:{} \
                 DifferentialConsumptionIntervals:{} TransmitTimeOffset:{} SerialNumberCRC:0x{:04X} PacketCRC:0x{:04X}",
                m.preamble,
                m.protocol_id,
                m.packet_length,
                m.hamming_code,
                m.application_version,
                m.ert_type,
                m.ert_serial_number,
                m.consumption_interval_count,
                m.programming_state,
                m.last_generation,
                m.last_consumption,
                m.last_consumption_net,
                List(&m.differential_consumption_intervals),
                m.transmit_time_offset,
                m.serial_number_crc,
                m.packet_crc
            ),
            Message::R900(m) | Message::R900Bcd(m) => write!(
                f,
                "ID:{:10} Unkn1:0x{:02X} NoUse:{:2} BackFlow:{:2} Consumption:{:8} Unkn3:0x{:02X} Leak:{:2} LeakNow:{:2}",
                m.id, m.unkn1, m.no_use, m.back_flow, m.consumption, m.unkn3, m.leak, m.leak_now
            ),
            Message::Orion(m) => write!(
                f,
                "ID:{:8} Flags:0x{:02X} Consumption:{:8} Status:0x{:02X}",
                m.id, m.flags, m.consumption, m.status
            ),
            Message::OrionEndpoint(m) => write!(
                f,
                "ID:{:10} Unkn1:0x{:08X} Flags:0x{:06X} Consumption:{:10} DailyConsumption:{:10} Status:0x{:02X}",
                m.id, m.unkn1, m.flags, m.consumption, m.daily_consumption, m.status
            ),
            Message::HotRod(m) => write!(
                f,
                "ID:{:8} Consumption:{:7} Flags:0x{:X}",
                m.id, m.consumption, m.flags
            ),
            Message::Dialog3g(m) => write!(
                f,
                "ID:{:8} Suffix:0x{:02X} Unit:0x{:02X} Consumption:{:8} Flags:0x{:02X} Unkn1:0x{:04X}",
                m.id, m.suffix, m.unit_code, m.consumption, m.flags, m.unkn1
            ),
        }
    }
}

/// List as Go prints it: `[1 2 3]`.
struct List<'a>(&'a [u16]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("[")?;
        for (i, value) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{value}")?;
        }
        f.write_str("]")
    }
}
