//! Wires whose bytes are messages on a topic of the broker.

use crate::config::Config;
use crate::publish::mqtt::{BrokerConfig, subscribe};
use crate::source::wire::{Feed, Opening, Stream};
use std::sync::Arc;

/// Opens topics of the broker of `[mqtt]`.
pub struct MqttFeed(BrokerConfig);

impl MqttFeed {
    /// Returns the feed of a configuration; `None` without a broker.
    pub fn of(config: &Config) -> Option<Arc<dyn Feed>> {
        let broker = config.mqtt.as_ref()?.broker(None);
        Some(Arc::new(MqttFeed(broker)))
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
