//! `metertap replay`: decodes recordings.

use crate::cli::band_args::BandArgs;
use crate::cli::hertz::parse_hertz;
use crate::cli::message_args::MessageArgs;
use crate::cli::other_rates;
use crate::cli::reading_display::ReadingDisplay;
use crate::format::{LineFormat, line, telegram_line};
#[cfg(feature = "demo")]
use crate::meter::filter::MessageFilter;
use crate::meter::{RadioTelegram, Reading};
use crate::publish::MqttConfig;
use crate::publish::message::{BirthAndWill, Message};
use crate::publish::mqtt::{Mqtt, MqttOptions};
use crate::receiver::{End, Radio, RadioOptions, ReceiverEvent};
use crate::runtime::{Component, Context, Runtime};
use crate::source::recording::{Paced, Recording, RecordingOverrides};
use crate::source::{Info, Source};
use crate::status::sink::SinkMetrics;
use anyhow::{Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use metertap_dsp::{Resampling, Tally, Trust};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the broker to acknowledge the last readings of a finished replay.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for the threads of a recording to end: none at all, but for the backtrace of one that panicked.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Level below which there is not even noise: eight bits have more of it.
const SILENCE_DBFS: f32 = -70.0;
/// Error of a recording's sample rate that is remarked on: no crystal is off by so much.
const RATE_ERROR_PPM: f64 = 400.0;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// IQ files (cu8, cs8, cs16, cf32, SigMF, WAV, each also with gzip); `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Samples per second, if the file does not say.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz)]
    sample_rate: Option<f64>,
    /// cu8, cs8, cs16 or cf32, if the file does not say.
    #[arg(long, value_name = "FORMAT")]
    sample_format: Option<Format>,
    /// Center frequency, if the file does not say.
    #[arg(long, value_name = "HZ", value_parser = parse_hertz)]
    center_freq: Option<f64>,
    /// Start of the recording, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    start: Option<Timestamp>,
    /// Play at the speed at which it was recorded.
    #[arg(long)]
    realtime: bool,
    #[command(flatten)]
    band: BandArgs,
    /// Print lines of this format. Default: a live table on a terminal, JSON lines elsewhere.
    #[arg(long, value_name = "FORMAT")]
    format: Option<LineFormat>,
    /// Add signal quality to JSON lines.
    #[arg(long)]
    signal: bool,
    /// Frames to accept: strict (no corrections), normal or eager.
    #[arg(long, default_value = "normal", value_name = "TRUST")]
    trust: Trust,
    /// Publish to this broker as well: mqtt://[user:password@]host[:1883].
    #[arg(long, value_name = "URL")]
    mqtt: Option<String>,
    #[command(flatten)]
    messages: MessageArgs,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = Runtime::for_command()?;
    let overrides = RecordingOverrides {
        name: None,
        format: args.sample_format,
        sample_rate_hz: args.sample_rate,
        center_hz: args.center_freq,
        start: args.start,
    };
    args.band.check_format(args.format)?;
    let family = args.band.family();
    let mqtt = args.mqtt.as_deref().map(MqttConfig::from_url).transpose()?;
    // All are opened before the first is played, so that a missing file is reported at once.
    let mut recordings: Vec<Box<dyn Source>> = Vec::new();
    for file in &args.files {
        recordings.push(Box::new(Recording::open(file, &overrides)?));
    }
    let mut replay = Replay {
        options: RadioOptions {
            family,
            ..RadioOptions::for_all(
                args.messages.kinds(),
                args.trust,
                &runtime.context.component("replay"),
            )
        },
        display: ReadingDisplay::new(
            args.format,
            args.signal,
            "metertap replay",
            args.messages.filter(),
        )?,
        signal: args.signal,
        mqtt: mqtt
            .map(|config| Broker::start(&runtime.context, config))
            .transpose()?,
    };
    for (number, recording) in recordings.into_iter().enumerate() {
        let recording = if args.realtime {
            Box::new(Paced::new(recording))
        } else {
            recording
        };
        let rate_hz = recording.info().sample_rate_hz;
        if replay.play(recording)? == Outcome::Undecoded {
            let cancel = &runtime.context.cancel;
            other_rates::suggest(&args.files[number], rate_hz, &overrides, family, cancel)?;
        }
        if replay.options.context.cancel.is_cancelled() {
            break;
        }
    }
    let code = replay.finish()?;
    // A receiver goes on with its other threads, but what the failed one held is missing.
    if let Ok(failure) = runtime.failures.try_recv() {
        bail!("thread `{}` panicked: {}", failure.thread, failure.cause);
    }
    Ok(code)
}

