//! Report of a telegram: values under the names of wired M-Bus.

use super::telegram::Telegram;
use crate::mbus::Message;
use crate::mbus_report::report_as;
use crate::report::{ReadingType, Report, Value};

/// Returns the report of a telegram: manufacturer, medium, status and every record under its name.
///
/// A telegram whose records cannot be used gives a report without values; [`security`](Telegram::security) and
/// [`problem`](Telegram::problem) say why.
pub fn report(telegram: &Telegram) -> Report {
    // The medium and the maker are those of the meter; these two tell which telegrams a device sends.
    let header = telegram.tpl.meter.unwrap_or(telegram.link.address);
    let data = if telegram.has_ordinary_records {
        vec![telegram.payload.clone()]
    } else {
        Vec::new()
    };
    let message = Message {
        number: telegram.meter.number(),
        manufacturer: telegram.meter.letters(),
        version: header.version,
        device_type: header.device_type,
        medium: telegram.medium,
        access_number: telegram.access_number().unwrap_or_default(),
        status: telegram.tpl.status,
        records: telegram.records.clone(),
        data,
        more_follows: false,
    };
    let mut report = report_as(ReadingType::Wmbus, &message);
    if let Some(radio) = telegram.radio_number() {
        report.reading.put("radio_id", Value::Text(radio));
    }
    let status = telegram.tpl.status_names();
    if !status.is_empty() {
        report.reading.put("status", Value::Text(status.join(" ")));
    } else if telegram.tpl.access_number.is_some() {
        report.reading.put("status", Value::Text("ok".into()));
    }
    report
}
