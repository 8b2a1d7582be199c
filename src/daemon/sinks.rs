//! All sinks of the daemon, as the configuration wants them.

use crate::config::Config;
use crate::meter::Meters;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::output::RunningOutput;
use crate::publish::publisher::Publisher;
use crate::publish::{MqttConfig, homeassistant, mqtt};
use crate::runtime::{Cancel, Context};
use crate::status::add_meter::AddMeter;
use crate::status::board::StatusBoard;
use crate::web::Web;
use crate::{output, web};
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// How long the sinks are waited for once all recordings have ended.
const PATIENCE: Duration = Duration::from_secs(60);
/// And once somebody wants us to stop, or the configuration has changed.
const HURRIED: Duration = mqtt::HURRIED;

/// Where readings go. None waits for another.
pub struct Sinks {
    /// The broker, if there is one.
    pub publisher: Option<Publisher>,
    outlets: Vec<RunningOutput>,
    web: Option<Web>,
    /// Who writes down which meters are ours.
    adopter: Arc<dyn AddMeter>,
    /// What they were made of.
    settings: Wanted,
    context: Context,
}

/// What the sinks are to be.
#[derive(Clone, PartialEq)]
struct Wanted {
    mqtt: Option<MqttConfig>,
    told: Option<homeassistant::HomeAssistantConfig>,
    outputs: Vec<output::OutputConfig>,
    web: Option<web::WebConfig>,
    all: bool,
    home: Meters,
}

impl Wanted {
    fn of(config: &Config) -> Self {
        let mut outputs = config.outputs.clone();
        // Somebody is to hear of it.
        if outputs.is_empty() && config.mqtt.is_none() {
            outputs.push(output::OutputConfig::stdout());
        }
        Wanted {
            mqtt: config.mqtt.clone(),
            told: config.homeassistant.clone(),
            outputs,
            web: config.web.clone(),
            all: config.publishes_all(),
            home: config.home.clone(),
        }
    }

    fn publisher(&self, context: &Context) -> Result<Option<Publisher>> {
        let context = context.component("mqtt");
        let start = |mqtt| Publisher::start(&context, mqtt, self.told.as_ref(), &self.home, self.all);
        self.mqtt.as_ref().map(start).transpose()
    }

    /// Those that could be had, and why one could not.
    fn outlets(&self) -> (Vec<RunningOutput>, Result<()>) {
        let mut ended = Ok(());
        let started = self
            .outputs
            .iter()
            .enumerate()
            .filter_map(|(i, output)| match output.start(i) {
                Ok(working) => Some(working),
                Err(error) => {
                    ended = Err(error);
                    None
                }
            });
        (started.collect(), ended)
    }
}

impl Sinks {
    /// Starts them, and shows them on the board.
    ///
    /// # Errors
    /// Where a file, a port or a thread cannot be had.
    pub fn start(
        context: &Context,
        config: &Config,
        board: &StatusBoard,
        adopter: Arc<dyn AddMeter>,
    ) -> Result<Self> {
        let settings = Wanted::of(config);
        let (outlets, started) = settings.outlets();
        started?;
        let mut sinks = Sinks {
            context: context.clone(),
            publisher: settings.publisher(context)?,
            outlets,
            web: None,
            adopter,
            settings,
        };
        sinks.web = sinks.start_web(board)?;
        sinks.show(board);
        Ok(sinks)
    }

    fn start_web(&self, board: &StatusBoard) -> Result<Option<Web>> {
        let web = self.settings.web.as_ref();
        web.map(|web| Web::start(web, board.clone(), self.adopter.clone()))
            .transpose()
    }

    fn show(&self, board: &StatusBoard) {
        let outlets = self.outlets.iter().map(|working| working.counts.clone());
        let publisher = self.publisher.iter().map(|publisher| publisher.metrics().clone());
        let mut board = board.look();
        board.sinks = publisher.chain(outlets).collect();
        board.is_shown = self.web.is_some();
    }

    /// As the configuration is now; a sink of which nothing has changed goes on. True: the publisher is new, and knows
    /// nothing of receivers and meters. A sink that cannot be had costs none of the others, and is tried again with the
    /// next change.
    pub fn change(&mut self, config: &Config, board: &StatusBoard) -> (bool, Result<()>) {
        let old = std::mem::replace(&mut self.settings, Wanted::of(config));
        let now = &self.settings;
        // Home Assistant forgets meters that have left with the next connection.
        let is_same = (&old.mqtt, &old.told) == (&now.mqtt, &now.told);
        let tells_of_home = now.told.is_some() && (old.all, &old.home) != (now.all, &now.home);
        let is_new = !is_same || tells_of_home;
        let mut ended = Ok(());
        if is_new {
            if let Some(publisher) = self.publisher.take() {
                publisher.finish(HURRIED);
            }
            match self.settings.publisher(&self.context) {
                Ok(publisher) => self.publisher = publisher,
                Err(error) => {
                    self.settings.mqtt = None;
                    ended = Err(error);
                }
            }
        }
        if old.outputs != self.settings.outputs {
            // Their ports and files must be free first.
            finish_all(std::mem::take(&mut self.outlets), HURRIED);
            let (outlets, started) = self.settings.outlets();
            self.outlets = outlets;
            if started.is_err() {
                self.settings.outputs.clear();
            }
            ended = ended.and(started);
        }
        if old.web != self.settings.web {
            self.web = None;
            std::thread::sleep(Duration::from_millis(100));
            match self.start_web(board) {
                Ok(web) => self.web = web,
                Err(error) => {
                    self.settings.web = None;
                    ended = ended.and(Err(error));
                }
            }
        }
        self.show(board);
        (is_new, ended)
    }

    /// Tells all of a reading; none waits.
    pub fn tell(&mut self, told: &Arc<ReadingEvent>) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish(told);
        }
        for working in &mut self.outlets {
            working.outlet.tell(told);
        }
    }

    /// A meter is there, or has fallen silent.
    pub fn tell_change(&mut self, change: &AvailabilityChange) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish_availability(change);
        }
    }

    /// What is left is delivered; in a hurry where we were asked to stop.
    pub fn finish(self, stop: &Cancel) {
        let patience = if stop.is_cancelled() { HURRIED } else { PATIENCE };
        let outlets = self.outlets;
        let counts: Vec<_> = outlets.iter().map(|working| working.counts.clone()).collect();
        let others = std::thread::spawn(move || finish_all(outlets, patience));
        if let Some(publisher) = self.publisher {
            publisher.finish(PATIENCE);
        }
        let _ = others.join();
        for standing in counts.iter().map(|counts| counts.standing()) {
            tracing::info!(
                output = standing.name,
                delivered = standing.delivered,
                lost = standing.lost,
                "Stopped."
            );
        }
    }
}

/// All at once: none waits for another.
fn finish_all(outlets: Vec<RunningOutput>, patience: Duration) {
    let ends: Vec<_> = outlets
        .into_iter()
        .map(|working| std::thread::spawn(move || working.outlet.finish(patience)))
        .collect();
    for end in ends {
        let _ = end.join();
    }
}
