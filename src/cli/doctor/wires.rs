//! Wires: waits for a telegram on each, and judges it.

use super::report::Report;
use crate::config::Config;
use crate::daemon::mqtt_feed::MqttFeed;
use crate::meter::telegrams::Telegrams;
use crate::port::{Finding, PortOptions, PortProtocol, probe};
use crate::runtime::Context;
use crate::source::wire::{Line, WireAddress};
use metertap_decode::report::{ReadingType, Report as WireReport};
use std::time::Duration;

/// Waits for a telegram on every wire of a configuration, and judges it.
pub(super) fn examine_wires(config: &Config, seconds: f64, context: &Context, report: &mut Report) {
    let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(12));
    let options = PortOptions {
        telegrams: Telegrams::new(config.telegrams.clone(), &[]),
        feed: MqttFeed::of(config),
    };
    for port in &config.ports {
        let name = format!("{}: {}", port.name, port.address);
        if port.address == WireAddress::Stdin {
            report.ok("wire", &format!("{name}: not examined"));
            continue;
        }
        match context.io.block_on(probe(port, &options, wait)) {
            Finding::Report(reading, line) => examine_reading(&name, &reading, line, report),
            Finding::Polled(answers) => {
                for answer in answers {
                    match answer {
                        Ok(reading) => examine_reading(&name, &reading, None, report),
                        Err(error) => {
                            let advice = match (error.kind, &port.protocol) {
                                // The error itself says what to look at.
                                ("silent", PortProtocol::Iec { .. } | PortProtocol::Kmp { .. }) => "",
                                (kind, _) => remedy(kind),
                            };
                            report.bad("wire", &format!("{name}: {}", error.text), advice);
                        }
                    }
                }
            }
            Finding::Refused(kind, text) => report.bad("wire", &format!("{name}: {text}"), remedy(kind)),
            Finding::OtherProtocol(protocol) => report.bad(
                "wire",
                &format!("{name}: the meter speaks another protocol"),
                &format!("set protocol = \"{protocol}\""),
            ),
            Finding::NotUnderstood(bytes, not_understood) => report.bad(
                "wire",
                &format!("{name}: {bytes} bytes, {}", not_understood.finding()),
                not_understood.advice(),
            ),
            Finding::Silent(wait) => report.bad(
                "wire",
                &format!("{name}: no bytes in {} s", wait.as_secs_f64()),
                "is the port of the meter activated, the cable in it, and its data request line powered?",
            ),
            Finding::Closed(reason) => {
                report.bad("wire", &format!("{name}: {reason}"), advice_for_closed(&reason));
            }
        }
    }
}

/// Judges the reading that a wire gave.
fn examine_reading(name: &str, reading: &WireReport, line: Option<Line>, report: &mut Report) {
    let at = line.map_or_else(String::new, |line| format!(" at {line}"));
    let id = match reading.id.as_str() {
        "" => "without a number",
        id => report.shown_id(id),
    };
    let (named, unnamed) = (reading.reading.0.len(), reading.unknown.0.len());
    let finding = format!("{name}{at}: meter {id}, {named} values, {unnamed} of unknown meaning");
    if named == 0 {
        let advice = "its list is not known: describe it in [wire.dlms] list (docs/wires.md), or report it";
        return report.bad("wire", &finding, advice);
    }
    report.ok("wire", &finding);
    if is_locked(reading) {
        report.advise("whole kilowatt hours and no power: enter the meter's PIN (docs/wires.md, SML)");
    }
}

/// Returns true for a German meter whose PIN was not entered: it sends no power.
fn is_locked(reading: &WireReport) -> bool {
    let has_power = reading
        .reading
        .0
        .iter()
        .any(|(name, _)| name.starts_with("power_"));
    reading.reading_type == ReadingType::Sml && !has_power
}

/// Returns what to do about telegrams that are refused.
fn remedy(kind: &str) -> &'static str {
    match kind {
        "no_key" => "ask the grid operator for the key of the customer interface, and set key (and auth_key)",
        "wrong_key" | "bad_tag" => {
            "compare key and auth_key with the grid operator's letter: is it that of this meter?"
        }
        "no_tag" | "repeated" => "is something between meter and metertap that repeats or changes telegrams?",
        "wrong_crc" | "wrong_check" | "unread_line" => {
            "bytes are lost or changed: a shorter cable, another adapter, or the right framing"
        }
        "no_crc" => "crc = \"when-present\" accepts telegrams without a CRC",
        "asked" => "this meter is polled: protocol = \"mbus\"",
        "silent" => {
            "is the level converter powered, the address right (`metertap mbus scan`), and the speed (baud)?"
        }
        "no_data" => "the adapter must be able to change its speed; a TCP bridge must be set to 300 7E1",
        "no_id" => {
            "the line is noisy, or its speed wrong: without baud and framing, the usual ones are tried"
        }
        "other_meter" => "two meters have this address: use the eight digits printed on the meter",
        _ => "`metertap decode` shows what a recording of the wire holds (docs/wires.md)",
    }
}

/// Returns what to do about a wire that cannot be opened or was closed, unless the reason itself says it.
fn advice_for_closed(reason: &str) -> &'static str {
    let says = |word: &str| reason.contains(word);
    if says("refused") {
        "nothing listens there: is the bridge on, is the port right, and is its server enabled?"
    } else if says("lookup") || says("resolve") {
        "no device has that name: try its address, as in tcp://192.168.1.20:2001"
    } else if says("unreachable") || says("does not answer") {
        "is the bridge on and in the same network? ping shows it; a firewall may be between"
    } else if says("hung up") || says("reset") {
        "the bridge closes the connection: most serve one client only, so stop the other program first"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_reason_then_each_cause_has_its_own_advice() {
        let advice = [
            "Connection refused (os error 111)",
            "failed to lookup address information: Name or service not known",
            "Network is unreachable (os error 101)",
            "hung up",
        ]
        .map(advice_for_closed);
        let distinct: std::collections::BTreeSet<_> = advice.iter().collect();
        assert_eq!(distinct.len(), advice.len());
        assert!(!distinct.contains(&""));
        assert_eq!(advice_for_closed("is not there: is it plugged in?"), "");
    }
}
