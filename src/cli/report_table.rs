//! Report of a wired meter as a table for people.

use metertap_decode::report::{Report, Value};
use std::io::Write;

/// Writes a heading with id, type and time, and a line for each field.
///
/// # Errors
/// If `to` cannot be written to.
pub fn write_table(to: &mut impl Write, report: &Report) -> std::io::Result<()> {
    let id = if report.id.is_empty() {
        "(no number)"
    } else {
        report.id.as_str()
    };
    let time = report.time.as_ref().map_or_else(String::new, ToString::to_string);
    writeln!(to, "{id}  {}  {time}", report.reading_type.topic_name())?;
    let fields = report.reading.0.iter().chain(&report.unknown.0);
    for (name, value) in fields {
        let shown = match value {
            Value::Quantity(quantity) => {
                format!("{} {}", quantity.value, quantity.unit)
            }
            Value::Text(text) => text.clone(),
            Value::Time(time) => time.to_string(),
            other => serde_json::to_string(other).unwrap_or_default(),
        };
        writeln!(to, "  {name:32} {}", shown.trim_end())?;
    }
    Ok(())
}
