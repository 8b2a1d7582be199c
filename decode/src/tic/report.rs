//! Report of a frame.

use super::labels::{Kind, field};
use crate::framing::tic::{Frame, Group};
use crate::quantity::{Quantity, parse_decimal};
use crate::report::{Fields, ReadingType, Report, Value};
use crate::time::{MeterTime, Zone};

/// Labels of the meter's number, in historique and standard mode.
const IDS: [&str; 2] = ["ADCO", "ADSC"];

/// Error for a frame that gives no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Every frame holds the meter's number; without it, its check did not match.
    #[error("a TIC frame without the meter's number (ADCO or ADSC), {wrong} wrong groups")]
    NoId {
        /// Groups that are malformed or whose check does not match.
        wrong: usize,
    },
}

/// Returns the report of a frame. `zone` is where the meter stands.
///
/// Values that do not have the form and number of digits of their label are left out: a single wrong bit may pass the
/// check of a group, but then its digit is none any more.
///
/// # Errors
/// [`ReportError::NoId`] if the group with the meter's number is missing or wrong.
pub fn report(frame: &Frame, zone: &Zone) -> Result<Report, ReportError> {
    let is_id = |group: &&Group| IDS.contains(&group.label.as_str()) && is_digits(&group.value);
    let id = frame.groups.iter().find(is_id);
    let id = id.ok_or(ReportError::NoId { wrong: frame.wrong })?.value.clone();
    let mut report = Report::new(ReadingType::Tic, id.as_str());
    report.reading.put("equipment_id", Value::Text(id));
    let mut labels = Vec::new();
    for group in &frame.groups {
        match group.label.as_str() {
            "DATE" => {
                report.time = group.time.as_deref().and_then(|time| meter_time(time, zone));
                continue;
            }
            label if IDS.contains(&label) => {}
            _ => write(group, zone, &mut report.reading, &mut report.unknown),
        }
        labels.push((group.label.clone(), group.value.clone()));
    }
    report.reading.put("labels", Value::Labels(labels));
    Ok(report)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn write(group: &Group, zone: &Zone, reading: &mut Fields, unknown: &mut Fields) {
    // The sum of two groups that have run into each other may be right by chance; their number of digits is not.
    let has_digits = |digits| group.value.len() == digits && is_digits(&group.value);
    let text = || Value::Text(group.value.trim_matches([' ', '.']).to_owned());
    let value = match field(&group.label) {
        None => return unknown.put(group.label.clone(), text()),
        Some((name, Kind::Text)) => (name, text()),
        Some((name, Kind::Count(digits))) => match group.value.parse() {
            Ok(count) if has_digits(digits) => (name, Value::Count(count)),
            _ => return,
        },
        Some((name, Kind::Quantity(digits, unit))) => {
            let Some(number) = parse_decimal(&group.value).filter(|_| has_digits(digits)) else {
                return;
            };
            let quantity = Quantity::new(number, unit);
            let timestamp = group.time.as_deref().and_then(|time| meter_time(time, zone));
            (
                name,
                match timestamp {
                    Some(timestamp) => Value::Demand { timestamp, quantity },
                    None => Value::Quantity(quantity),
                },
            )
        }
    };
    // IINST of a meter with one phase and IINST1 of one with three never come together; the first value counts.
    if reading.get(value.0).is_none() {
        reading.put(value.0, value.1);
    }
}

/// Parses a time: a letter and `YYMMDDhhmmss`. E is summer and H winter time; a small letter or a space means that the
/// clock is not set.
fn meter_time(text: &str, zone: &Zone) -> Option<MeterTime> {
    let season = match text.as_bytes().first()? {
        b'E' => "S",
        b'H' => "W",
        _ => return None,
    };
    MeterTime::from_p1(&format!("{}{season}", text.get(1..)?), zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::tic::{Framer, Mode, seal};
    use proptest::prelude::*;

    /// Groups of lines of a label, an optional time and a value.
    fn groups(lines: &[&str]) -> Vec<Group> {
        let group = |line: &&str| {
            let fields: Vec<&str> = line.split('|').collect();
            let (time, value) = match fields[..] {
                [_, time, value] => (Some(time.to_owned()), value),
                _ => (None, fields[1]),
            };
            Group {
                label: fields[0].into(),
                time,
                value: value.into(),
            }
        };
        lines.iter().map(group).collect()
    }

    fn of(lines: &[&str], mode: Mode) -> Report {
        let (mut framer, mut reports) = (Framer::default(), Vec::new());
        framer.push(&seal(&groups(lines), mode), |_, frame| {
            reports.push(report(&frame.unwrap(), &Zone::default()).unwrap());
        });
        reports.remove(0)
    }

    fn json(mut report: Report) -> String {
        report.reading.0.retain(|(name, _)| name != "labels");
        serde_json::to_string(&report).unwrap()
    }

    #[test]
    fn given_a_frame_in_historique_mode_then_registers_have_the_names_of_the_house() {
        let report = of(
            &[
                "ADCO|123456789012",
                "OPTARIF|HC..",
                "ISOUSC|45",
                "HCHC|012345678",
                "HCHP|023456789",
                "PTEC|HP..",
                "IINST|002",
                "IMAX|090",
                "PAPP|00450",
                "HHPHC|A",
                "MOTDETAT|000000",
            ],
            Mode::Historique,
        );
        assert_eq!(
            json(report),
            concat!(
                r#"{"id":"123456789012","type":"tic","reading":{"equipment_id":"123456789012","tariff_schedule":"HC","#,
                r#""contracted_current":{"value":45,"unit":"A"},"energy_import_t1":{"value":12345.678,"unit":"kWh"},"#,
                r#""energy_import_t2":{"value":23456.789,"unit":"kWh"},"tariff":"HP","current_l1":{"value":2,"unit":"A"},"#,
                r#""current_max_l1":{"value":90,"unit":"A"},"apparent_power_import":{"value":0.450,"unit":"kVA"},"#,
                r#""status":"000000"},"unknown":{"HHPHC":"A"}}"#
            )
        );
    }

    #[test]
    fn given_a_producer_in_standard_mode_then_times_and_export_are_read() {
        let report = of(
            &[
                "ADSC|041234567890",
                "DATE|E260715120000|",
                "EAST|001234567",
                "EAIT|000456789",
                "SINSTI|01250",
                "SMAXSN|H260115071500|04321",
                "UMOY1|e260715115000|231",
                "RELAIS|000",
            ],
            Mode::Standard,
        );
        assert_eq!(
            json(report.clone()),
            concat!(
                r#"{"time":"2026-07-15T12:00:00+02:00","id":"041234567890","type":"tic","reading":{"equipment_id":"041234567890","#,
                r#""energy_import_total":{"value":1234.567,"unit":"kWh"},"energy_export_total":{"value":456.789,"unit":"kWh"},"#,
                r#""apparent_power_export":{"value":1.250,"unit":"kVA"},"#,
                r#""apparent_power_import_max_today":{"timestamp":"2026-01-15T07:15:00+01:00","value":4.321,"unit":"kVA"},"#,
                r#""voltage_avg_l1":{"value":231,"unit":"V"},"relays":0}}"#
            )
        );
        let labels = serde_json::to_string(report.reading.get("labels").unwrap()).unwrap();
        assert_eq!(
            labels,
            concat!(
                r#"{"ADSC":"041234567890","EAST":"001234567","EAIT":"000456789","SINSTI":"01250","SMAXSN":"04321","#,
                r#""UMOY1":"231","RELAIS":"000"}"#
            )
        );
    }

    #[test]
    fn given_a_clock_that_is_not_set_then_there_is_no_time() {
        for date in ["e260715120000", " 260715120000", "E261315120000", ""] {
            let line = format!("DATE|{date}|");
            assert_eq!(
                of(&["ADSC|041234567890", &line], Mode::Standard).time,
                None,
                "{date}"
            );
        }
    }

    #[test]
    fn given_a_frame_without_the_number_then_there_is_no_report() {
        let frame = Frame {
            at: 0,
            groups: groups(&["BASE|012345678", "ADCO|12345678901p"]),
            wrong: 1,
        };
        assert_eq!(
            report(&frame, &Zone::default()),
            Err(ReportError::NoId { wrong: 1 })
        );
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_gives_another_quantity_or_number(at in any::<usize>(), bit in 0u8..8) {
            let sent = groups(&["ADSC|041234567890", "EAST|001234567", "SMAXSN|H260115071500|04321", "RELAIS|000"]);
            let right = of(&["ADSC|041234567890", "EAST|001234567", "SMAXSN|H260115071500|04321", "RELAIS|000"], Mode::Standard);
            let mut bytes = seal(&sent, Mode::Standard);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let mut framer = Framer::default();
            let mut frames = Vec::new();
            framer.push(&bytes, |_, frame| frames.extend(frame));
            for frame in frames {
                let Ok(read) = report(&frame, &Zone::default()) else { continue };
                prop_assert_eq!(&read.id, &right.id);
                for (name, value) in read.reading.0 {
                    if let Some(quantity) = value.quantity() {
                        prop_assert_eq!(Some(quantity), right.reading.get(&name).and_then(Value::quantity));
                    }
                }
            }
        }

        #[test]
        fn no_groups_panic(label in "[A-Z0-9+-]{1,9}", time in prop::option::of(".{0,15}"), value in ".{0,30}") {
            let id = Group { label: "ADCO".into(), time: None, value: "1".into() };
            let frame = Frame { at: 0, groups: vec![id, Group { label, time, value }], wrong: 0 };
            let _ = report(&frame, &Zone::default());
        }
    }
}
