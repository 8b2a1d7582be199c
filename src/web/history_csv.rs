//! Usage as comma-separated values, for spreadsheets.

use crate::web::AppState;
use crate::web::error::ApiError;
use crate::web::history_json::HistoryJson;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Answers with one line per type, counter and period.
pub fn answer(app: &AppState, history: &HistoryJson) -> Result<Response, ApiError> {
    let text = app.answers.answer(table(history, &TimeZone::system()))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
}

fn table(history: &HistoryJson, zone: &TimeZone) -> String {
    let mut table = String::from("begin,type,counter,value,unit,coverage,cost,currency\n");
    for (kind, counters) in &history.types {
        for (name, counter) in counters {
            for (i, (second, value)) in counter.points.iter().enumerate() {
                let begin = Timestamp::from_second(*second)
                    .map(|begin| begin.to_zoned(zone.clone()).strftime("%FT%T%:z").to_string());
                let coverage = counter.coverage.get(i).map(ToString::to_string);
                let cost = counter
                    .cost
                    .get(i)
                    .copied()
                    .flatten()
                    .map(|cost| cost.to_string());
                let cells = [
                    begin.unwrap_or_default(),
                    quoted(kind),
                    quoted(name),
                    value.to_string(),
                    quoted(&counter.unit),
                    coverage.unwrap_or_default(),
                    cost.unwrap_or_default(),
                    quoted(counter.currency.as_deref().unwrap_or_default()),
                ];
                table.push_str(&cells.join(","));
                table.push('\n');
            }
        }
    }
    table
}

/// Quotes a text that would be more than one cell. Names of counters may be chosen in the configuration.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::history_json::CounterHistoryJson;
    use std::collections::BTreeMap;

    #[test]
    fn given_counters_then_each_value_has_a_line_with_its_local_time_and_names_are_quoted_if_need_be() {
        let counter = CounterHistoryJson {
            unit: "kWh".into(),
            points: vec![(1_767_222_000, 1.5), (1_767_308_400, 2.0)],
            coverage: vec![1.0, 0.5],
            cost: vec![None, Some(0.6)],
            priced: Vec::new(),
            currency: Some("EUR".into()),
        };
        let history = HistoryJson {
            types: BTreeMap::from([("dlms".into(), BTreeMap::from([("a \"b\", c".into(), counter)]))]),
        };
        assert_eq!(
            table(&history, &TimeZone::get("Europe/Berlin").unwrap()),
            "begin,type,counter,value,unit,coverage,cost,currency\n\
             2026-01-01T00:00:00+01:00,dlms,\"a \"\"b\"\", c\",1.5,kWh,1,,EUR\n\
             2026-01-02T00:00:00+01:00,dlms,\"a \"\"b\"\", c\",2,kWh,0.5,0.6,EUR\n"
        );
    }
}
