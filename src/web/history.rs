//! What was used: steps of five minutes, hours, days; and what is kept of it on disk.

use crate::meter::consumption::CounterKey;
use crate::meter::counter_series::{CounterSeries, DAYS, Point, hours};
use crate::status::board::StatusBoard;
use crate::store::history::HistoryStore;
use crate::web::AppState;
use anyhow::{Context, Result};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the disk is written to: cards wear out.
const KEEP: Duration = Duration::from_secs(3600);

/// Of `GET /api/meters/<id>/history`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HistoryQuery {
    #[serde(default)]
    by: By,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    /// What was used an hour, over each five minutes of the last day.
    #[default]
    Steps,
    /// What was used in each hour.
    Hours,
    /// What was used in each day, by the clock of this machine.
    Days,
}

/// Unit of what is used an hour.
pub fn rate_unit(unit: &str) -> String {
    match unit {
        "Wh" | "kWh" | "MWh" => unit.trim_end_matches('h').into(),
        _ => format!("{unit}/h"),
    }
}

/// `GET /api/meters/<id>/history?by=steps|hours|days`: by type and counter, times in seconds since 1970 with what was used.
pub(crate) async fn history(
    State(site): State<AppState>,
    Path(id): Path<String>,
    wish: Result<Query<HistoryQuery>, impl std::fmt::Display>,
) -> Response {
    let HistoryQuery { by } = match wish {
        Ok(Query(wish)) => wish,
        Err(error) => return crate::web::api::refused(&error.to_string()),
    };
    let counters: Vec<(&str, String, CounterSeries)> = {
        let inner = site.board.look();
        let kinds = inner.meters.keys().filter(|(of, _)| *of == id);
        kinds
            .flat_map(|(_, kind)| {
                let of = inner.usage.meter_series(&id, kind);
                of.map(|(name, series)| (*kind, name.to_owned(), series.clone()))
            })
            .collect()
    };
    let mut types: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
    for (kind, name, series) in counters {
        let told = match by {
            By::Steps => Ok((rate_unit(series.unit()), series.rates())),
            By::Hours | By::Days => all_hours(&site, &id, kind, &name, &series).await.map(|hours| {
                let points = if by == By::Days { days(&hours) } else { hours };
                (series.unit().to_owned(), points)
            }),
        };
        match told {
            Ok((unit, points)) => {
                let points: Vec<Value> = points
                    .into_iter()
                    .map(|point| json!([point.second, (point.amount * 1e6).round() / 1e6]))
                    .collect();
                let of_type = types.entry(kind).or_default();
                of_type.insert(name, json!({ "unit": unit, "points": points }));
            }
            Err(error) => {
                let reason = json!({ "err": format!("{error:#}") });
                return (StatusCode::INTERNAL_SERVER_ERROR, Json(reason)).into_response();
            }
        }
    }
    if types.is_empty() {
        return crate::web::api::missing("nothing was counted of such a meter");
    }
    Json(json!({ "types": types })).into_response()
}

/// Those on disk, and those in memory.
async fn all_hours(
    site: &AppState,
    id: &str,
    kind: &str,
    name: &str,
    series: &CounterSeries,
) -> Result<Vec<Point>> {
    let mut all = Vec::new();
    if let (Some(archive), Some(first)) = (site.archive.clone(), series.first_day()) {
        let key = CounterKey::new(id, kind, name);
        let old = tokio::task::spawn_blocking(move || archive.before(&key, first)).await;
        all = hours(old.context("the history cannot be read")??.into_iter());
    }
    all.extend(series.hours());
    Ok(all)
}

/// Days begin at midnight here.
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

/// Writes what was used to disk, now and then and at the end.
pub struct HistoryWriter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HistoryWriter {
    /// Reads what was kept, and starts a thread.
    ///
    /// # Errors
    /// Where the file cannot be read, or no thread be had.
    pub fn start(archive: HistoryStore, board: StatusBoard) -> Result<Self> {
        let rows = archive.newest(DAYS).context("web.history")?;
        {
            let usage = &mut board.look().usage;
            rows.into_iter().for_each(|row| usage.restore(row));
        }
        let (stop, stopped) = bounded::<()>(0);
        let thread = std::thread::Builder::new()
            .name("history".into())
            .spawn(move || {
                while stopped.recv_timeout(KEEP) == Err(RecvTimeoutError::Timeout) {
                    keep(&archive, &board);
                }
                keep(&archive, &board);
            })
            .context("cannot start a thread")?;
        Ok(HistoryWriter {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for HistoryWriter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(archive: &HistoryStore, board: &StatusBoard) {
    // The disk is not waited for with the board in hand.
    let rows = board.look().usage.take_changed();
    if rows.is_empty() {
        return;
    }
    if let Err(error) = archive.keep(&rows) {
        tracing::error!(error = format!("{error:#}"), "What was used cannot be kept.");
        board.look().usage.put_back(&rows);
    }
}
