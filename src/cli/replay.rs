//! `metertap replay`: recordings to readings.

use crate::cli::number::hertz;
use crate::cli::selection::Wanted;
use crate::cli::show::Show;
use crate::format::{Format as LineFormat, line};
use crate::meter::Reading;
#[cfg(feature = "demo")]
use crate::meter::filter::Filter;
use crate::publish::MqttConfig;
use crate::publish::message::{BirthAndWill, Message};
use crate::publish::mqtt::{Mqtt, MqttOptions};
use crate::receiver::{End, Radio, RadioOptions, ReceiverEvent};
#[cfg(feature = "demo")]
use crate::runtime::Context;
use crate::runtime::Runtime;
use crate::source::recording::{Paced, Recording, RecordingOverrides};
use crate::source::{Info, Source};
use crate::status::sink::SinkMetrics;
use anyhow::{Result, bail};
use jiff::Timestamp;
use metertap_dsp::Trust;
use metertap_dsp::iq::Format;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long a finished replay waits for the broker: there is no hurry.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// IQ files (cu8, cs8, cs16, cf32, SigMF); `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Samples per second, if the file does not tell.
    #[arg(long, value_name = "HZ", value_parser = hertz)]
    sample_rate: Option<f64>,
    /// cu8, cs8, cs16 or cf32, if the file does not tell.
    #[arg(long, value_name = "FORMAT")]
    sample_format: Option<Format>,
    /// Centre of the window, if the file does not tell.
    #[arg(long, value_name = "HZ", value_parser = hertz)]
    center_freq: Option<f64>,
    /// When the recording begins, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// At the pace at which it was recorded.
    #[arg(long)]
    realtime: bool,
    /// Lines instead of a table. Without this: a live table on a terminal, JSON lines elsewhere.
    #[arg(long, value_name = "FORMAT")]
    format: Option<LineFormat>,
    /// Add how well it was heard to JSON lines.
    #[arg(long)]
    signal: bool,
    /// What to believe: strict (no corrections), normal, eager.
    #[arg(long, default_value = "normal", value_name = "TRUST")]
    trust: Trust,
    /// Publish to this broker as well: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let wish = RecordingOverrides {
        name: None,
        format: args.sample_format,
        sample_rate_hz: args.sample_rate,
        center_hz: args.center_freq,
        start: args.start,
    };
    let mqtt = args.mqtt.as_deref().map(MqttConfig::from_url).transpose()?;
    // Open all first: a missing file is better known at once.
    let mut recordings: Vec<Box<dyn Source>> = Vec::new();
    for file in &args.files {
        recordings.push(Box::new(Recording::open(file, &wish)?));
    }
    let mut replay = Replay {
        orders: RadioOptions::for_all(
            args.wanted.kinds(),
            args.trust,
            &runtime.context.component("replay"),
        ),
        show: Show::new(args.format, args.signal, "metertap replay", args.wanted.filter())?,
        signal: args.signal,
        mqtt: mqtt
            .map(|settings| Broker::start(&runtime.context, settings))
            .transpose()?,
    };
    for recording in recordings {
        let recording = if args.realtime {
            Box::new(Paced::new(recording))
        } else {
            recording
        };
        replay.play(recording)?;
        if replay.orders.context.cancel.is_cancelled() {
            break;
        }
    }
    replay.finish()
}

/// Plays recordings one after the other into the same sinks.
pub(crate) struct Replay {
    orders: RadioOptions,
    show: Show,
    signal: bool,
    mqtt: Option<Broker>,
}

impl Replay {
    /// With a table on a terminal and lines elsewhere.
    ///
    /// # Errors
    /// Where the terminal or the network cannot be had.
    #[cfg(feature = "demo")]
    pub fn demo(context: &Context, mqtt: MqttConfig) -> Result<Self> {
        let radio = context.component("replay");
        Ok(Replay {
            orders: RadioOptions::for_all(crate::meter::default_kinds(), Trust::Normal, &radio),
            show: Show::new(None, true, "metertap demo: a made-up street", Filter::default())?,
            signal: false,
            mqtt: Some(Broker::start(context, mqtt)?),
        })
    }

