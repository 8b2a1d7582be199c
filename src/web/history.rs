//! `GET /api/meters/<id>/history`: usage by steps of five minutes, by hours or by days.

use crate::meter::counter::CounterKey;
use crate::meter::counter_series::{CounterSeries, Point, hours};
use crate::web::AppState;
use crate::web::api::{blocking, json};
use crate::web::error::{ApiError, Parameters};
use crate::web::json::{CounterHistoryJson, HistoryJson, rate_unit, rounded};
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Parameters of the request.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HistoryQuery {
    #[serde(default)]
    by: Resolution,
}

/// Time over which usage is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Resolution {
    /// Usage per hour, in steps of five minutes over the last day.
    #[default]
    Steps,
    /// Usage of each hour.
    Hours,
    /// Usage of each day in the time zone of this machine.
    Days,
}

/// `GET /api/meters/<id>/history?by=steps|hours|days`: usage by type and counter.
pub async fn history(
    State(app): State<AppState>,
    Path(id): Path<String>,
    Parameters(HistoryQuery { by }): Parameters<HistoryQuery>,
) -> Result<Response, ApiError> {
    let reader = app.clone();
    let history = blocking(move || collect(&reader, &id, by)).await?;
    if history.types.is_empty() {
        return Err(ApiError::not_found("no usage of such a meter is known"));
    }
    json(&app, &history)
}

fn collect(app: &AppState, id: &str, by: Resolution) -> Result<HistoryJson, ApiError> {
    let snapshot = app.status.snapshot();
    let mut types = BTreeMap::<_, BTreeMap<_, _>>::new();
    for kind in snapshot.meters.with_id(id).map(|meter| meter.last.kind) {
        for (name, series) in snapshot.consumption.meter_series(id, kind) {
            let (unit, points) = match by {
                Resolution::Steps => (rate_unit(series.unit()), series.rates()),
                Resolution::Hours => (series.unit().into(), all_hours(app, id, kind, name, series)?),
                Resolution::Days => (
                    series.unit().into(),
                    days(&all_hours(app, id, kind, name, series)?),
                ),
            };
            let points = points
                .into_iter()
                .map(|point| (point.second, rounded(point.amount)));
            let counter = CounterHistoryJson {
                unit,
                points: points.collect(),
            };
            types.entry(kind).or_default().insert(name.to_owned(), counter);
        }
    }
    Ok(HistoryJson { types })
}

/// Returns the hours on disk and, after them, those in memory.
fn all_hours(
    app: &AppState,
    id: &str,
    kind: &str,
    name: &str,
    series: &CounterSeries,
) -> Result<Vec<Point>, ApiError> {
    let mut all = Vec::new();
    if let (Some(store), Some(first)) = (&app.history, series.first_day()) {
        let key = CounterKey::new(id, kind, name);
        let old = store.before(&key, first);
        let old =
            old.map_err(|error| ApiError::internal(format!("the history cannot be read: {error:#}")))?;
        all = hours(old.into_iter());
    }
    all.extend(series.hours());
    Ok(all)
}

/// Sums hours to days, which begin at midnight in the time zone of this machine.
fn days(hours: &[Point]) -> Vec<Point> {
    let zone = TimeZone::system();
    let mut days: BTreeMap<i64, f64> = BTreeMap::new();
    for hour in hours {
        let midnight = Timestamp::from_second(hour.second)
            .ok()
            .and_then(|at| at.to_zoned(zone.clone()).start_of_day().ok());
        if let Some(midnight) = midnight {
            *days.entry(midnight.timestamp().as_second()).or_default() += hour.amount;
        }
    }
    let point = |(second, amount)| Point { second, amount };
    days.into_iter().map(point).collect()
}
