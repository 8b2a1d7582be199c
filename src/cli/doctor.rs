//! `metertap doctor`: examines receivers, wires and brokers, and advises on what it finds.

use crate::cli::tuner_args::TunerArgs;
use crate::config::{Config, ConfigFile, RadioSource};
use crate::daemon::mqtt_feed::MqttFeed;
use crate::meter::telegrams::Telegrams;
use crate::port::{Finding, PortOptions, PortProtocol, probe};
use crate::publish::MqttConfig;
use crate::publish::mqtt::check;
use crate::receiver::{Probe, TuningError};
use crate::runtime::{Cancel, Context, Runtime};
use crate::source::wire::{Line, WireAddress};
use crate::source::{Family, Live};
use anyhow::Result;
use metertap_decode::report::{ReadingType, Report as WireReport};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Bytes of a sample of a live source: I and Q.
const SAMPLE_BYTES: f64 = 2.0;
/// Range of the measured sample rate in percent of the nominal one.
const GOOD_RATE: std::ops::Range<f64> = 95.0..105.0;
/// Share of samples at full scale above which the gain is too high, in percent.
const MAX_CLIPPED: f64 = 1.0;
/// Power below which the gain is too low: quantization noise hides weak packets.
const MIN_POWER_DBFS: f64 = -46.0;

/// Meters below which their own errors cannot be told from that of the dongle.
const FEW_METERS: usize = 5;
/// Tuning error that is worth a correction; meters of mode T may be 60 ppm off themselves.
const MAX_TUNING_PPM: f64 = 30.0;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Examine the receivers, wires and broker of this configuration. Default: ./metertap.toml, otherwise
    /// /etc/metertap/metertap.toml, unless --source or --mqtt says what to examine.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Examine this broker: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// Seconds of reception per receiver.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    /// Seconds in which a wire must deliver a telegram, for each of its line settings.
    #[arg(long, value_name = "S", default_value_t = 12.0)]
    wire_seconds: f64,
    #[command(flatten)]
    tuner: TunerArgs,
}

/// Printed findings and the number of problems among them.
#[derive(Default)]
struct Report {
    problems: u32,
}

impl Report {
    fn ok(&self, subject: &str, finding: &str) {
        println!("ok   {subject:9} {finding}");
    }

