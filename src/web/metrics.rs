//! Metrics for Prometheus. Ids of neighbors' meters are never labels.

use crate::meter::event::Origin;
use crate::status::prices::PriceFeedStatus;
use crate::status::radio::RadioCounters;
use crate::status::receiver::Condition;
use crate::status::sink::SinkStatus;
use crate::status::{MeterStatus, Snapshot, StatusReader};
use crate::web::AppState;
use crate::web::error::ApiError;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use metertap_decode::quantity::Quantity;
use metertap_decode::report::Value;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelValue, EncodeMetric, LabelValueEncoder};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Registry of all metrics, which are collected from a snapshot at each scrape.
pub struct Metrics(Registry);

impl Metrics {
    /// Registers the metrics of a status.
    pub fn new(status: StatusReader) -> Self {
        let mut registry = Registry::with_prefix("metertap");
        registry.register_collector(Box::new(StatusCollector(status)));
        Metrics(registry)
    }
}

/// `GET /metrics`
pub async fn metrics(State(app): State<AppState>) -> Result<Response, ApiError> {
    let registry = app.metrics.clone();
    let write = move || {
        let mut text = String::new();
        encode(&mut text, &registry.0).map_err(ApiError::internal)?;
        Ok(text)
    };
    let written = app.answers.write(write).await?;
    let answer = app.answers.answer(written.answer)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], answer).into_response())
}

#[derive(Debug)]
struct StatusCollector(StatusReader);

impl Collector for StatusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let encoder = &mut encoder;
        let started = snapshot.started.as_millisecond() as f64 / 1000.0;
        let help = "Start of the process.";
        single(encoder, "start_time_seconds", help, &ConstGauge::new(started))?;
        daemon(encoder, &snapshot)?;
        receivers(encoder, &snapshot)?;
        radios(encoder, &snapshot)?;
        ports(encoder, &snapshot)?;
        sinks(encoder, &snapshot)?;
        prices(encoder, &snapshot)?;
        meters(encoder, &snapshot)?;
        refused(encoder, &snapshot)
    }
}

/// Text as a label value: the library does not escape it.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        if !text.contains(['\\', '"', '\n']) {
            return Text(text.into());
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        Text(escaped.replace('\n', "\\n").into())
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Text::from(text.as_str()).0.into_owned().into())
    }
}

impl EncodeLabelValue for Text<'_> {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        (&*self.0).encode(encoder)
    }
}

/// Labels of a sample.
type Labels<'a, const N: usize> = [(&'static str, Text<'a>); N];

