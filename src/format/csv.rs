//! rtlamr's CSV: time, offset, length, then columns that depend on the message type. No field needs quoting. Columns and
//! number formats are those of rtlamr's `Record` functions.

use crate::meter::Reading;
use data_encoding::HEXUPPER;
use metertap_decode::ert::Message;
use std::fmt::Write;

/// Formats a reading as rtlamr's CSV record.
pub fn line(reading: &Reading) -> String {
    let mut line = format!("{},{},{}", reading.time, reading.offset, reading.length);
    // Writing to a string cannot fail.
    let _ = columns(&reading.message, &mut line);
    line
}

fn columns(message: &Message, to: &mut String) -> std::fmt::Result {
    match message {
        Message::Scm(m) => write!(
            to,
            ",{},{},{:#x},{:#x},{},{:#x}",
            m.id, m.ert_type, m.tamper_phy, m.tamper_enc, m.consumption, m.checksum
        ),
        Message::ScmPlus(m) => write!(
            to,
            ",{:#x},{:#x},{:#x},{},{},{:#x},{:#x}",
            m.frame_sync,
            m.protocol_id,
            m.endpoint_type,
            m.endpoint_id,
            m.consumption,
            m.tamper,
            m.packet_crc
        ),
        Message::Idm(m) => {
            write!(
                to,
                ",0x{:08X},0x{:02X},0x{:02X},0x{:02X},0x{:02X},0x{:02X},{},{},0x{:02X},{},{:#x},{},{}",
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
                m.last_consumption_count
            )?;
            interval_columns(
                to,
                &m.differential_consumption_intervals,
                m.transmit_time_offset,
                [m.serial_number_crc, m.packet_crc],
            )
        }
        Message::NetIdm(m) => {
            write!(
                to,
                ",0x{:08X},0x{:02X},0x{:02X},0x{:02X},0x{:02X},0x{:02X},{},{},0x{:02X},{},{},{}",
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
                m.last_consumption_net
            )?;
            interval_columns(
                to,
                &m.differential_consumption_intervals,
                m.transmit_time_offset,
                [m.serial_number_crc, m.packet_crc],
            )
        }
        Message::R900(m) | Message::R900Bcd(m) => write!(
            to,
            ",{},{},{},{},{},{},{},{}",
            m.id, m.unkn1, m.no_use, m.back_flow, m.consumption, m.unkn3, m.leak, m.leak_now
        ),
        // Those that rtlamr does not know have the columns of their JSON.
        Message::Orion(m) => write!(to, ",{},{:#x},{},{:#x}", m.id, m.flags, m.consumption, m.status),
        Message::OrionEndpoint(m) => write!(
            to,
            ",{},{:#x},{:#x},{},{},{:#x}",
            m.id, m.unkn1, m.flags, m.consumption, m.daily_consumption, m.status
        ),
        Message::HotRod(m) => write!(to, ",{},{},{:#x}", m.id, m.consumption, m.flags),
        Message::Dialog3g(m) => write!(
            to,
            ",{},{:#x},{:#x},{},{:#x},{:#x}",
            m.id, m.suffix, m.unit_code, m.consumption, m.flags, m.unkn1
        ),
    }
}

/// Writes the last columns of an interval message: intervals, transmit time offset, CRC of the serial number and of the
/// packet.
fn interval_columns(
    to: &mut String,
    intervals: &[u16],
    time_offset: u16,
    checks: [u16; 2],
) -> std::fmt::Result {
    for interval in intervals {
        write!(to, ",{interval}")?;
    }
    write!(to, ",{time_offset},0x{:04X},0x{:04X}", checks[0], checks[1])
}
