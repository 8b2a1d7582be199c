//! Messages of simulated meters.

use crate::source::simulator::meter::SimulatedMeter;
use anyhow::{Result, bail};
use metertap_decode::ert::{Idm, Kind, Message, NetIdm, R900, Scm, ScmPlus};

/// Returns the message of transmission number `count` of `meter`, and its frame. Checks and the fields derived from
/// others are filled in by the encoder.
///
/// # Errors
/// Returns an error if the type is unknown, or if the id or the counter does not fit into it.
pub fn message(meter: &SimulatedMeter, count: u32) -> Result<(Message, Vec<u8>)> {
    let kind: Kind = meter.kind.parse()?;
    let counter = meter.consumption.wrapping_add(meter.step.wrapping_mul(count));
    let limit = match kind {
        Kind::ScmPlus | Kind::Idm => u32::MAX,
        Kind::R900 => (1 << 27) - 1,
        Kind::R900Bcd => 999_999,
        _ => 0xFF_FFFF,
    };
    if counter > limit {
        bail!("consumption {counter} does not fit into a {kind} message (at most {limit})");
    }
    if kind == Kind::Scm && meter.id >> 26 != 0 {
        bail!(
            "id {} does not fit into an SCM message: expected at most {}",
            meter.id,
            (1 << 26) - 1
        );
    }
    let bytes = match kind {
        Kind::Scm => Scm {
            id: meter.id,
            ert_type: meter.ert_type,
            tamper_phy: 0,
            tamper_enc: 0,
            consumption: counter,
            checksum: 0,
        }
        .encode(),
        Kind::ScmPlus => ScmPlus {
            frame_sync: 0,
            protocol_id: 0,
            endpoint_type: meter.ert_type,
            endpoint_id: meter.id,
            consumption: counter,
            tamper: 0,
            packet_crc: 0,
        }
        .encode(),
        Kind::Idm => idm(meter, counter, count).encode(),
        Kind::NetIdm => net_idm(meter, counter, count).encode(),
        Kind::R900 | Kind::R900Bcd => R900 {
            id: meter.id,
            unkn1: meter.ert_type,
            no_use: 0,
            back_flow: 0,
            consumption: if kind == Kind::R900 {
                counter & 0xFF_FFFF
            } else {
                to_bcd(counter)
            },
            // The upper three of 27 bits.
            unkn3: (counter >> 25) as u8,
            leak: (counter >> 24 & 1) as u8 * 8,
            leak_now: 0,
            parity: 0,
        }
        .encode(),
        Kind::Orion | Kind::OrionEndpoint | Kind::HotRod | Kind::Dialog3g => {
            bail!("type {kind} is sent by FSK, which scenarios do not have")
        }
    };
    let message = Message::parse(kind, &bytes)?;
    Ok((message, bytes))
}

fn idm(meter: &SimulatedMeter, counter: u32, count: u32) -> Idm {
    Idm {
        preamble: 0,
        packet_type_id: 0,
        packet_length: 0,
        hamming_code: 0,
        application_version: 4,
        ert_type: meter.ert_type & 0x0F,
        ert_serial_number: meter.id,
        consumption_interval_count: count as u8,
        module_programming_state: 0xBC,
        tamper_counters: [1, 0, 0, 0, 2, 0],
        asynchronous_counters: 0,
        power_outage_flags: [0; 6],
        last_consumption_count: counter,
        differential_consumption_intervals: std::array::from_fn(|i| (i as u16 * 3 + 2) % 17),
        transmit_time_offset: 476,
        serial_number_crc: 0,
        packet_crc: 0,
    }
}

fn net_idm(meter: &SimulatedMeter, counter: u32, count: u32) -> NetIdm {
    NetIdm {
        preamble: 0,
        protocol_id: 0,
        packet_length: 0,
        hamming_code: 0,
        application_version: 4,
        ert_type: meter.ert_type & 0x0F,
        ert_serial_number: meter.id,
        consumption_interval_count: count as u8,
        programming_state: 0xB8,
        last_generation: meter.generation & 0xFF_FFFF,
        last_consumption: counter,
        last_consumption_net: counter.wrapping_sub(meter.generation),
        differential_consumption_intervals: std::array::from_fn(|i| 20 + i as u16 * 5),
        transmit_time_offset: 2145,
        serial_number_crc: 0,
        packet_crc: 0,
    }
}

/// Encodes the last six decimal digits of `counter`, four bits each.
fn to_bcd(counter: u32) -> u32 {
    (0..6).fold(0, |bcd, i| bcd | (counter / 10u32.pow(i) % 10) << (4 * i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::simulator::Scenario;

    fn meter(fields: &str) -> SimulatedMeter {
        let text = format!("seconds = 1\n[[meter]]\nat = 0.0\n{fields}");
        Scenario::parse(&text, "test").unwrap().meter.remove(0)
    }

    #[test]
    fn given_each_type_then_its_messages_count_up() {
        for kind in ["scm", "scmplus", "idm", "netidm", "r900", "r900bcd"] {
            let meter = meter(&format!(
                "type = \"{kind}\"\nid = 1234\nconsumption = 998\nstep = 3"
            ));
            let (first, _) = message(&meter, 0).unwrap();
            let (second, _) = message(&meter, 1).unwrap();
            assert_eq!(first.id(), 1234);
            assert_eq!((first.consumption(), second.consumption()), (998, 1001), "{kind}");
        }
    }

    #[test]
    fn given_values_that_do_not_fit_then_the_error_says_the_limit() {
        let too_large = meter("type = \"scm\"\nid = 67108864");
        let error = message(&too_large, 0).unwrap_err().to_string();
        assert!(error.contains("at most 67108863"), "{error}");
        let too_large = meter("type = \"r900bcd\"\nid = 1\nconsumption = 999999");
        let error = message(&too_large, 1).unwrap_err().to_string();
        assert!(error.contains("at most 999999"), "{error}");
    }
}
