//! Listener for telegrams of wireless M-Bus that another receiver writes as lines: hex digits, or those of rtl_wmbus.

use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::report::{Fields, MeterId};
use metertap_decode::wmbus::{Decoder, KeyRing, Security, Telegram, line, report};
use std::collections::{BTreeMap, BTreeSet};

/// Keys, and the meters of this home.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WmbusOptions {
    /// Keys by the ids of `[[meter]]`.
    pub keys: KeyRing,
    /// Ids of `[[meter]]`: those of meters, or of their radios. Telegrams of others are counted and dropped, for they are
    /// the neighbours'.
    pub meters: BTreeSet<String>,
}

/// Decoder of one port.
#[derive(Default)]
pub struct Wmbus {
    options: WmbusOptions,
    decoder: Decoder,
    /// State of each configured meter that was heard.
    meters: BTreeMap<String, Heard>,
    /// Line that is being received.
    line: Vec<u8>,
    /// The line is longer than any telegram: it was reported, and its rest is passed over.
    is_overlong: bool,
    taken: u64,
}

/// State of a meter.
#[derive(Default)]
struct Heard {
    /// Access number and decrypted payload: a repeater sends both again.
    last: Option<(u8, Vec<u8>)>,
    /// Last value of every field, since many meters spread them over several telegrams.
    fields: Fields,
}

impl Wmbus {
    /// Creates a decoder.
    pub fn new(options: WmbusOptions) -> Self {
        Wmbus {
            options,
            ..Wmbus::default()
        }
    }

    /// Decodes the line that has been received, which began at `at`.
    fn end_line(&mut self, at: u64, emit: &mut dyn FnMut(DecodeEvent)) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_overlong) {
            return;
        }
        let telegram = match line::telegram(&String::from_utf8_lossy(&line)) {
            Ok(None) => return,
            Ok(Some(bytes)) => self.decoder.decode(&bytes, &self.options.keys),
            Err(error) => return emit(no_telegram(at, "no_telegram", false, error.to_string())),
        };
        match telegram {
            Ok(telegram) => self.take(at, &telegram, emit),
            Err(error) => emit(no_telegram(at, "wrong_check", true, error.to_string())),
        }
    }

    fn take(&mut self, at: u64, telegram: &Telegram, emit: &mut dyn FnMut(DecodeEvent)) {
        let (meter, radio) = (telegram.meter.number(), telegram.link.address.number());
        let Some(id) = [meter, radio]
            .into_iter()
            .find(|id| self.options.meters.contains(id))
        else {
            let text = format!("{}: no [[meter]] has this id", shown(telegram));
            return emit(no_telegram(at, "other_meter", true, text));
        };
        if !telegram.security.is_readable() {
            let text = format!("{}: {}", shown(telegram), telegram.security);
            return emit(no_telegram(at, telegram.security.name(), true, text));
        }
        if let Some(problem) = &telegram.problem {
            let text = format!("{}: {problem}", shown(telegram));
            emit(no_telegram(at, "incomplete", true, text));
        }
        let heard = self.meters.entry(id.clone()).or_default();
        let this = telegram
            .access_number()
            .map(|number| (number, telegram.payload.clone()));
        if this.is_some() && this == heard.last {
            return;
        }
        heard.last = this;
        if telegram.records.is_empty() {
            return;
        }
        if matches!(telegram.security, Security::Unproved(_)) {
            let text = format!("{}: {}", shown(telegram), telegram.security);
            emit(no_telegram(at, telegram.security.name(), true, text));
        }
        let mut report = report(telegram);
        report.id = MeterId::from(id);
        for (name, value) in report.reading.0 {
            heard.fields.put(name, value);
        }
        report.reading = heard.fields.clone();
        emit(DecodeEvent::report(at, report));
    }
}

/// Returns how a telegram's meter is called in messages.
fn shown(telegram: &Telegram) -> String {
    let letters = telegram.meter.letters();
    format!("{} ({letters} {})", telegram.meter.number(), telegram.medium)
}

fn no_telegram(at: u64, kind: &'static str, is_understood: bool, text: String) -> DecodeEvent {
    DecodeEvent::error(
        at,
        DecodeError {
            kind,
            severity: Severity::of_error(is_understood),
            about: None,
            text,
        },
    )
}

