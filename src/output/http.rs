//! HTTP posts: the object of a reading, as JSON or as a form, at once or every so often for each meter.

use crate::meter::event::ReadingEvent;
use crate::output::queue::{Inbox, Queue};
use crate::output::{Format, Output, OutputConfig, Payload};
use crate::status::sink::SinkMetrics;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::form_urlencoded::Serializer;

/// A server that does not answer for so long is not there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries; doubled every time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const TRIES: u8 = 5;
/// Meters whose last post is remembered.
const MAX_METERS: usize = 10_000;

/// Posts at work.
pub struct HttpOutput {
    payload: Payload,
    interval: Duration,
    posted: HashMap<(String, &'static str), Instant>,
    queue: Queue<String>,
}

/// Starts a thread.
pub(crate) fn start(settings: &OutputConfig, counts: Arc<SinkMetrics>) -> Result<HttpOutput> {
    let postman = Worker {
        agent: ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .user_agent(concat!("metertap/", env!("CARGO_PKG_VERSION")))
            .build()
            .into(),
        url: settings.url.as_ref().context("url is missing")?.to_string(),
        format: settings.format.unwrap_or_default(),
        fields: settings.fields.clone(),
        headers: settings.headers.clone(),
        tries: settings.tries.unwrap_or(TRIES),
    };
    let queue = Queue::start(counts, move |inbox| postman.run(&inbox)).context("cannot start a thread")?;
    Ok(HttpOutput {
        payload: settings.payload,
        interval: Duration::from_secs(settings.interval.unwrap_or_default().into()),
        posted: HashMap::new(),
        queue,
    })
}

impl Output for HttpOutput {
    fn tell(&mut self, told: &Arc<ReadingEvent>) {
        let Some(object) = self.payload.of(told) else {
            return;
        };
        let (key, now) = ((told.id.clone(), told.kind), Instant::now());
        let is_due = |posted: &Instant| now.duration_since(*posted) >= self.interval;
        if !self.posted.get(&key).is_none_or(is_due) {
            return;
        }
        if self.posted.len() < MAX_METERS || self.posted.contains_key(&key) {
            self.posted.insert(key, now);
        }
        self.queue.put(object.into_owned());
    }

    fn finish(self: Box<Self>, patience: Duration) {
        self.queue.finish(patience);
    }
}

/// Carries posts.
struct Worker {
    agent: ureq::Agent,
    url: String,
    format: Format,
    fields: Option<Vec<String>>,
    headers: BTreeMap<String, String>,
    tries: u8,
}

impl Worker {
    fn run(&self, inbox: &Inbox<String>) {
        loop {
            match inbox.next(Duration::from_secs(1)) {
                Ok(object) => self.deliver(inbox, &object),
                Err(true) => return,
                Err(false) => {}
            }
        }
    }

    fn deliver(&self, inbox: &Inbox<String>, object: &str) {
        let body = body(object, self.format, self.fields.as_deref());
        let mut pause = PAUSE;
        for i in 1..=self.tries {
            match self.post(&body) {
                Ok(()) => {
                    inbox.counts.trouble(None);
                    inbox.counts.delivered();
                    return;
                }
                Err((reason, may_help)) => {
                    inbox.counts.trouble(Some(reason));
                    if !may_help {
                        break;
                    }
                }
            }
            if i < self.tries {
                std::thread::sleep(pause);
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
        inbox.counts.lost(1);
    }

    /// Why not, and whether trying again may help.
    fn post(&self, body: &str) -> Result<(), (String, bool)> {
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
            Err(ureq::Error::StatusCode(code)) => {
                let may_help = code >= 500 || matches!(code, 408 | 425 | 429);
                Err((format!("it answers {code}"), may_help))
            }
            Err(error) => Err((error.to_string(), true)),
        }
    }
}

/// The object, or a form of its fields.
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

/// `{"gas": {"ts": …}}` as `gas_ts`.
fn flatten(prefix: &str, object: &Map<String, Value>, to: &mut Vec<(String, Value)>) {
    for (key, value) in object {
        let name = format!("{prefix}{key}");
        match value {
            Value::Object(inner) => flatten(&format!("{name}_"), inner, to),
            value => to.push((name, value.clone())),
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
