//! `metertap doctor`: examines receivers, wires and brokers, and advises on what it finds.

mod about;
mod broker;
mod receivers;
mod redaction;
mod report;
mod wires;

use crate::cli::free_port::{Taken, try_to_listen};
use crate::cli::tuner_args::TunerArgs;
use crate::config::{Config, ConfigFile, RadioSource};
use crate::publish::MqttConfig;
use crate::runtime::Runtime;
use crate::source::{Family, Live};
use anyhow::Result;
use broker::examine_broker;
use receivers::examine_receiver;
use report::Report;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use wires::examine_wires;

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
    /// Print a report for an issue as well: version, system, dongles, and the configuration, without passwords, keys, hosts, ids and
    /// names of meters.
    #[arg(long)]
    report: bool,
    #[command(flatten)]
    tuner: TunerArgs,
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
    let path = args.config.clone().or_else(found);
    if args.report {
        report.redaction = Some(about::print(path.as_deref()));
    }
    let receivers = match &path {
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
        report.print("All is well.");
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

/// Checks that a TCP port to serve on is free.
fn examine_port(address: SocketAddr, report: &mut Report) {
    match try_to_listen(address) {
        Ok(()) => report.ok("port", &format!("{address} is free")),
        Err(Taken { error, remedy }) => report.bad("port", &format!("{address}: {error}"), remedy),
    }
}
