//! `metertap doctor`: is everything well, and if not, what is to be done?

use crate::cli::tuner::Tuner;
use crate::config::{Config, RadioSource};
use crate::publish::MqttConfig;
use crate::publish::mqtt::check;
use crate::receiver::Probe;
use crate::runtime::{Cancel, Runtime};
use crate::source::{Live, wire};
use anyhow::Result;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look at the receivers, wires and the broker of this configuration.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// And at this broker: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    /// How long each receiver is listened to.
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
    #[command(flatten)]
    tuner: Tuner,
}

/// Lines of findings, good and bad.
#[derive(Default)]
struct Report {
    problems: u32,
}

impl Report {
    fn ok(&self, what: &str, finding: &str) {
        println!("ok   {what:9} {finding}");
    }

    fn bad(&mut self, what: &str, finding: &str, advice: &str) {
        self.problems += 1;
        println!("BAD  {what:9} {finding}");
        if !advice.is_empty() {
            println!("     {:9} → {advice}", "");
        }
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let mut report = Report::default();
    let mut live = Vec::new();
    let mut brokers: Vec<MqttConfig> = args
        .mqtt
        .as_deref()
        .map(MqttConfig::from_url)
        .transpose()?
        .into_iter()
        .collect();
    match &args.config {
        None => live = args.tuner.live()?,
        Some(path) => match Config::read(path) {
            Err(error) => report.bad("config", &format!("{error:#}"), ""),
            Ok(config) => {
                report.ok("config", &path.display().to_string());
                for radio in config.radios {
                    match radio.source {
                        RadioSource::Live {
                            live: device,
                            serve_rtl_tcp,
                        } => {
                            if let Some(address) = serve_rtl_tcp {
                                port(address, &mut report);
                            }
                            live.push((radio.name, device));
                        }
                        RadioSource::Recording { path, .. } if !path.exists() => {
                            report.bad("recording", &format!("{} is not there", path.display()), "");
                        }
                        RadioSource::Recording { .. } => {}
                    }
                }
                for port in &config.ports {
                    let found = format!("{}: {}", port.name, port.address);
                    match wire::try_open(&port.address, &runtime.context.io) {
                        Ok(()) => report.ok("wire", &found),
                        Err(error) => report.bad("wire", &format!("{found}: {error:#}"), ""),
                    }
                }
                brokers.extend(config.mqtt);
            }
        },
    }
    for (name, live) in live {
        if !stop.is_cancelled() {
            receiver(&name, &live, args.seconds, &stop, &mut report);
        }
    }
    let brokers = brokers
        .iter()
        .flat_map(|settings| settings.host.iter().map(move |host| (settings, host)));
    for (settings, host) in brokers {
        let broker = settings.broker(None);
        let address = broker.display(host);
        match runtime.context.io.block_on(check(&broker, host)) {
            Ok(()) => report.ok("broker", &format!("{address} takes us")),
            Err(error) => report.bad(
                "broker",
                &format!("{address}: {error:#}"),
                "is it running (systemctl status mosquitto), does it listen on this address, are user and password right?",
            ),
        }
    }
    if report.problems == 0 {
        println!("All is well.");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Whether a port that we are to serve on can be had.
fn port(address: SocketAddr, report: &mut Report) {
    match TcpListener::bind(address) {
        Ok(_) => report.ok("port", &format!("{address} is free")),
        Err(error) => report.bad(
            "port",
            &format!("{address}: {error}"),
            "another program has it (ss -ltnp tells which), or metertap is running already",
        ),
    }
}

fn receiver(name: &str, live: &Live, seconds: f64, stop: &Cancel, report: &mut Report) {
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
    let begun = Instant::now();
    let mut probe = match Probe::new(source) {
        Ok(probe) => probe,
        Err(error) => return report.bad("receiver", &format!("{error:#}"), ""),
    };
    let mut meters = std::collections::BTreeSet::new();
    let mut first = None;
    while begun.elapsed() < Duration::from_secs_f64(seconds) && !stop.is_cancelled() {
        let step = probe.step(
            |bytes| {
                // What was waiting when we began is not counted.
                first.get_or_insert((Instant::now(), bytes.len() as u64));
            },
            |packet| {
                meters.insert(packet.bytes()[..8].to_vec());
            },
        );
        match step {
            Ok(true) => {}
            Ok(false) => return report.bad("samples", "the source hung up", ""),
            Err(error) => {
                return report.bad(
                    "samples",
                    &format!("{error:#}"),
                    "unplug the dongle and plug it in again",
                );
            }
        }
    }
    throughput(&mut probe, first, rate, report);
    levels(&probe, report);
    let packets = probe.tally().packets;
    let finding = format!(
        "{packets} packets in {seconds:.0} s, noise {:.1} dBFS",
        probe.noise_dbfs()
    );
    if packets > 0 {
        report.ok("meters", &finding);
    } else {
        println!(
            "--   {:9} {finding}: many meters speak once a minute or less (metertap listen shows them)",
            "meters"
        );
    }
}

fn throughput(probe: &mut Probe, first: Option<(Instant, u64)>, rate: f64, report: &mut Report) {
    let Some((since, skipped)) = first else {
        return report.bad("samples", "none", "unplug the dongle and plug it in again");
    };
    let measured = (probe.bytes - skipped) as f64 / 2.0 / since.elapsed().as_secs_f64();
    let share = 100.0 * measured / rate;
    let lost = probe.source().lost_bytes();
    let finding = format!("{measured:.0} a second, {share:.1} % of what they should be; {lost} bytes lost");
    if lost == 0 && (95.0..105.0).contains(&share) {
        report.ok("samples", &finding);
    } else {
        report.bad(
            "samples",
            &finding,
            "another USB port, a shorter cable, a lower --sample-rate (1.0 MS/s will do)",
        );
    }
}

fn levels(probe: &Probe, report: &mut Report) {
    let levels = &probe.levels;
    let clipped = 100.0 * levels.clipped();
    let power = levels.power_dbfs();
    let finding = format!("{power:.1} dBFS, {clipped:.2} % clipped  [{}]", levels.bars());
    if clipped > 1.0 {
        report.bad(
            "level",
            &finding,
            "too loud: lower the gain (--gain 20, or --gain best)",
        );
    } else if power < -46.0 {
        report.bad(
            "level",
            &finding,
            "too quiet: is the antenna connected? raise the gain (--gain best)",
        );
    } else {
        report.ok("level", &finding);
    }
}
