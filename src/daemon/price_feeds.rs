//! Sources of hourly prices that the tariffs name: started, replaced and stopped with the configuration.

use crate::config::Config;
use crate::daemon::mqtt_feed::MqttFeed;
use crate::meter::hourly_prices::HourlyPrices;
use crate::meter::price_source::{PriceAddress, PriceSource};
use crate::prices::{PriceFeed, Topics};
use crate::publish::MqttConfig;
use crate::runtime::{Component, Context};
use crate::status::Status;
use crate::status::prices::PriceFeedStatus;
use crate::store::prices::PriceFile;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// First part of the name of their components.
const PREFIX: &str = "prices:";
/// Time for a task to write its file.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Running sources.
pub struct PriceFeeds {
    context: Context,
    /// Part of the configuration that they were started with.
    mqtt: Option<MqttConfig>,
    topics: Option<Arc<dyn Topics>>,
    folder: Option<PathBuf>,
    running: Vec<(PriceFeedStatus, PriceFeed)>,
}

impl PriceFeeds {
    /// Starts nothing yet.
    pub fn new(context: Context) -> Self {
        PriceFeeds {
            context,
            mqtt: None,
            topics: None,
            folder: None,
            running: Vec::new(),
        }
    }

    /// Changes to the sources of another configuration; those that it has, too, go on undisturbed. Without a page nobody would see a cost.
    pub fn change(&mut self, config: &Config, status: &mut Status) {
        let wanted = match config.web {
            Some(_) => config.tariffs.sources(),
            None => Vec::new(),
        };
        let is_same_broker = self.mqtt == config.mqtt;
        let is_kept = |source: &PriceSource| {
            let has_its_broker = is_same_broker || !matches!(source.address, PriceAddress::Mqtt(_));
            has_its_broker && wanted.contains(source)
        };
        let (kept, stopped): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(status, _)| is_kept(status.source()));
        stopped.into_iter().for_each(stop);
        self.running = kept;
        self.mqtt.clone_from(&config.mqtt);
        self.topics = MqttFeed::topics(config);
        self.folder = config.state_folder();
        for source in wanted {
            if !self.running.iter().any(|(status, _)| *status.source() == source) {
                self.start(source);
            }
        }
        self.show(status);
    }

    /// Returns true if `component` is the name of a source.
    pub fn is_feed(component: &str) -> bool {
        component.starts_with(PREFIX)
    }

    /// Replaces a source that has failed.
    pub fn restart(&mut self, component: &str, status: &mut Status) {
        let (failed, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(_, feed)| feed.name() == component);
        self.running = kept;
        for (status, feed) in failed {
            let source = status.source().clone();
            stop((status, feed));
            self.start(source);
        }
        self.show(status);
    }

    /// Stops all, and waits until their prices are on disk.
    pub fn finish(&mut self) {
        self.running.iter().for_each(|(_, feed)| feed.stop());
        std::mem::take(&mut self.running).into_iter().for_each(stop);
    }

    fn start(&mut self, source: PriceSource) {
        let name = format!("{PREFIX}{}", source.address);
        let folder = self.folder.as_deref();
        let file = folder.map(|folder| PriceFile::new(folder, source.fingerprint()));
        let known = file.as_ref().map_or_else(HourlyPrices::default, PriceFile::read);
        let status = PriceFeedStatus::new(source, known);
        let context = self.context.component(&name);
        let feed = PriceFeed::start(&context, status.clone(), file, self.topics.clone());
        self.running.push((status, feed));
    }

    fn show(&self, status: &mut Status) {
        status.set_prices(self.running.iter().map(|(status, _)| status.clone()));
    }
}

fn stop((_, feed): (PriceFeedStatus, PriceFeed)) {
    feed.stop();
    let name = feed.name().to_owned();
    if !Box::new(feed).join(STOP_TIMEOUT) {
        tracing::error!(component = name, "Component does not end; it is left behind");
    }
}
