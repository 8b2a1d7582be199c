//! Publisher's side of a broker: an inbox, and the connection that empties it.

use crate::publish::message::Message;
use crate::publish::mqtt::broker::BrokerConfig;
use crate::publish::mqtt::connection::Connection;
use crate::publish::mqtt::inbox::{Inbox, InboxSender, Others, ReadingSender, SpoolSender};
use crate::publish::mqtt::options::MqttOptions;
use crate::publish::mqtt::outcome::{HURRIED, Outcome};
use crate::publish::mqtt::spool_thread;
use crate::runtime::{Cancel, Context, Running};
use anyhow::Result;
use crossbeam_channel::{Receiver, bounded};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Capacity of the inbox without a spool: readings wait there while the broker is away, a thousand of about 1 kB.
const INBOX: usize = 1024;
/// Capacity of the inbox in front of the spool's thread: readings of a busy street while a slow disk takes its time.
const SPOOL_INBOX: usize = 16_384;
/// Time for the last write of the spool, on a slow SD card.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Connection to a broker: a task on the I/O runtime, and the thread of the spool if there is one. Dropping it gives up
/// what is not delivered, or leaves it in the spool.
pub struct Mqtt {
    inbox: InboxSender,
    /// Ends the connection once everything is delivered.
    stop: Cancel,
    /// Ends it at once.
    give_up: Cancel,
    task: Running,
    spool: Option<Running>,
    outcome: Receiver<Outcome>,
}

impl Mqtt {
    /// Starts to connect, and tries until there is a connection. Cancellation of `context` alone does not end it, but
    /// limits the time after [`Mqtt::stop`] to [`HURRIED`].
    ///
    /// # Errors
    /// Returns an error if the spool cannot be opened, or its thread cannot be started.
    pub fn start(context: &Context, settings: BrokerConfig, options: MqttOptions) -> Result<Self> {
        let (readings, inbox, spool) = match &settings.spool {
            None => {
                let (sender, receiver) = mpsc::channel(INBOX);
                (ReadingSender::Memory(sender), Inbox::Memory(receiver), None)
            }
            Some(settings) => {
                let (sender, receiver) = bounded(SPOOL_INBOX);
                let (handle, journal, running) =
                    spool_thread::start(context, settings, options.metrics.clone(), receiver)?;
                let sender = SpoolSender::new(journal, settings.journal.clone(), sender);
                (ReadingSender::Spool(sender), Inbox::Spool(handle), Some(running))
            }
        };
        let others = Arc::<Others>::default();
        let (stop, give_up) = (Cancel::default(), Cancel::default());
        let (report, outcome) = bounded(1);
        let task = options.task.clone();
        let connection = Connection::new(
            context.clock.clone(),
            settings,
            inbox,
            others.clone(),
            options,
            stop.clone(),
            give_up.clone(),
        );
        let deadline = hurry(context.cancel.clone(), stop.clone(), give_up.clone());
        let task = context.task(&task, async move {
            tokio::select! {
                outcome = connection.run() => {
                    let _ = report.send(outcome);
                }
                () = deadline => {}
            }
        });
        Ok(Mqtt {
            inbox: InboxSender {
                readings,
                others,
                next: AtomicU64::new(1),
            },
            stop,
            give_up,
            task,
            spool,
            outcome,
        })
    }

    /// Publishes; waits while the inbox is full. Returns false if the connection has ended. Not to be called on the I/O
    /// runtime.
    pub fn publish(&self, message: Message) -> bool {
        self.inbox.send(message)
    }

    /// Publishes without waiting. Returns false if the inbox is full or the connection has ended.
    pub fn try_publish(&self, message: Message) -> bool {
        self.inbox.try_send(message)
    }

