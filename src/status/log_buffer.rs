//! Last events of the log, for the page.

use crate::status::revision::Revision;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Events kept; the oldest are dropped.
const MAX_EVENTS: usize = 300;
/// Limit of the text of one event, in bytes; the rest is cut off.
const MAX_TEXT: usize = 1000;

/// One event of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogEvent {
    /// Number of the change.
    #[serde(skip)]
    pub revision: u64,
    /// Time of the event.
    pub time: Timestamp,
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// Message and fields, as in the log.
    pub text: String,
}

/// Layer of the log that keeps its last events; clones share them.
#[derive(Clone, Debug, Default)]
pub struct LogBuffer {
    events: Arc<Mutex<VecDeque<LogEvent>>>,
    revision: Revision,
}

impl LogBuffer {
    /// Counter that numbers the events.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Returns the events after change number `since`, oldest first.
    pub fn since(&self, since: u64) -> Vec<LogEvent> {
        let is_new = |event: &&LogEvent| event.revision > since;
        self.events().iter().filter(is_new).cloned().collect()
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<LogEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut line = Line::default();
        event.record(&mut line);
        let mut text = line.message + &line.fields;
        let end = (0..=MAX_TEXT.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        let mut events = self.events();
        if events.len() == MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(LogEvent {
            revision: self.revision.next(),
            time: Timestamp::now(),
            level,
            text,
        });
    }
}

/// Message, and ` name=value` for each field.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
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
    fn given_a_busy_log_then_the_last_events_are_kept() {
        let log = LogBuffer::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..400 {
                tracing::warn!(number, name = "ä\n", "Meter expired");
            }
            tracing::debug!("Debug events are left out");
            tracing::info!("{}", "ö".repeat(2000));
        });
        let events = log.since(0);
        assert_eq!(events.len(), MAX_EVENTS);
        let warned = &events[MAX_EVENTS - 2];
        assert_eq!(
            (warned.level, warned.text.as_str()),
            ("warn", "Meter expired number=399 name=\"ä\\n\"")
        );
        assert_eq!(events[MAX_EVENTS - 1].text, "ö".repeat(MAX_TEXT / 2));
        assert!(log.since(events[MAX_EVENTS - 1].revision).is_empty());
    }
}