    fn bad(&mut self, subject: &str, finding: &str, advice: &str) {
        self.problems += 1;
        println!("BAD  {subject:9} {finding}");
        if !advice.is_empty() {
            println!("     {:9} → {advice}", "");
        }
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let cancel = runtime.context.cancel.clone();
    let mut report = Report::default();
    let mut brokers: Vec<MqttConfig> = args
        .mqtt
        .as_deref()
        .map(MqttConfig::from_url)
        .transpose()?
        .into_iter()
        .collect();
    // A source or a broker on the command line is what is to be examined; otherwise the configuration, if there is one.
    let found = || ConfigFile::found().filter(|_| brokers.is_empty() && !args.tuner.is_source_given());
    let receivers = match &args.config.clone().or_else(found) {
        None => {
            let sources = args.tuner.sources()?.into_iter();
            let family = args.tuner.family();
            sources.map(|(name, live)| (name, live, family)).collect()
        }
        Some(path) => match Config::read(path) {
            Err(error) => {
                report.bad("config", &format!("{error:#}"), "");
                Vec::new()
            }
            Ok(config) => {
                report.ok("config", &path.display().to_string());
                examine_wires(&config, args.wire_seconds, &runtime.context, &mut report);
                brokers.extend(config.mqtt.clone());
                examine_radios(config, &mut report)
            }
        },
    };
    for receiver in receivers {
        if !cancel.is_cancelled() {
            examine_receiver(&receiver, args.seconds, &cancel, &mut report);
        }
    }
    for config in &brokers {
        examine_broker(config, &runtime.context, &mut report);
    }
    if report.problems == 0 {
        println!("All is well.");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Checks the ports and recordings of a configuration; returns its live sources by name.
fn examine_radios(config: Config, report: &mut Report) -> Vec<(String, Live, Family)> {
    let mut receivers = Vec::new();
    for radio in config.radios {
        match radio.source {
            RadioSource::Live { live, sharing } => {
                if let Some(sharing) = sharing {
                    examine_port(sharing.address, report);
                }
                receivers.push((radio.name, live, radio.family));
            }
            RadioSource::Recording { path, .. } if !path.exists() => {
                report.bad("recording", &format!("{} is not there", path.display()), "");
            }
            RadioSource::Recording { .. } => {}
        }
    }
    receivers
}

/// Waits for a telegram on every wire of a configuration, and judges it.
fn examine_wires(config: &Config, seconds: f64, context: &Context, report: &mut Report) {
    let wait = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(12));
    let options = PortOptions {
        telegrams: Telegrams::new(config.telegrams.clone(), &[]),
        feed: MqttFeed::of(config),
    };
    for port in &config.ports {
        let name = format!("{}: {}", port.name, port.address);
        if port.address == WireAddress::Stdin {
            report.ok("wire", &format!("{name}: not examined"));
            continue;
        }
        match context.io.block_on(probe(port, &options, wait)) {
            Finding::Report(reading, line) => examine_reading(&name, &reading, line, report),
            Finding::Polled(answers) => {
                for answer in answers {
                    match answer {
                        Ok(reading) => examine_reading(&name, &reading, None, report),
                        Err(error) => {
                            let advice = match (error.kind, &port.protocol) {
                                // The error itself says what to look at.
                                ("silent", PortProtocol::Iec { .. } | PortProtocol::Kmp { .. }) => "",
                                (kind, _) => remedy(kind),
                            };
                            report.bad("wire", &format!("{name}: {}", error.text), advice);
                        }
                    }
                }
            }
            Finding::Refused(kind, text) => report.bad("wire", &format!("{name}: {text}"), remedy(kind)),
            Finding::OtherProtocol(protocol) => report.bad(
                "wire",
                &format!("{name}: the meter speaks another protocol"),
                &format!("set protocol = \"{protocol}\""),
            ),
            Finding::NotUnderstood(bytes, not_understood) => report.bad(
                "wire",
                &format!("{name}: {bytes} bytes, {}", not_understood.finding()),
                not_understood.advice(),
            ),
            Finding::Silent(wait) => report.bad(
                "wire",
                &format!("{name}: no bytes in {} s", wait.as_secs_f64()),
                "is the port of the meter activated, the cable in it, and its data request line powered?",
            ),
            Finding::Closed(reason) => report.bad("wire", &format!("{name}: {reason}"), ""),
        }
    }
}

/// Judges the reading that a wire gave.
fn examine_reading(name: &str, reading: &WireReport, line: Option<Line>, report: &mut Report) {
    let at = line.map_or_else(String::new, |line| format!(" at {line}"));
    let id = if reading.id.is_empty() {
        "without a number"
    } else {
        reading.id.as_str()
    };
    let (named, unnamed) = (reading.reading.0.len(), reading.unknown.0.len());
    let finding = format!("{name}{at}: meter {id}, {named} values, {unnamed} of unknown meaning");
    if named == 0 {
        let advice = "its list is not known: describe it in [wire.dlms] list (docs/wires.md), or report it";
        return report.bad("wire", &finding, advice);
    }
    report.ok("wire", &finding);
    if is_locked(reading) {
        println!(
            "     {:9} → whole kilowatt hours and no power: enter the meter's PIN (docs/wires.md, SML)",
            ""
        );
    }
}

/// Returns true for a German meter whose PIN was not entered: it sends no power.
fn is_locked(reading: &WireReport) -> bool {
    let has_power = reading
        .reading
        .0
        .iter()
        .any(|(name, _)| name.starts_with("power_"));
    reading.reading_type == ReadingType::Sml && !has_power
}

/// Returns what to do about telegrams that are refused.
fn remedy(kind: &str) -> &'static str {
    match kind {
        "no_key" => "ask the grid operator for the key of the customer interface, and set key (and auth_key)",
        "wrong_key" | "bad_tag" => {
            "compare key and auth_key with the grid operator's letter: is it that of this meter?"
        }
        "no_tag" | "repeated" => "is something between meter and metertap that repeats or changes telegrams?",
        "wrong_crc" | "wrong_check" | "unread_line" => {
            "bytes are lost or changed: a shorter cable, another adapter, or the right framing"
        }
        "no_crc" => "crc = \"when-present\" accepts telegrams without a CRC",
        "asked" => "this meter is polled: protocol = \"mbus\"",
        "silent" => {
            "is the level converter powered, the address right (`metertap mbus scan`), and the speed (baud)?"
        }
        "no_data" => "the adapter must be able to change its speed; a TCP bridge must be set to 300 7E1",
        "no_id" => {
            "the line is noisy, or its speed wrong: without baud and framing, the usual ones are tried"
        }
        "other_meter" => "two meters have this address: use the eight digits printed on the meter",
        _ => "`metertap decode` shows what a recording of the wire holds (docs/wires.md)",
    }
}

/// Connects to every host of a broker.
fn examine_broker(config: &MqttConfig, context: &Context, report: &mut Report) {
    for host in &config.host {
        let broker = config.broker(None);
        let address = broker.display(host);
        match context.io.block_on(check(&broker, host)) {
            Ok(()) => report.ok("broker", &format!("{address} accepts the connection")),
            Err(error) => report.bad(
                "broker",
                &format!("{address}: {error:#}"),
                "is it running (systemctl status mosquitto), does it listen on this address, are user and password correct?",
            ),
        }
    }
}

/// Checks that a TCP port to serve on is free.
fn examine_port(address: SocketAddr, report: &mut Report) {
    match TcpListener::bind(address) {
        Ok(_) => report.ok("port", &format!("{address} is free")),
        Err(error) => report.bad(
            "port",
            &format!("{address}: {error}"),
            "another program uses it (ss -ltnp shows which), or metertap is running already",
        ),
    }
}

/// Opens a receiver and measures sample rate, level and packets.
fn examine_receiver(
    (name, live, family): &(String, Live, Family),
    seconds: f64,
    cancel: &Cancel,
    report: &mut Report,
) {
    let family = *family;
    let source = match live.open() {
        Ok(source) => source,
        Err(error) => {
            return report.bad(
                "receiver",
                &format!("{name}: {error:#}"),
                "`metertap devices` lists the dongles",
            );
        }
    };
    report.ok("receiver", &format!("{name}: {}", source.info().name));
    let rate = source.info().sample_rate_hz;
    let start = Instant::now();
    let mut probe = match Probe::new(source, family) {
        Ok(probe) => probe,
        Err(error) => return report.bad("receiver", &format!("{error:#}"), ""),
    };
    let mut first = None;
    while start.elapsed() < Duration::from_secs_f64(seconds) && !cancel.is_cancelled() {
        let step = probe.step(
            |bytes| {
                // The first block may have been waiting in a buffer and would raise the measured rate.
                first.get_or_insert((Instant::now(), bytes.len() as u64));
            },
            |_| (),
        );
        match step {
            Ok(true) => {}
            Ok(false) => return report.bad("samples", "the source closed the connection", ""),
            Err(error) => {
                return report.bad(
                    "samples",
                    &format!("{error:#}"),
                    "unplug the dongle and plug it in again",
                );
            }
        }
    }
    report_throughput(&mut probe, first, rate, report);
    report_level(&probe, report);
    let packets = probe.tally().packets;
    let finding = format!(
        "{packets} packets in {seconds:.0} s, noise {:.1} dBFS",
        probe.noise_dbfs()
    );
    if let Some(error) = probe.crystal_error() {
        report.ok("crystal", &error.to_string());
    }
    if let Some(error) = probe.tuning_error() {
        report_tuning(&error, report);
    }
    if packets > 0 {
        report.ok("meters", &finding);
    } else {
        println!(
            "--   {:9} {finding}: many meters transmit once a minute or less (metertap listen shows them)",
            "meters"
        );
    }
}

/// Meters are found within 60 kHz of their channels, whatever is wrong; a dongle that is far off leaves them less room for errors of
/// their own.
fn report_tuning(error: &TuningError, report: &mut Report) {
    if error.meters >= FEW_METERS && error.ppm.abs() > MAX_TUNING_PPM {
        let advice = format!("set ppm = {:.0} for this dongle", -error.ppm);
        return report.bad("tuning", &error.to_string(), &advice);
    }
    report.ok("tuning", &error.to_string());
}

fn report_throughput(probe: &mut Probe, first: Option<(Instant, u64)>, rate: f64, report: &mut Report) {
    let Some((since, skipped)) = first else {
        return report.bad("samples", "none", "unplug the dongle and plug it in again");
    };
    let measured = (probe.bytes - skipped) as f64 / SAMPLE_BYTES / since.elapsed().as_secs_f64();
    let share = 100.0 * measured / rate;
    let lost = probe.source().lost_bytes();
    let finding = format!("{measured:.0} a second, {share:.1} % of the sample rate; {lost} bytes lost");
    if lost == 0 && GOOD_RATE.contains(&share) {
        report.ok("samples", &finding);
    } else {
        report.bad(
            "samples",
            &finding,
            "try another USB port, a shorter cable, a lower --sample-rate (1.0 MS/s is enough)",
        );
    }
}

fn report_level(probe: &Probe, report: &mut Report) {
    let levels = &probe.levels;
    let clipped = 100.0 * levels.clipped();
    let power = levels.power_dbfs();
    let finding = format!("{power:.1} dBFS, {clipped:.2} % clipped  [{}]", levels.bars());
    if clipped > MAX_CLIPPED {
        report.bad(
            "level",
            &finding,
            "too strong: lower the gain (--gain 20, or --gain best)",
        );
    } else if power < MIN_POWER_DBFS {
        report.bad(
            "level",
            &finding,
            "too weak: is the antenna connected? raise the gain (--gain best)",
        );
    } else {
        report.ok("level", &finding);
    }
}