/// Result of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There were messages.
    Decoded,
    /// There were bursts, and no message in them.
    Undecoded,
    /// There was nothing but noise.
    Silence,
}

/// Decodes recordings one after the other into the same display and broker.
pub(crate) struct Replay {
    options: RadioOptions,
    display: ReadingDisplay,
    signal: bool,
    mqtt: Option<Broker>,
}

impl Replay {
    /// Displays a table on a terminal and lines elsewhere, and publishes to a broker.
    ///
    /// # Errors
    /// If the terminal cannot be used, or the MQTT client cannot be started.
    #[cfg(feature = "demo")]
    pub fn demo(context: &Context, mqtt: MqttConfig) -> Result<Self> {
        let radio = context.component("replay");
        Ok(Replay {
            options: RadioOptions::for_all(crate::meter::default_kinds(), Trust::Normal, &radio),
            display: ReadingDisplay::new(
                None,
                true,
                "metertap demo: a made-up street",
                MessageFilter::default(),
            )?,
            signal: false,
            mqtt: Some(Broker::start(context, mqtt)?),
        })
    }

    /// Decodes a source to its end, or until the user or `--single` stops it.
    ///
    /// # Errors
    /// If the source cannot be read, or a reading not be displayed or published.
    pub fn play(&mut self, source: Box<dyn Source>) -> Result<Outcome> {
        let radio = Radio::recording(source, &self.options)?;
        for assumed in &radio.info.assumed {
            eprintln!("metertap: {}: {assumed}", radio.info.name);
        }
        let before = self.display.readings();
        let mut outcome = Outcome::Decoded;
        for event in &radio.events {
            match event {
                ReceiverEvent::Reading(reading) => self.add(&reading)?,
                ReceiverEvent::Telegram(telegram) => self.add_telegram(&telegram)?,
                ReceiverEvent::Progress(bytes) => self.draw(&radio.info, bytes)?,
                ReceiverEvent::State(_) => {}
                ReceiverEvent::End(end) => {
                    log_statistics(&radio.info, &end);
                    let name = &radio.info.name;
                    if let Some(remark) = rate_remark(&radio.info, &end) {
                        eprintln!("metertap: {name}: {remark}");
                    }
                    end.result?;
                    if self.display.readings() == before && !self.options.context.cancel.is_cancelled() {
                        let nothing = nothing_heard(&radio.info, &end.tally, end.noise_dbfs);
                        eprintln!("metertap: {name}: {nothing}");
                        outcome = if end.tally.segments > 0 && end.noise_dbfs > SILENCE_DBFS {
                            Outcome::Undecoded
                        } else {
                            Outcome::Silence
                        };
                    }
                    break;
                }
            }
            if self.display.is_finished() {
                self.options.context.cancel.cancel();
            }
        }
        // Only a thread that has ended has reported its panic.
        Box::new(radio).join(END_TIMEOUT);
        Ok(outcome)
    }

