//! `metertap run`: the daemon.

use super::config_file::ConfigFile;
use super::wanted::default_kinds;
use crate::config::{self, Config};
use crate::engine::{Chorus, Event, Orders, Radio, State, Stop, wire};
use crate::meter::{Home, Reading, Registry, WireReading};
use crate::sink::homeassistant::{Announcement, Announcer};
use crate::sink::lines::{Format, Lines, payload};
use crate::sink::mqtt::Mqtt;
use crate::sink::rtl_tcp::Tap;
use crate::source::file::Recording;
use crate::source::{Address, Paced, Source};
use anyhow::{Result, bail};
use std::io::{Stdout, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long the broker is waited for once all recordings have ended.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let config = Config::read(&args.file.config)?;
    let stop = Stop::on_signals()?;
    let publishes_all = config.publishes_all();
    let orders = Orders {
        registry: Arc::new(Registry::new(config.home.clone(), publishes_all, default_kinds())),
        trust: config.trust(),
        stop: stop.clone(),
    };
    let mut radios = Vec::new();
    for (i, radio) in config.radio.iter().enumerate() {
        radios.push(start(radio, &radio.name(i), &orders)?);
    }
    let wires = match config.ports {
        ports if ports.is_empty() => None,
        ports => Some(wire::start(ports, &stop)?),
    };
    let mut announcer = None;
    let sink = match config.mqtt {
        Some(settings) => {
            announcer = config
                .homeassistant
                .and_then(|told| Announcer::new(told, &settings.readings, &settings.status_topic()));
            let watch = announcer
                .as_ref()
                .map(|announcer| announcer.watch(&config.home, publishes_all));
            Sink::Mqtt(Mqtt::start(settings, watch)?)
        }
        None => Sink::Lines(Lines::new(stdout(), Format::Json, false)),
    };
    let mut daemon = Daemon {
        sink,
        home: config.home,
        announcer,
        lost: 0,
    };
    daemon.listen(Chorus::new(radios, stop.clone()).with_wires(wires))?;
    daemon.finish(&stop)
}

fn start(radio: &config::Radio, name: &str, orders: &Orders) -> Result<Radio> {
    if let Some(live) = radio.live().map_err(anyhow::Error::msg)? {
        let tap = radio.serve_rtl_tcp.map(|address| {
            let tap = Tap::default();
            tap.serve(address).map(|_| tap)
        });
        return Radio::live(name, live, tap.transpose()?, orders);
    }
    let Address::File(path) = &radio.source else {
        bail!("{} is no source", radio.source);
    };
    let mut source: Box<dyn Source> = Box::new(Recording::open(path, &radio.wish())?);
    if radio.realtime {
        source = Box::new(Paced::new(source));
    }
    for assumed in &source.info().assumed {
        tracing::warn!(radio = %source.info().name, "{assumed}");
    }
    Radio::recording(source, orders)
}

/// Where readings go: to the broker, or as lines to standard output where there is none.
enum Sink {
    Mqtt(Mqtt),
    Lines(Lines<Stdout>),
}

struct Daemon {
    sink: Sink,
    home: Home,
    /// Where Home Assistant is told.
    announcer: Option<Announcer>,
    /// Readings for which there was no room.
    lost: u64,
}

impl Daemon {
    /// Until all receivers have ended, or a moment after being asked to stop.
    fn listen(&mut self, chorus: Chorus) -> Result<()> {
        for event in chorus {
            match event {
                Event::Reading(reading) => self.publish(&reading)?,
                Event::Wire(mut reading) => self.publish_wire(&mut reading)?,
                Event::State(state) => self.tell_state(&state)?,
                Event::Quiet => {}
                Event::End(info, end) => match end.result {
                    Ok(()) => {
                        tracing::info!(radio = %info.name, packets = end.tally.packets, "End of the receiver.");
                    }
                    Err(error) => {
                        tracing::error!(radio = %info.name, error = format!("{error:#}"), "A receiver has ended.");
                    }
                },
            }
        }
        Ok(())
    }

    fn publish(&mut self, reading: &Reading) -> Result<()> {
        match &mut self.sink {
            Sink::Lines(lines) => lines.write(reading)?,
            Sink::Mqtt(_) => {
                let (id, kind) = (reading.message.id().to_string(), reading.message.kind());
                let ours = self.home.get(&id).cloned();
                // A neighbour's meter is never announced, even where it is published.
                if let (Some(announcer), Some(meter)) = (&mut self.announcer, &ours) {
                    let announcement = announcer.radio(reading, meter);
                    self.announce(announcement);
                }
                let payload = payload(reading, &ours.unwrap_or_default());
                self.send(&id, kind.topic_name(), payload);
            }
        }
        Ok(())
    }

    fn publish_wire(&mut self, reading: &mut WireReading) -> Result<()> {
        let ours = self.home.get(&reading.report.id);
        reading.name = ours.and_then(|meter| meter.name.clone());
        let payload = serde_json::to_string(reading)?;
        if let Some(announcer) = &mut self.announcer {
            let announcement = announcer.wire(reading, ours);
            self.announce(announcement);
        }
        match &mut self.sink {
            Sink::Lines(lines) => lines.write_line(&payload)?,
            Sink::Mqtt(_) => self.send(&reading.report.id, reading.report.sort.topic_name(), payload),
        }
        Ok(())
    }

    fn announce(&mut self, announcement: Option<Announcement>) {
        let (Sink::Mqtt(mqtt), Some(announcement)) = (&self.sink, announcement) else {
            return;
        };
        let topic = announcement.topic.clone();
        if let (false, Some(announcer)) = (mqtt.announce(announcement), &mut self.announcer) {
            // The next reading tries again.
            announcer.forget(&topic);
        }
    }

    fn send(&mut self, id: &str, kind: &str, payload: String) {
        let Sink::Mqtt(mqtt) = &self.sink else {
            return;
        };
        if !mqtt.try_publish(id, kind, payload) {
            self.lost += 1;
            if self.lost == 1 {
                tracing::warn!("The broker has been away for long: readings are being lost.");
            }
        }
    }

    /// Retained, so that who comes late knows; lines have no place for it but the log.
    fn tell_state(&mut self, state: &State) -> Result<()> {
        if let Sink::Mqtt(mqtt) = &mut self.sink {
            mqtt.publish_state(&state.receiver, serde_json::to_string(state)?);
        }
        Ok(())
    }

    fn finish(self, stop: &Stop) -> Result<ExitCode> {
        if let Sink::Mqtt(mqtt) = self.sink {
            let outcome = mqtt.finish(PATIENCE, || stop.asked());
            tracing::info!(
                delivered = outcome.delivered,
                undelivered = outcome.undelivered,
                kept = outcome.kept,
                lost = self.lost,
                "Stopped."
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
