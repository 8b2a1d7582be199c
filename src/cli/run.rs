//! `metertap run`: the daemon.

use crate::cli::message_args::default_kinds;
use crate::config::Config;
use crate::config::ConfigFile;
use crate::daemon::add_meter::ConfigAppender;
use crate::daemon::event_stream::{Event, EventStream};
use crate::daemon::pipeline::Pipeline;
use crate::daemon::sinks::Sinks;
use crate::daemon::systemd::Systemd;
use crate::meter::FrameFilter;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::port::Port;
use crate::receiver::{End, Radio, RadioOptions};
use crate::runtime::cancel::{Reload, Stop};
use crate::source::recording::{Paced, Recording};
use crate::source::rtl_tcp::server::Tap;
use crate::source::{Address, Info, Source};
use crate::status::add_meter::AddMeter;
use crate::status::board::StatusBoard;
use crate::status::log_buffer::LogBuffer;
use crate::{config, port};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

impl Args {
    /// Of this file, and nothing else.
    pub fn of_file(config: PathBuf) -> Self {
        Args {
            file: ConfigFile::of(config),
        }
    }
}

pub fn run(args: &Args, journal: LogBuffer) -> Result<ExitCode> {
    let config = args.file.read()?;
    let (stop, reload) = (Stop::on_signals()?, Reload::on_signal()?);
    let adopter = ConfigAppender::new(args.file.clone(), reload.clone());
    let mut daemon = Daemon::start(config, &stop, journal, Arc::new(adopter))?;
    let mut systemd = Systemd::ready();
    while let Some(event) = daemon.chorus.next() {
        daemon.take(event);
        systemd.tick();
        if reload.asked() {
            daemon.reload(&args.file);
        }
    }
    systemd.stopping();
    daemon.finish();
    Ok(ExitCode::SUCCESS)
}

