//! Sources of prices that change every hour: a server, a topic of the broker or a file, whose lists are kept on disk.
//!
//! ```text
//!   server, file (asked now and then) ─┐
//!   topic (as messages come) ──────────┴▶ PriceFeed ──▶ PriceFeedStatus ──▶ web (cost of each hour)
//!                                              └──────▶ store/prices.rs (for outages and the next process)
//! ```

mod fetch;

use crate::meter::price_list;
use crate::meter::price_source::PriceAddress;
use crate::runtime::backoff::{Backoff, jittered};
use crate::runtime::{Cancel, Component, Context, Running};
use crate::status::prices::PriceFeedStatus;
use crate::store::prices::PriceFile;
use anyhow::Result;
use fetch::Fetcher;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

/// Time between two requests. Exchanges publish the prices of a day once, on the day before.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1800);
/// Time between two looks at a file.
const FILE_INTERVAL: Duration = Duration::from_secs(60);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Messages of a topic, until the connection breaks.
pub type Messages<'a> = Pin<Box<dyn Future<Output = Result<Receiver<Vec<u8>>>> + Send + 'a>>;

/// Subscribes to topics of the broker.
pub trait Topics: Send + Sync {
    /// Subscribes to a topic; its retained message is the first.
    fn messages<'a>(&'a self, topic: &'a str) -> Messages<'a>;
}

/// Running source of prices.
pub struct PriceFeed {
    name: String,
    cancel: Cancel,
    running: Running,
}

impl PriceFeed {
    /// Starts a task that reads lists as they come, now and then or when told, and never gives up. `file` keeps what was read.
    pub fn start(
        context: &Context,
        status: PriceFeedStatus,
        file: Option<PriceFile>,
        topics: Option<Arc<dyn Topics>>,
    ) -> Self {
        let cancel = context.cancel.clone();
        let ends = cancel.clone();
        let mut task = Task {
            context: context.clone(),
            status,
            file,
        };
        let running = context.task(context.name(), async move {
            tokio::select! {
                () = ends.cancelled() => {}
                () = task.run(topics) => {}
            }
            task.save(true);
        });
        PriceFeed {
            name: context.name().to_owned(),
            cancel,
            running,
        }
    }
}

impl Component for PriceFeed {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.cancel.cancel();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.stop();
        self.running.join(within)
    }
}

struct Task {
    context: Context,
    status: PriceFeedStatus,
    file: Option<PriceFile>,
}

impl Task {
    async fn run(&mut self, topics: Option<Arc<dyn Topics>>) {
        match (self.status.source().address.clone(), topics) {
            (PriceAddress::Mqtt(topic), Some(topics)) => self.follow(&topic, &*topics).await,
            // The configuration is refused without a broker.
            (PriceAddress::Mqtt(_), None) => self.failed("there is no broker"),
            (PriceAddress::Http(_), _) => self.poll(REQUEST_INTERVAL).await,
            (PriceAddress::File(_), _) => self.poll(FILE_INTERVAL).await,
        }
    }

    async fn poll(&mut self, interval: Duration) {
        let fetcher = Arc::new(Fetcher::new(self.status.source().clone()));
        let mut backoff = Backoff::new(LONGEST_PAUSE.min(interval));
        loop {
            let fetched = fetcher.clone();
            // Blocking, for ten seconds at most; left to itself when this task ends meanwhile.
            let list = tokio::task::spawn_blocking(move || fetched.fetch()).await;
            let list = list.unwrap_or_else(|error| Err(error.to_string()));
            let result = list.and_then(|list| self.take(&list));
            let pause = match result {
                Ok(()) => {
                    backoff.reset();
                    jittered(interval)
                }
                Err(error) => {
                    self.failed(&error);
                    backoff.next_pause()
                }
            };
            sleep(pause).await;
        }
    }

    async fn follow(&mut self, topic: &str, topics: &dyn Topics) {
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        loop {
            let begun = self.context.clock.now();
            match topics.messages(topic).await {
                Ok(mut messages) => {
                    while let Some(list) = messages.recv().await {
                        if let Err(error) = self.take(&list) {
                            self.failed(&error);
                        }
                    }
                    backoff.ended_after(self.context.clock.now().saturating_duration_since(begun));
                }
                Err(error) => self.failed(&format!("{error:#}")),
            }
            sleep(backoff.next_pause()).await;
        }
    }

    fn take(&mut self, list: &[u8]) -> Result<(), String> {
        let field = self.status.source().field.clone();
        let prices = price_list::parse(list, field.as_deref()).map_err(|error| error.to_string())?;
        let now = self.context.clock.timestamp();
        if self.status.learn(&prices, now) {
            let until = self.status.json(now).until;
            tracing::info!(
                source = %self.status.source().address,
                prices = prices.len(),
                until = until.map(|until| until.to_string()),
                "Prices read"
            );
            if let Some(file) = &mut self.file {
                file.has_changed();
            }
        }
        self.save(false);
        Ok(())
    }

    fn failed(&self, error: &str) {
        let source = &self.status.source().address;
        if self.status.fail(error) {
            tracing::warn!(%source, error, "Prices not read; those that are known stay in force");
        } else {
            tracing::debug!(%source, error, "Prices not read");
        }
    }

    /// Writes the file if it is due, or in any case at the end.
    fn save(&mut self, is_last: bool) {
        let now = self.context.clock.now();
        if let Some(file) = &mut self.file {
            file.save(&self.status.prices(), now, is_last);
        }
    }
}