/// Encodes a metric without labels.
fn single(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// Encodes a metric with labels; none at all if there are no samples.
fn family<'a, const N: usize, M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (Labels<'a, N>, M)>,
) -> fmt::Result {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return Ok(());
    }
    let mut encoder = encoder.encode_descriptor(name, help, None, M::TYPE)?;
    for (labels, metric) in samples {
        metric.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

fn daemon(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let counters = snapshot.counters;
    for (name, help, count) in [
        ("readings_published", "Readings published.", counters.published),
        (
            "readings_throttled",
            "Readings not published because of the rate of their meter.",
            counters.throttled,
        ),
        (
            "readings_implausible",
            "Readings that were not plausible, of all meters.",
            counters.implausible,
        ),
        (
            "readings_merged",
            "Further copies of readings, from other receivers.",
            counters.merged,
        ),
        ("panics", "Panics of threads and tasks.", snapshot.panics),
    ] {
        single(encoder, name, help, &ConstCounter::new(count))?;
    }
    let restarts: u64 = snapshot.restarts.values().sum();
    let help = "Restarts of components that have failed.";
    single(encoder, "restarts", help, &ConstCounter::new(restarts))?;
    let by_component = snapshot.restarts.iter().map(|(component, count)| {
        let labels = [("component", component.as_str().into())];
        (labels, ConstCounter::new(*count))
    });
    let help = "Restarts of components that have failed, by component.";
    family(encoder, "restarts_by_component", help, by_component)
}

/// One of the counters of a radio.
type RadioCounter = fn(&RadioCounters) -> u64;

fn radios(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let radios = snapshot.radios.iter();
    let radios: Vec<_> = radios.map(|(name, radio)| (name, radio.counters())).collect();
    let metrics: [(_, _, RadioCounter); 4] = [
        ("radio_packets", "Packets received.", |radio| radio.packets),
        (
            "radio_duplicates",
            "Further copies of packets, dropped.",
            |radio| radio.duplicates,
        ),
        (
            "radio_dropped_bursts",
            "Bursts not looked at because too many came at a time.",
            |radio| radio.dropped_bursts,
        ),
        (
            "radio_refused_frames",
            "Frames with a good check that are no message.",
            |radio| radio.refused_frames,
        ),
    ];
    for (name, help, value) in metrics {
        let samples = radios.iter();
        let samples = samples.map(|(name, radio)| (port(name), ConstCounter::new(value(radio))));
        family(encoder, name, help, samples)?;
    }
    Ok(())
}

fn ports(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let ports = snapshot.telegrams.iter();
    let ports: Vec<_> = ports.map(|(name, port)| (name, port.counters())).collect();
    let reports = ports
        .iter()
        .map(|(name, counters)| (port(name), ConstCounter::new(counters.reports)));
    family(encoder, "port_reports", "Reports decoded.", reports)?;
    let errors = ports.iter().map(|(name, counters)| {
        let errors: u64 = counters.errors.values().sum();
        (port(name), ConstCounter::new(errors))
    });
    let help = "Errors in what came over a port.";
    family(encoder, "port_errors", help, errors)?;
    let by_kind = ports.iter().flat_map(|(name, counters)| {
        counters.errors.iter().map(|(kind, count)| {
            let labels = [("port", name.as_str().into()), ("kind", (*kind).into())];
            (labels, ConstCounter::new(*count))
        })
    });
    let help = "Errors in what came over a port, by kind.";
    family(encoder, "port_errors_by_kind", help, by_kind)
}

fn receivers(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let states = || snapshot.receivers.iter();
    let up = states().map(|(name, state)| {
        let is_up = state.state == Condition::Up;
        (port(name), ConstGauge::new(i64::from(is_up)))
    });
    let help = "Whether a receiver or port delivers.";
    family(encoder, "port_up", help, up)?;
    let dropped = states().map(|(name, state)| (port(name), ConstCounter::new(state.dropped)));
    let help = "Chunks of samples that were lost.";
    family(encoder, "source_dropped_chunks", help, dropped)?;
    let opened = states().map(|(name, state)| (port(name), ConstCounter::new(state.opened)));
    let help = "Number of times a receiver or port was opened.";
    family(encoder, "port_opens", help, opened)
}

fn port(name: &str) -> Labels<'_, 1> {
    [("port", name.into())]
}

fn sinks(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let statuses = snapshot.sink_statuses();
    let counters = |value: fn(&SinkStatus) -> u64| {
        let counter = move |sink| (sink_labels(sink), ConstCounter::new(value(sink)));
        statuses.iter().map(counter)
    };
    let gauges = |value: fn(&SinkStatus) -> u64| {
        let value = move |sink| i64::try_from(value(sink)).unwrap_or(i64::MAX);
        let gauge = move |sink| (sink_labels(sink), ConstGauge::new(value(sink)));
        statuses.iter().map(gauge)
    };
    let delivered = counters(|sink| sink.delivered);
    family(encoder, "sink_delivered", "Messages delivered.", delivered)?;
    let lost = counters(|sink| sink.lost);
    family(encoder, "sink_lost", "Messages lost for good.", lost)?;
    let reasons = statuses.iter().flat_map(|sink| {
        let counts = sink.lost_by_reason.iter();
        counts.map(|(reason, count)| {
            let labels = [("sink", sink.name.as_str().into()), ("reason", (*reason).into())];
            (labels, ConstCounter::new(*count))
        })
    });
    let help = "Messages lost for good, by reason.";
    family(encoder, "sink_lost_by_reason", help, reasons)?;
    let waiting = gauges(|sink| sink.waiting);
    family(
        encoder,
        "sink_waiting",
        "Messages that wait for delivery.",
        waiting,
    )?;
    let clients = gauges(|sink| sink.clients);
    family(encoder, "sink_clients", "Connected clients.", clients)?;
    let up = gauges(|sink| sink.trouble.is_none().into());
    let help = "Whether messages are delivered without errors.";
    family(encoder, "sink_up", help, up)
}

fn sink_labels(sink: &SinkStatus) -> Labels<'_, 1> {
    [("sink", sink.name.as_str().into())]
}

fn prices(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let labels = |status: &PriceFeedStatus| [("source", Text::from(status.source().address.to_string()))];
    let errors = snapshot.prices.iter();
    let errors = errors.map(|status| (labels(status), ConstCounter::new(status.errors())));
    let help = "Lists of prices that could not be read.";
    family(encoder, "price_errors", help, errors)?;
    let ends = snapshot.prices.iter();
    let ends = ends.filter_map(|status| Some((labels(status), ConstGauge::new(status.prices().end()?))));
    let help = "End of the last known price.";
    family(encoder, "price_known_until_seconds", help, ends)
}