fn start(radio: &config::Radio, name: &str, orders: &RadioOptions) -> Result<Radio> {
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

/// Everything at work.
struct Daemon {
    chorus: EventStream,
    orders: RadioOptions,
    steward: Pipeline,
    sinks: Sinks,
    board: StatusBoard,
    /// Those of the neighbours as well.
    publishes_all: bool,
    /// By identity: which receivers there are, and what they are called by themselves.
    radios: Vec<(String, String)>,
    /// By identity: which ports there are.
    ports: Vec<(String, Stop)>,
}

impl Daemon {
    fn start(config: Config, stop: &Stop, journal: LogBuffer, adopter: Arc<dyn AddMeter>) -> Result<Self> {
        let hears_all = config.hears_all();
        let orders = RadioOptions {
            registry: Arc::new(FrameFilter::new(config.home.clone(), hears_all, default_kinds())),
            trust: config.trust(),
            stop: stop.clone(),
        };
        let board = StatusBoard::default();
        board.look().journal = journal;
        let mut daemon = Daemon {
            publishes_all: config.publishes_all(),
            chorus: EventStream::new(Vec::new(), stop.clone()),
            sinks: Sinks::start(&config, &board, adopter)?,
            steward: Pipeline::new(config.home, config.rate),
            orders,
            board,
            radios: Vec::new(),
            ports: Vec::new(),
        };
        daemon.start_radios(&config.radio)?;
        daemon.start_ports(config.ports)?;
        Ok(daemon)
    }

    fn start_radios(&mut self, radios: &[config::Radio]) -> Result<()> {
        for (i, section) in radios.iter().enumerate() {
            let identity = section.identity(i);
            if self.radios.iter().any(|(known, _)| *known == identity) {
                continue;
            }
            let radio = start(section, &section.name(i), &self.orders)?;
            let name = radio.info.name.clone();
            self.board.look().views.insert(name.clone(), radio.view.clone());
            self.radios.push((identity, name));
            self.chorus.add_radio(radio);
        }
        Ok(())
    }

    fn start_ports(&mut self, mut ports: Vec<Port>) -> Result<()> {
        ports.retain(|port| !self.ports.iter().any(|(known, _)| *known == port.identity));
        if ports.is_empty() {
            return Ok(());
        }
        for port in &ports {
            self.ports.push((port.identity.clone(), port.stop.clone()));
            let tails = &mut self.board.look().tails;
            tails.insert(port.name.clone(), port.tail.clone());
        }
        self.chorus.add_wires(port::start(ports, &self.orders.stop)?);
        Ok(())
    }

    /// Reads the configuration again; what has not changed goes on undisturbed, and a mistake changes nothing.
    fn reload(&mut self, file: &ConfigFile) {
        let config = match file.read() {
            Ok(config) => config,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "The configuration is wrong, and the old one stays.");
                return;
            }
        };
        match self.change(config) {
            Ok(()) => tracing::info!(config = %file.config.display(), "The configuration was read again."),
            // A port that somebody else has, a recording that is not there.
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "A part of the new configuration does not work; the rest does."
                );
            }
        }
    }

    fn change(&mut self, config: Config) -> Result<()> {
        self.publishes_all = config.publishes_all();
        self.orders
            .registry
            .change(config.home.clone(), config.hears_all());
        self.steward.change(config.home.clone(), config.rate);
        let (is_new, sinks) = self.sinks.change(&config, &self.board);
        if is_new {
            self.introduce();
        }
        let trusts_as_before = self.orders.trust == config.trust();
        self.orders.trust = config.trust();
        let wanted: Vec<String> = config
            .radio
            .iter()
            .enumerate()
            .map(|(i, radio)| radio.identity(i))
            .collect();
        let (chorus, board) = (&self.chorus, &self.board);
        self.radios.retain(|(identity, name)| {
            let stays = trusts_as_before && wanted.contains(identity);
            if !stays {
                chorus.stop_radio(name);
                board.forget(name);
            }
            stays
        });
        let wanted: Vec<&str> = config.ports.iter().map(|port| port.identity.as_str()).collect();
        self.ports.retain(|(identity, stop)| {
            let stays = wanted.contains(&identity.as_str());
            if !stays {
                stop.ask();
                let name = identity.split(' ').next().unwrap_or_default();
                board.forget(name);
            }
            stays
        });
        let radios = self.start_radios(&config.radio);
        self.start_ports(config.ports)?;
        radios.and(sinks)
    }

    /// Tells a new publisher how everything is.
    fn introduce(&mut self) {
        let states: Vec<_> = self.board.look().receivers.values().cloned().collect();
        if let Some(publisher) = &mut self.sinks.publisher {
            states.iter().for_each(|state| publisher.tell_state(state));
        }
        for change in self.steward.changes() {
            self.sinks.tell_change(&change);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Reading(reading) if !self.publishes_all && !self.steward.knows(&reading) => {
                // Only for who looks which meter is his.
                self.board
                    .told(&Arc::new(ReadingEvent::from_radio(reading, None)));
            }
            Event::Reading(reading) => {
                let (told, change) = self.steward.radio(reading);
                self.pass_on(&told, change);
            }
            Event::Wire(reading) => {
                let (told, change) = self.steward.wire(reading);
                self.pass_on(&told, change);
            }
            Event::State(state) => {
                self.board.state(&state);
                if let Some(publisher) = &mut self.sinks.publisher {
                    publisher.tell_state(&state);
                }
            }
            Event::Quiet => {}
            Event::End(info, end) => log_end(&info, &end),
        }
        let (due, fallen) = self.steward.due();
        self.pass_on(&due, None);
        for change in fallen {
            tracing::warn!(meter = change.id, "A meter has fallen silent.");
            self.sinks.tell_change(&change);
        }
        if let Some(publisher) = &mut self.sinks.publisher {
            publisher.tick();
        }
        self.board.refused(self.steward.refused());
    }

    fn pass_on(&mut self, told: &[Arc<ReadingEvent>], change: Option<AvailabilityChange>) {
        if let Some(change) = change {
            self.sinks.tell_change(&change);
        }
        for told in told {
            self.board.told(told);
            self.sinks.tell(told);
        }
    }

    /// What is left is delivered; in a hurry where we were asked to stop.
    fn finish(mut self) {
        let rest = self.steward.rest();
        self.pass_on(&rest, None);
        let refused: u64 = self.steward.refused().values().sum();
        if refused > 0 {
            tracing::info!(refused, "Readings that were not plausible were not passed on.");
        }
        self.sinks.finish(&self.orders.stop);
    }
}

fn log_end(info: &Info, end: &End) {
    match &end.result {
        Ok(()) => tracing::info!(radio = %info.name, packets = end.tally.packets, "End of the receiver."),
        Err(error) => {
            tracing::error!(radio = %info.name, error = format!("{error:#}"), "A receiver has ended.");
        }
    }
}
