//! Wires whose bytes, and prices whose lists, are messages on a topic of the broker.

use crate::config::Config;
use crate::prices::{Messages, Topics};
use crate::publish::mqtt::{BrokerConfig, messages, subscribe};
use crate::source::wire::{Feed, Opening, Stream};
use std::sync::Arc;

/// Opens topics of the broker of `[mqtt]`.
pub struct MqttFeed(BrokerConfig);

impl MqttFeed {
    /// Returns the feed of a configuration; `None` without a broker.
    pub fn of(config: &Config) -> Option<Arc<dyn Feed>> {
        Some(Arc::new(Self::new(config)?))
    }

    /// Returns the topics of a configuration; `None` without a broker.
    pub fn topics(config: &Config) -> Option<Arc<dyn Topics>> {
        Some(Arc::new(Self::new(config)?))
    }

    fn new(config: &Config) -> Option<Self> {
        Some(MqttFeed(config.mqtt.as_ref()?.broker(None)))
    }
}

impl Feed for MqttFeed {
    fn open<'a>(&'a self, topic: &'a str) -> Opening<'a> {
        Box::pin(async move {
            let stream = subscribe(&self.0, topic).await?;
            Ok(Box::new(tokio::io::join(stream, tokio::io::sink())) as Box<dyn Stream>)
        })
    }
}

impl Topics for MqttFeed {
    fn messages<'a>(&'a self, topic: &'a str) -> Messages<'a> {
        Box::pin(messages(&self.0, topic))
    }
}
