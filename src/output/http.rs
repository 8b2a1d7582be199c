//! Output by HTTP: posts the object of each reading as JSON or as a form, at once or at an interval for each meter.

use crate::meter::event::ReadingEvent;
use crate::output::queue::{Inbox, Queue};
use crate::output::{Format, Output, OutputConfig, Payload};
use crate::runtime::{Backoff, Clock, Component, Context};
use crate::status::sink::SinkMetrics;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::form_urlencoded::Serializer;

/// Time for a server to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Attempts per post.
const TRIES: u8 = 5;
/// Limit of meters whose last post is remembered; posts of further ones are not throttled.
const MAX_METERS: usize = 10_000;

/// Running output by HTTP.
pub(super) struct HttpOutput {
    name: String,
    payload: Payload,
    interval: Duration,
    /// Time of the last post by meter and type.
    posted: HashMap<(String, &'static str), Instant>,
    clock: Clock,
    metrics: Arc<SinkMetrics>,
    queue: Queue<String>,
}

impl HttpOutput {
    /// Starts a thread; the server is first contacted with the first reading.
    ///
    /// # Errors
    /// Returns an error if the URL is missing or the thread cannot be created.
    pub fn start(config: &OutputConfig, metrics: Arc<SinkMetrics>, context: &Context) -> Result<Self> {
        let worker = Worker {
            agent: ureq::Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .max_redirects(0)
                .user_agent(concat!("metertap/", env!("CARGO_PKG_VERSION")))
                .build()
                .into(),
            url: config.url.as_ref().context("url is missing")?.to_string(),
            format: config.format.unwrap_or_default(),
            fields: config.fields.clone(),
            headers: config.headers.clone(),
            tries: config.tries.unwrap_or(TRIES),
        };
        let queue = Queue::start(context, metrics.clone(), move |inbox| worker.run(&inbox))
            .context("cannot start a thread")?;
        Ok(HttpOutput {
            name: context.name().to_owned(),
            payload: config.payload,
            interval: Duration::from_secs(config.interval.unwrap_or_default().into()),
            posted: HashMap::new(),
            clock: context.clock.clone(),
            metrics,
            queue,
        })
    }
}

impl Component for HttpOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.queue.close();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.queue.join(within)
    }
}

impl Output for HttpOutput {
    fn publish(&mut self, event: &Arc<ReadingEvent>) {
        let Some(object) = self.payload.line(event) else {
            return;
        };
        let (key, now) = ((event.id.clone(), event.kind), self.clock.now());
        let is_due = |posted: &Instant| now.duration_since(*posted) >= self.interval;
        if !self.posted.get(&key).is_none_or(is_due) {
            return;
        }
        if self.posted.len() < MAX_METERS || self.posted.contains_key(&key) {
            self.posted.insert(key, now);
        }
        self.queue.put(object.into_owned());
    }

    fn metrics(&self) -> &Arc<SinkMetrics> {
        &self.metrics
    }
}

/// Thread that posts.
struct Worker {
    agent: ureq::Agent,
    url: String,
    format: Format,
    fields: Option<Vec<String>>,
    headers: BTreeMap<String, String>,
    tries: u8,
}

/// Reason why a post has failed.
struct PostError {
    reason: String,
    /// Another attempt may succeed; the server did not refuse the post for what it is.
    is_temporary: bool,
}

impl Worker {
    fn run(&self, inbox: &Inbox<String>) {
        while let Some(object) = inbox.next() {
            if self.deliver(inbox, &object) {
                inbox.metrics.set_trouble(None);
                inbox.metrics.delivered();
            } else {
                inbox.metrics.lost(1);
            }
        }
    }

    /// Posts an object, several times if need be; returns false if it is given up.
    fn deliver(&self, inbox: &Inbox<String>, object: &str) -> bool {
        let body = body(object, self.format, self.fields.as_deref());
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        for attempt in 1..=self.tries {
            let Err(error) = self.post(&body) else {
                return true;
            };
            inbox.metrics.set_trouble(Some(error.reason));
            if !error.is_temporary || attempt == self.tries || !inbox.pause(backoff.next_pause()) {
                break;
            }
        }
        false
    }

    fn post(&self, body: &str) -> Result<(), PostError> {
        let content_type = match self.format {
            Format::Json => "application/json",
            Format::Form => "application/x-www-form-urlencoded",
        };
        let mut request = self.agent.post(&self.url).header("content-type", content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(_) => Ok(()),
            Err(ureq::Error::StatusCode(code)) => Err(PostError {
                reason: format!("the server answers {code}"),
                is_temporary: code >= 500 || matches!(code, 408 | 425 | 429),
            }),
            Err(error) => Err(PostError {
                reason: error.to_string(),
                is_temporary: true,
            }),
        }
    }
}

/// Returns the object, or a form of its fields.
fn body(object: &str, format: Format, fields: Option<&[String]>) -> String {
    if format == Format::Json && fields.is_none() {
        return object.into();
    }
    let Ok(Value::Object(object)) = serde_json::from_str(object) else {
        return String::new();
    };
    let mut flat = Vec::new();
    flatten("", &object, &mut flat);
    let is_wanted = |name: &str| fields.is_none_or(|fields| fields.iter().any(|field| field == name));
    let wanted = flat.into_iter().filter(|(name, _)| is_wanted(name));
    match format {
        Format::Json => Value::Object(wanted.collect()).to_string(),
        Format::Form => {
            let mut form = Serializer::new(String::new());
            for (name, value) in wanted {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                form.append_pair(&name, &text);
            }
            form.finish()
        }
    }
}

/// Flattens nested objects: `{"gas": {"ts": …}}` becomes `gas_ts`.
fn flatten(prefix: &str, object: &Map<String, Value>, flat: &mut Vec<(String, Value)>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}_"), inner, flat),
            value => flat.push((name, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_forms_and_wanted_fields() {
        const OBJECT: &str = r#"{"id":"a b","gas":{"ts":"2019","totalUse":1.5},"n":0}"#;
        assert_eq!(body(OBJECT, Format::Json, None), OBJECT);
        assert_eq!(
            body(OBJECT, Format::Form, None),
            "id=a+b&gas_ts=2019&gas_totalUse=1.5&n=0"
        );
        let fields = ["gas_totalUse".to_owned(), "n".into()];
        assert_eq!(body(OBJECT, Format::Form, Some(&fields)), "gas_totalUse=1.5&n=0");
        assert_eq!(
            body(OBJECT, Format::Json, Some(&fields)),
            r#"{"gas_totalUse":1.5,"n":0}"#
        );
    }
}