    /// Asks the connection to end when everything published so far is delivered; returns at once.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops the connection and waits for its end, for `within` at most. After that it is given up: what is not delivered
    /// stays in the spool or is lost. Returns `None` if it hangs even then, or has panicked.
    pub fn join(self, within: Duration) -> Option<Outcome> {
        self.stop();
        if !self.task.join(within) {
            self.give_up.cancel();
        }
        let deadline = Instant::now() + LAST_WRITE;
        let parts = std::iter::once(&self.task).chain(&self.spool);
        let mut has_ended = true;
        for part in parts {
            has_ended &= part.join(deadline.saturating_duration_since(Instant::now()));
        }
        self.outcome.try_recv().ok().filter(|_| has_ended)
    }
}

impl Drop for Mqtt {
    fn drop(&mut self) {
        self.stop.cancel();
        self.give_up.cancel();
    }
}

/// Gives up [`HURRIED`] after the connection was asked to stop and the process was interrupted. Never completes: the
/// connection has to see it and save its queue.
async fn hurry(interrupted: Cancel, stop: Cancel, give_up: Cancel) {
    stop.cancelled().await;
    interrupted.cancelled().await;
    tokio::time::sleep(HURRIED).await;
    give_up.cancel();
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::message::BirthAndWill;
    use crate::publish::mqtt::broker::{Login, SpoolConfig, Version};
    use crate::publish::mqtt::tls::TlsConfig;
    use crate::runtime::{Clock, Runtime};
    use crate::status::sink::SinkMetrics;
    use std::path::Path;

    /// Starts a connection to a port where nobody listens.
    fn without_a_broker(context: &Context, spool: Option<&Path>) -> Mqtt {
        let spool = spool.map(|path| SpoolConfig {
            path: path.to_owned(),
            journal: path.with_extension("journal"),
            sync: Duration::from_secs(5),
            limit_bytes: 1 << 20,
            is_latest_only: false,
        });
        let settings = BrokerConfig {
            hosts: vec!["127.0.0.1:1".parse().unwrap()],
            port: None,
            login: Login::default(),
            client_id: None,
            version: Version::default(),
            tls: TlsConfig::default(),
            spool,
        };
        let options = MqttOptions {
            task: "mqtt".into(),
            birth_and_will: BirthAndWill::default(),
            subscriber: None,
            marks_resent: true,
            metrics: Arc::new(SinkMetrics::new("mqtt".into())),
        };
        Mqtt::start(context, settings, options).unwrap()
    }

    fn publish(mqtt: &Mqtt, count: usize) {
        for i in 0..count {
            assert!(mqtt.publish(Message::reading(i.to_string(), "{}", false)));
        }
    }

    fn outcome(undelivered: u64, kept: u64) -> Option<Outcome> {
        Some(Outcome {
            delivered: 0,
            undelivered,
            kept,
        })
    }

    #[test]
    fn given_no_broker_and_no_spool_when_time_is_up_then_readings_are_lost() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let mqtt = without_a_broker(&runtime.context, None);
        publish(&mqtt, 3);
        assert_eq!(mqtt.join(Duration::ZERO), outcome(3, 0));
    }

    #[test]
    fn given_no_broker_and_a_spool_when_time_is_up_then_readings_are_kept_and_the_file_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.redb");
        let runtime = Runtime::start(Clock::system()).unwrap();
        for kept in [300, 600] {
            let mqtt = without_a_broker(&runtime.context, Some(&path));
            publish(&mqtt, 300);
            assert_eq!(mqtt.join(Duration::ZERO), outcome(0, kept));
        }
    }

    #[test]
    fn given_an_interrupted_process_then_no_broker_is_waited_for_longer_than_hurried() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let mqtt = without_a_broker(&runtime.context.component("mqtt"), None);
        publish(&mqtt, 1);
        runtime.context.cancel.cancel();
        // Without the limit this would wait for an hour.
        assert_eq!(mqtt.join(Duration::from_secs(3600)), outcome(1, 0));
    }

    #[test]
    fn given_a_publisher_that_is_stopped_and_gone_then_nothing_is_accepted_any_more() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let mqtt = without_a_broker(&runtime.context, None);
        mqtt.give_up.cancel();
        assert!(mqtt.task.join(Duration::from_secs(20)));
        assert!(!mqtt.publish(Message::reading("t", "{}", false)));
    }
}