impl Listener for Wmbus {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        for byte in bytes {
            let at = self.taken - self.line.len() as u64;
            self.taken += 1;
            match byte {
                b'\n' | b'\r' => self.end_line(at, emit),
                _ if self.line.len() < line::MAX_LINE => self.line.push(*byte),
                _ if !self.is_overlong => {
                    self.is_overlong = true;
                    let text = format!("expected lines of at most {} characters", line::MAX_LINE);
                    emit(no_telegram(at, "no_telegram", false, text));
                }
                _ => {}
            }
        }
    }

    // A line has no pauses by which it could end.
    fn pause(&mut self, _emit: &mut dyn FnMut(DecodeEvent)) {}

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let at = self.taken - self.line.len() as u64;
        self.end_line(at, emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::wmbus::Address;
    use metertap_decode::wmbus::encode::{Protection, Sender};

    fn sender(number: u8, access_number: u8) -> Sender {
        let address = |last| Address {
            manufacturer: 0x0443,
            identification: [last, 0x56, 0x34, 0x12],
            version: 1,
            device_type: 7,
        };
        Sender {
            radio: address(0x99),
            meter: Some(address(number)),
            access_number,
            status: 0,
            protection: Protection::None,
        }
    }

    fn line_of(sender: &Sender, records: &[u8]) -> String {
        data_encoding::HEXUPPER.encode(&sender.telegram(records).unwrap()) + "\n"
    }

    const VOLUME: [u8; 6] = [0x04, 0x13, 1, 0, 0, 0];
    const TEMPERATURE: [u8; 4] = [0x02, 0x5A, 2, 0];

    /// Listens to lines for the meter or radio `id`; returns reports as JSON, and kinds of errors.
    fn heard(id: &str, lines: &[String]) -> (Vec<String>, Vec<&'static str>) {
        let mut port = Wmbus::new(WmbusOptions {
            meters: [id.to_owned()].into(),
            ..WmbusOptions::default()
        });
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        let mut take = |event: DecodeEvent| match event.result {
            Ok(report) => reports.push(format!(
                "{} {}",
                report.id,
                serde_json::to_string(&report.reading).unwrap()
            )),
            Err(error) => errors.push(error.kind),
        };
        for line in lines {
            let (first, second) = line.split_at(line.len() / 2);
            port.push(first.as_bytes(), &mut take);
            port.push(second.as_bytes(), &mut take);
        }
        port.end(&mut take);
        (reports, errors)
    }

    #[test]
    fn values_of_several_telegrams_are_merged() {
        let lines = [
            line_of(&sender(0x78, 1), &VOLUME),
            line_of(&sender(0x78, 2), &TEMPERATURE),
        ];
        let (reports, errors) = heard("12345678", &lines);
        assert!(errors.is_empty());
        assert!(!reports[0].contains("flow_temperature"));
        assert!(
            reports[1].contains("\"volume\":{\"value\":0.001") && reports[1].contains("flow_temperature")
        );
    }

    #[test]
    fn a_telegram_that_a_repeater_sends_again_is_one_reading() {
        let first = line_of(&sender(0x78, 1), &VOLUME);
        let next = line_of(&sender(0x78, 2), &VOLUME);
        let (reports, _) = heard("12345678", &[first.clone(), first.clone(), next, first]);
        assert_eq!(reports.len(), 3);
    }

    #[test]
    fn telegrams_of_neighbours_are_counted_and_dropped() {
        let lines = [line_of(&sender(0x79, 1), &VOLUME), "no telegram\n".into()];
        let (reports, errors) = heard("12345678", &lines);
        assert_eq!((reports.len(), errors), (0, vec!["other_meter", "no_telegram"]));
    }

    #[test]
    fn a_meter_may_be_configured_by_the_number_of_its_radio() {
        let (reports, _) = heard("12345699", &[line_of(&sender(0x78, 1), &VOLUME)]);
        assert!(reports[0].starts_with("12345699 "), "{reports:?}");
    }

    #[test]
    fn a_line_that_never_ends_is_reported_once_and_takes_no_memory() {
        let endless = "0".repeat(10 * line::MAX_LINE);
        let (reports, errors) = heard(
            "12345678",
            &[endless, "\n".into(), line_of(&sender(0x78, 1), &VOLUME)],
        );
        assert_eq!((reports.len(), errors), (1, vec!["no_telegram"]));
    }
}