    fn add(&mut self, reading: &Reading) -> Result<()> {
        if !self.display.add(reading)? {
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
            let publication = Message::reading(topic, payload, broker.retain);
            // A recording can wait for the network; once it is interrupted, it must not.
            let delivered = if self.options.context.cancel.is_cancelled() {
                broker.mqtt.try_publish(publication)
            } else {
                broker.mqtt.publish(publication)
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

    fn add_telegram(&mut self, telegram: &RadioTelegram) -> Result<()> {
        if !self.display.add_telegram(telegram)? {
            return Ok(());
        }
        if let Some(broker) = &self.mqtt {
            let payload = telegram_line(LineFormat::Json, telegram, self.signal);
            let topic = format!("{}/telegrams", broker.prefix);
            broker.mqtt.publish(Message::reading(topic, payload, false));
        }
        Ok(())
    }

    fn draw(&mut self, info: &Info, bytes: u64) -> Result<()> {
        let share = info.bytes.map(|all| bytes as f64 / all.max(1) as f64);
        self.display.draw(share)
    }

    /// Prints the whole table, and waits until the broker has acknowledged all readings.
    ///
    /// # Errors
    /// If the broker did not acknowledge all.
    pub fn finish(self) -> Result<ExitCode> {
        let (cancel, is_finished) = (self.options.context.cancel, self.display.is_finished());
        self.display.finish()?;
        if let Some(broker) = self.mqtt {
            // The broker hurries if the process is interrupted, not if `--single` has ended the recording.
            let Some(outcome) = broker.mqtt.join(DELIVERY_TIMEOUT) else {
                bail!("the connection to the broker did not end");
            };
            tracing::info!(delivered = outcome.delivered, "All readings delivered");
            if outcome.undelivered > 0 {
                bail!(
                    "{} readings were not acknowledged by the broker",
                    outcome.undelivered
                );
            }
        }
        Ok(if cancel.is_cancelled() && !is_finished {
            ExitCode::from(130)
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// MQTT client, and the topic prefix and retain flag of readings.
struct Broker {
    mqtt: Mqtt,
    prefix: String,
    retain: bool,
}

impl Broker {
    fn start(context: &Context, config: MqttConfig) -> Result<Self> {
        let options = MqttOptions {
            task: "mqtt".into(),
            birth_and_will: BirthAndWill::online_offline(&config.status_topic()),
            subscriber: None,
            marks_resent: true,
            metrics: Arc::new(SinkMetrics::new("mqtt".into())),
        };
        Ok(Broker {
            prefix: config.readings.clone(),
            retain: config.retain.flag(false),
            mqtt: Mqtt::start(&context.component("mqtt"), config.broker(None), options)?,
        })
    }
}

/// Says what rate a recording has by the chip clocks of its meters, if that is another one than it was read at.
fn rate_remark(info: &Info, end: &End) -> Option<String> {
    let (ppm, meters) = end.chips.median()?;
    let rate_hz = (info.sample_rate_hz * (1.0 + ppm * 1e-6)).round();
    (ppm.abs() > RATE_ERROR_PPM).then(|| {
        format!(
            "the chips of {meters} meter{} are {ppm:+.0} ppm off: read at {} S/s, it seems to have been recorded at about {rate_hz} \
             S/s, and weak meters may be lost (--sample-rate {rate_hz})",
            if meters == 1 { "" } else { "s" },
            info.sample_rate_hz
        )
    })
}

/// Explains what was tried on a recording without a message.
fn nothing_heard(info: &Info, tally: &Tally, noise_dbfs: f32) -> String {
    let seconds = tally.samples as f64 / Resampling::for_rate(info.sample_rate_hz).rate_hz();
    let level = match tally.segments {
        _ if noise_dbfs < SILENCE_DBFS => "nothing but silence".to_owned(),
        0 => format!("nothing but noise at {noise_dbfs:.0} dBFS"),
        bursts => format!(
            "{bursts} bursts, {} preambles, noise at {noise_dbfs:.0} dBFS",
            tally.preambles
        ),
    };
    format!(
        "no meter heard in {seconds:.1} s read as {} at {} S/s: {level}. If that is not how it was recorded, \
         use --sample-format and --sample-rate",
        info.format, info.sample_rate_hz
    )
}

fn log_statistics(info: &Info, end: &End) {
    let tally = end.tally;
    tracing::debug!(
        name = %info.name,
        seconds = tally.samples as f64 / Resampling::for_rate(info.sample_rate_hz).rate_hz(),
        bursts = tally.segments,
        dropped_segments = tally.dropped_segments,
        preambles = tally.preambles,
        packets = tally.packets,
        duplicates = tally.duplicates,
        doubtful = tally.low_confidence,
        refused = end.refused,
        noise_dbfs = end.noise_dbfs,
        "End of recording"
    );
}