fn meters(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let all = snapshot.meters.iter().map(|meter| &**meter);
    let ours: Vec<&MeterStatus> = all.filter(|meter| meter.last.is_own_meter()).collect();
    let others = snapshot.meters.len() - ours.len();
    let heard = [("yes", ours.len()), ("no", others)].into_iter();
    let heard = heard
        .filter(|(_, count)| *count > 0)
        .map(|(mine, count)| ([("mine", mine.into())], ConstGauge::new(count as i64)));
    let help = "Meters received, by whether they are configured or wired.";
    family(encoder, "meters_heard", help, heard)?;
    let readings = ours
        .iter()
        .map(|meter| (meter_labels(meter), ConstCounter::new(meter.times)));
    family(encoder, "readings", "Readings of a meter.", readings)?;
    let seen = ours.iter().map(|meter| {
        let seconds = meter.at.as_millisecond() as f64 / 1000.0;
        (meter_labels(meter), ConstGauge::new(seconds))
    });
    let name = "meter_last_seen_timestamp_seconds";
    family(encoder, name, "Time of the last reading.", seen)?;
    let online = snapshot.online.iter().map(|(id, is_online)| {
        let labels = [("id", id.as_str().into())];
        (labels, ConstGauge::new(i64::from(*is_online)))
    });
    let help = "Whether a meter is received as often as expected.";
    family(encoder, "meter_online", help, online)?;
    let snr = ours.iter().filter_map(|meter| match &meter.last.origin {
        Origin::Radio(reading) => Some((meter_labels(meter), ConstGauge::new(reading.signal.snr_db))),
        _ => None,
    });
    let help = "Signal-to-noise ratio of the last reading.";
    family(encoder, "meter_snr_db", help, snr)?;
    let values: Vec<_> = ours.iter().map(|meter| (*meter, values(meter))).collect();
    let values = values.iter().flat_map(|(meter, values)| {
        values.iter().map(move |(quantity, (value, unit))| {
            let [id, kind, name] = meter_labels(meter);
            let quantity = ("quantity", quantity.as_str().into());
            let unit = ("unit", unit.as_str().into());
            ([id, kind, name, quantity, unit], ConstGauge::new(*value))
        })
    });
    family(encoder, "meter_value", "Values of the last reading.", values)
}

fn meter_labels(meter: &MeterStatus) -> Labels<'_, 3> {
    [
        ("id", meter.last.id.as_str().into()),
        ("type", meter.last.kind.into()),
        ("name", meter.last.name().into()),
    ]
}

fn refused(encoder: &mut DescriptorEncoder, snapshot: &Snapshot) -> fmt::Result {
    let is_ours = |id: &str| snapshot.meters.with_id(id).any(|meter| meter.last.is_own_meter());
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((id, reason), count) in snapshot.refused.iter() {
        let id = if is_ours(id) { id } else { "others" };
        *sums.entry((id, reason)).or_default() += count;
    }
    let samples = sums.into_iter().map(|((id, reason), count)| {
        let labels = [("id", id.into()), ("reason", reason.into())];
        (labels, ConstCounter::new(count))
    });
    let help = "Readings that were not plausible.";
    family(encoder, "readings_refused", help, samples)
}

/// Numbers of a meter's last reading, by quantity, with their units.
fn values(meter: &MeterStatus) -> BTreeMap<String, (f64, String)> {
    match &meter.last.origin {
        Origin::Radio(_) => {
            let config = meter.last.meter_or_default();
            let registers = &meter.last.registers;
            let named = |name: &str, quantity: Quantity| {
                (name.to_owned(), (quantity.to_f64(), quantity.unit.to_string()))
            };
            let total = named(config.counter_name(), config.scaled_total(registers.main));
            let parts = registers.parts();
            let parts = parts.map(|(name, counts)| named(name, config.scaled_amount(counts)));
            parts.chain([total]).collect()
        }
        Origin::Wire(reading) => {
            let value = |(name, value): &(Cow<'static, str>, Value)| {
                let quantity = value.quantity()?;
                Some((name.to_string(), (quantity.to_f64(), quantity.unit.to_string())))
            };
            reading.report.reading.0.iter().filter_map(value).collect()
        }
        Origin::Interval(_) => BTreeMap::new(),
    }
}
