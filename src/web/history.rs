//! `GET /api/meters/<id>/history`: usage by steps of five minutes, or by hours, days, weeks, months or years.

use crate::meter::costs::CounterCosts;
use crate::meter::counter::CounterKey;
use crate::meter::counter_series::{CounterSeries, Hour, hours};
use crate::web::AppState;
use crate::web::api::{blocking, json};
use crate::web::error::{ApiError, Parameters};
use crate::web::history_csv;
use crate::web::history_json::{CounterHistoryJson, HistoryJson};
use crate::web::json::{rate_unit, rounded};
use crate::web::periods::{Length, Period, sums};
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Parameters of the request.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HistoryQuery {
    /// Time over which usage is summed.
    #[serde(default)]
    by: Resolution,
    /// Begin of the first period, in seconds since 1970. Default: everything.
    from: Option<i64>,
    /// End of the last one. Default: everything.
    to: Option<i64>,
    /// `csv` for a table with one line per value.
    #[serde(default)]
    format: Format,
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
    /// Usage of each week from Monday on.
    Weeks,
    /// Usage of each month.
    Months,
    /// Usage of each year.
    Years,
}

/// Form of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

impl Resolution {
    fn length(self) -> Option<Length> {
        match self {
            Resolution::Steps => None,
            Resolution::Hours => Some(Length::Hours),
            Resolution::Days => Some(Length::Days),
            Resolution::Weeks => Some(Length::Weeks),
            Resolution::Months => Some(Length::Months),
            Resolution::Years => Some(Length::Years),
        }
    }
}

/// `GET /api/meters/<id>/history?by=steps|hours|days|weeks|months|years`: usage by type and counter.
pub async fn history(
    State(app): State<AppState>,
    Path(id): Path<String>,
    Parameters(query): Parameters<HistoryQuery>,
) -> Result<Response, ApiError> {
    let reader = app.clone();
    let history = blocking(move || collect(&reader, &id, query)).await?;
    if history.types.is_empty() {
        return Err(ApiError::not_found("no usage of such a meter is known"));
    }
    match query.format {
        Format::Json => json(&app, &history),
        Format::Csv => history_csv::answer(&app, &history),
    }
}

fn collect(app: &AppState, id: &str, query: HistoryQuery) -> Result<HistoryJson, ApiError> {
    let snapshot = app.status.snapshot();
    let range = query.from.unwrap_or(i64::MIN)..query.to.unwrap_or(i64::MAX);
    let known = snapshot.known_prices();
    let mut types = BTreeMap::<String, BTreeMap<_, _>>::new();
    for (key, series) in snapshot.consumption.of_meter(id) {
        let counter = match query.by.length() {
            None => steps(series),
            Some(length) => {
                let hours = hours_in(app, key, series, &range)?;
                let now = app.context.clock.timestamp().as_second();
                let zone = TimeZone::system();
                let mut costs = CounterCosts::new(&snapshot.tariffs, &known, (id, &key.field), &zone);
                if let Some(costs) = &mut costs {
                    for (i, field) in costs.wanted_registers() {
                        let register = CounterKey::new(id, &key.kind, field);
                        if let Some(series) = snapshot.consumption.get(&register) {
                            costs.set_register(i, &hours_in(app, &register, series, &range)?);
                        }
                    }
                }
                let sums = sums(&hours, length, &zone, now, costs.as_ref());
                CounterHistoryJson {
                    currency: costs.map(|costs| costs.currency().to_owned()),
                    ..periods(series.unit(), &sums)
                }
            }
        };
        let counters = types.entry(key.kind.clone()).or_default();
        counters.insert(key.field.clone(), counter);
    }
    Ok(HistoryJson { types })
}

fn steps(series: &CounterSeries) -> CounterHistoryJson {
    let rates = series.rates().into_iter();
    CounterHistoryJson {
        unit: rate_unit(series.unit()),
        points: rates.map(|point| (point.second, rounded(point.amount))).collect(),
        coverage: Vec::new(),
        cost: Vec::new(),
        priced: Vec::new(),
        currency: None,
    }
}

fn periods(unit: &str, periods: &[Period]) -> CounterHistoryJson {
    let points = periods
        .iter()
        .map(|period| (period.begin, rounded(period.amount)));
    let coverage = periods
        .iter()
        .map(|period| (period.coverage * 1000.0).round() / 1000.0);
    CounterHistoryJson {
        unit: unit.into(),
        points: points.collect(),
        coverage: coverage.collect(),
        cost: periods.iter().map(|period| period.cost.map(rounded)).collect(),
        priced: priced(periods),
        currency: None,
    }
}

/// Shares of the hours with a price; none if all that have a cost are complete.
fn priced(periods: &[Period]) -> Vec<f64> {
    let is_incomplete = |period: &Period| period.cost.is_some() && period.priced < 1.0;
    match periods.iter().any(is_incomplete) {
        true => periods
            .iter()
            .map(|period| (period.priced * 1000.0).round() / 1000.0)
            .collect(),
        false => Vec::new(),
    }
}

/// Returns the hours that begin in `range`: those on disk and, after them, those in memory.
fn hours_in(
    app: &AppState,
    key: &CounterKey,
    series: &CounterSeries,
    range: &Range<i64>,
) -> Result<Vec<Hour>, ApiError> {
    let mut all = Vec::new();
    if let (Some(store), Some(first)) = (&app.history, series.first_day()) {
        let day = |second: i64| second.div_euclid(86_400);
        let begin = day(range.start).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let end = day(range.end).saturating_add(1).min(first.into());
        let end = end.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let old = store.days(key, begin..end);
        let old =
            old.map_err(|error| ApiError::internal(format!("the history cannot be read: {error:#}")))?;
        all = hours(old.into_iter());
    }
    all.extend(series.hours());
    all.retain(|hour| range.contains(&hour.second));
    Ok(all)
}