    /// Plays one to its end, or until the user or `--single` has had enough.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn play(&mut self, source: Box<dyn Source>) -> Result<()> {
        let radio = Radio::recording(source, &self.orders)?;
        for assumed in &radio.info.assumed {
            eprintln!("metertap: {}: {assumed}", radio.info.name);
        }
        let before = self.show.readings();
        for heard in &radio.events {
            match heard {
                ReceiverEvent::Reading(reading) => self.take(&reading)?,
                ReceiverEvent::Progress(bytes) => self.progress(&radio.info, bytes)?,
                ReceiverEvent::State(_) => {}
                ReceiverEvent::End(end) => {
                    report(&radio.info, &end);
                    end.result?;
                    if self.show.readings() == before && !self.orders.context.cancel.is_cancelled() {
                        eprintln!("metertap: {}: no meter heard", radio.info.name);
                    }
                    break;
                }
            }
            if self.show.done() {
                self.orders.context.cancel.cancel();
            }
        }
        Ok(())
    }

    fn take(&mut self, reading: &Reading) -> Result<()> {
        if !self.show.take(reading)? {
            return Ok(());
        }
        if let Some(broker) = &self.mqtt {
            let message = &reading.message;
            let payload = line(LineFormat::Json, reading, self.signal);
            let topic = format!(
                "{}/{}/{}",
                broker.prefix,
                message.id(),
                message.kind().topic_name()
            );
            let told = Message::reading(topic, payload, broker.retain);
            // A recording waits for the network; only an interrupted one does not.
            let delivered = if self.orders.context.cancel.is_cancelled() {
                broker.mqtt.try_publish(told)
            } else {
                broker.mqtt.publish(told)
            };
            if !delivered {
                bail!(
                    "a reading of meter {} could not be handed to the broker",
                    message.id()
                );
            }
        }
        Ok(())
    }

    fn progress(&mut self, info: &Info, bytes: u64) -> Result<()> {
        let share = info.bytes.map(|all| bytes as f64 / all.max(1) as f64);
        self.show.draw(share)
    }

    /// Shows the whole table and delivers what is left.
    ///
    /// # Errors
    /// Where the broker did not take everything.
    pub fn finish(self) -> Result<ExitCode> {
        let (stop, done) = (self.orders.context.cancel, self.show.done());
        self.show.finish()?;
        if let Some(broker) = self.mqtt {
            // The broker hurries if the process is interrupted, not if `--single` has ended the recording.
            let Some(outcome) = broker.mqtt.join(PATIENCE) else {
                bail!("the connection to the broker did not end");
            };
            tracing::info!(delivered = outcome.delivered, "Done with the broker.");
            if outcome.undelivered > 0 {
                bail!("{} readings were not taken by the broker", outcome.undelivered);
            }
        }
        Ok(if stop.is_cancelled() && !done {
            ExitCode::from(130)
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Where readings go besides the terminal.
struct Broker {
    mqtt: Mqtt,
    prefix: String,
    retain: bool,
}

impl Broker {
    fn start(context: &Context, settings: MqttConfig) -> Result<Self> {
        let options = MqttOptions {
            task: "mqtt".into(),
            birth_and_will: BirthAndWill::online_offline(&settings.status_topic()),
            subscriber: None,
            marks_resent: true,
            metrics: Arc::new(SinkMetrics::new("mqtt".into())),
        };
        Ok(Broker {
            prefix: settings.readings.clone(),
            retain: settings.retain.flag(false),
            mqtt: Mqtt::start(&context.component("mqtt"), settings.broker(None), options)?,
        })
    }
}

fn report(info: &Info, end: &End) {
    let tally = end.tally;
    tracing::debug!(
        name = %info.name,
        seconds = tally.samples as f64 / info.sample_rate_hz,
        bursts = tally.segments,
        dropped_segments = tally.dropped_segments,
        preambles = tally.preambles,
        packets = tally.packets,
        duplicates = tally.duplicates,
        doubtful = tally.low_confidence,
        refused = end.refused,
        noise_dbfs = end.noise_dbfs,
        "End of recording."
    );
}
