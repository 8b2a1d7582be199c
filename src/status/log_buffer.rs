//! The last events of the log, for people who look at the page.

use crate::status::revision;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Events kept.
const KEPT: usize = 300;
/// Bytes of one.
const LONGEST: usize = 1000;

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Number of the change that it is.
    #[serde(skip)]
    pub revision: u64,
    /// When.
    pub time: Timestamp,
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// As it stands in the log.
    pub text: String,
}

/// Listens to the log; copies hold the same.
#[derive(Clone, Debug, Default)]
pub struct LogBuffer(Arc<Mutex<VecDeque<Entry>>>);

impl LogBuffer {
    /// Events newer than number `since`, oldest first.
    pub fn since(&self, since: u64) -> Vec<Entry> {
        let is_new = |entry: &&Entry| entry.revision > since;
        self.entries().iter().filter(is_new).cloned().collect()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogBuffer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => return,
        };
        let mut words = Words::default();
        event.record(&mut words);
        let mut text = words.message + &words.fields;
        let end = (0..=LONGEST.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Entry {
            revision: revision::next(),
            time: Timestamp::now(),
            level,
            text,
        });
    }
}

/// The message, and ` name=value` of each field.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Text cannot fail to be written.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn given_a_busy_log_then_the_last_events_are_kept_each_told_once() {
        let journal = LogBuffer::default();
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..400 {
                tracing::warn!(number, name = "ä\n", "A meter has fallen silent.");
            }
            tracing::debug!("Not for people.");
            tracing::info!("{}", "ö".repeat(2000));
        });
        let entries = journal.since(0);
        assert_eq!(entries.len(), KEPT);
        let warned = &entries[KEPT - 2];
        assert_eq!(
            (warned.level, warned.text.as_str()),
            ("warn", "A meter has fallen silent. number=399 name=\"ä\\n\"")
        );
        assert_eq!(entries[KEPT - 1].text, "ö".repeat(LONGEST / 2));
        assert!(journal.since(entries[KEPT - 1].revision).is_empty());
    }
}
