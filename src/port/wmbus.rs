//! Listener for telegrams of wireless M-Bus from another receiver: as lines of hex digits, as those of rtl_wmbus, or as binary frames
//! of an IMST stick.

use crate::meter::telegrams::{Remark, Telegrams};
use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::wmbus::{imst, line};
use std::sync::Arc;
use std::time::Instant;

/// Decoder of one port.
pub struct Wmbus {
    telegrams: Telegrams,
    port: Arc<str>,
    /// Line or binary frame that is being received.
    line: Vec<u8>,
    /// The line is longer than any telegram: it was reported, and its rest is passed over.
    is_overlong: bool,
    taken: u64,
}

impl Wmbus {
    /// Creates the decoder of a port; its telegrams are read by `telegrams`, together with those of others.
    pub fn new(port: impl Into<Arc<str>>, telegrams: Telegrams) -> Self {
        Wmbus {
            telegrams,
            port: port.into(),
            line: Vec::new(),
            is_overlong: false,
            taken: 0,
        }
    }

    /// Decodes the line that has been received, which began at `at`.
    fn end_line(&mut self, at: u64, emit: &mut dyn FnMut(DecodeEvent)) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_overlong) {
            return;
        }
        if line.first() == Some(&imst::START) {
            return match imst::telegram(&line) {
                Ok(bytes) => bytes.into_iter().for_each(|bytes| self.read(&bytes, at, emit)),
                Err(error) => emit(failed(at, "wrong_check", Severity::Refused, error.to_string())),
            };
        }
        let bytes = match line::telegram(&String::from_utf8_lossy(&line)) {
            Ok(None) => return,
            Ok(Some(bytes)) => bytes,
            Err(error) => {
                return emit(failed(
                    at,
                    "no_telegram",
                    Severity::Unrecognized,
                    error.to_string(),
                ));
            }
        };
        self.read(&bytes, at, emit);
    }

    /// Reads a telegram, which began at `at`.
    fn read(&self, bytes: &[u8], at: u64, emit: &mut dyn FnMut(DecodeEvent)) {
        let reception = self.telegrams.read(bytes, &self.port, Instant::now());
        if let Some((kind, severity, text)) = reception.remark.and_then(counted) {
            emit(failed(at, kind, severity, text));
        }
        if let Some(report) = reception.report {
            emit(DecodeEvent::report(at, report));
        }
    }
}

/// Returns how a remark is counted. The state of a meter's encryption is logged with the telegrams themselves.
fn counted(remark: Remark) -> Option<(&'static str, Severity, String)> {
    Some(match remark {
        Remark::Malformed(error) => ("wrong_check", Severity::Refused, error.to_string()),
        Remark::OtherMeter(text) => ("other_meter", Severity::Counted, text),
        Remark::Security(kind, text) => (kind, Severity::Counted, text),
        Remark::Incomplete(text) => ("incomplete", Severity::Refused, text),
        Remark::Repeated => return None,
    })
}

fn failed(at: u64, kind: &'static str, severity: Severity, text: String) -> DecodeEvent {
    DecodeEvent::error(
        at,
        DecodeError {
            kind,
            severity,
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
            let is_binary = self.line.first().is_some_and(|first| *first == imst::START);
            match byte {
                _ if is_binary => {
                    self.line.push(*byte);
                    // 266 bytes at most.
                    if imst::len(&self.line) == Some(self.line.len()) {
                        self.end_line(at, emit);
                    }
                }
                b'\n' | b'\r' => self.end_line(at, emit),
                _ if self.line.len() < line::MAX_LINE => self.line.push(*byte),
                _ if !self.is_overlong => {
                    self.is_overlong = true;
                    let text = format!("expected lines of at most {} characters", line::MAX_LINE);
                    emit(failed(at, "no_telegram", Severity::Unrecognized, text));
                }
                _ => {}
            }
        }
    }

    // A line has no pauses by which it could end. A frame is sent at once: the rest of one will not come.
    fn pause(&mut self, _emit: &mut dyn FnMut(DecodeEvent)) {
        if self.line.first() == Some(&imst::START) {
            self.line.clear();
        }
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let at = self.taken - self.line.len() as u64;
        self.end_line(at, emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::telegrams::TelegramOptions;
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

    /// Numbers of the meters whose readings come out of these bytes, and kinds of errors.
    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let options = TelegramOptions {
            accepts_unlisted: true,
            ..TelegramOptions::default()
        };
        let mut port = Wmbus::new("stick", Telegrams::new(options, &[]));
        let mut events = Vec::new();
        for piece in pieces {
            port.push(piece, &mut |event| {
                events.push(match event.result {
                    Ok(report) => report.id.to_string(),
                    Err(error) => error.kind.to_owned(),
                });
            });
        }
        events
    }

    #[test]
    fn given_binary_frames_of_a_stick_then_each_telegram_is_read_whatever_its_bytes_are() {
        // A record with a line feed and the first byte of a frame in it.
        let telegram = |number| {
            sender(number, 1)
                .telegram(&[0x04, 0x13, 0x0A, 0xA5, 0, 0])
                .unwrap()
        };
        let frame = |number| imst::frame(&telegram(number), true).unwrap();
        let answer = [imst::START, 0x01, 0x02, 0];
        let mut wrong = frame(2);
        wrong[20] ^= 1;
        let all = [&frame(1)[..], &answer, &wrong, &frame(3)].concat();
        let expected = ["12345601", "wrong_check", "12345603"];
        assert_eq!(events(&[&all]), expected);
        let bytewise: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(events(&bytewise), expected);
        let line = line_of(&sender(4, 1), &[0x04, 0x13, 1, 0, 0, 0]);
        assert_eq!(
            events(&[&frame(1), line.as_bytes()]),
            ["12345601", "12345604"],
            "lines and frames"
        );
    }

    fn line_of(sender: &Sender, records: &[u8]) -> String {
        data_encoding::HEXUPPER.encode(&sender.telegram(records).unwrap()) + "\n"
    }

    const VOLUME: [u8; 6] = [0x04, 0x13, 1, 0, 0, 0];
    const TEMPERATURE: [u8; 4] = [0x02, 0x5A, 2, 0];

    /// Listens to lines for the meter or radio `id`; returns reports as JSON, and kinds of errors.
    fn heard(id: &str, lines: &[String]) -> (Vec<String>, Vec<&'static str>) {
        let mut options = TelegramOptions::default();
        options.insert(id);
        let mut port = Wmbus::new("air", Telegrams::new(options, &[]));
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
        assert_eq!(reports.len(), 2, "also a late copy");
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
