//! Output by HTTP: posts the object of each reading as JSON or as a form, at once or at an interval for each meter.

use crate::meter::event::ReadingEvent;
use crate::output::queue::{Inbox, Queue};
use crate::output::{Format, Output, OutputConfig, Payload};
use crate::runtime::{Backoff, Clock, Component, Context, Limit};
use crate::secret::Secret;
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;
use url::form_urlencoded::Serializer;

/// Time for a server to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Attempts per post.
const TRIES: u8 = 5;
/// Redirects that one post follows.
const MAX_REDIRECTS: usize = 5;
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
            url: config.url.clone().context("url is missing")?,
            has_logged_redirect: AtomicBool::new(false),
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
        self.finish(&Limit::within(within))
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

    fn finish(self: Box<Self>, limit: &Limit) -> bool {
        self.queue.join(limit)
    }

    fn metrics(&self) -> &Arc<SinkMetrics> {
        &self.metrics
    }
}

/// Thread that posts.
struct Worker {
    agent: ureq::Agent,
    url: Url,
    has_logged_redirect: AtomicBool,
    format: Format,
    fields: Option<Vec<String>>,
    headers: BTreeMap<String, Secret>,
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
            match self.deliver(inbox, &object) {
                Ok(()) => {
                    inbox.metrics.set_trouble(None);
                    inbox.metrics.delivered();
                }
                Err(reason) => inbox.metrics.lost(reason, 1),
            }
        }
    }

    /// Posts an object, several times if need be.
    ///
    /// # Errors
    /// Returns the reason if it is given up.
    fn deliver(&self, inbox: &Inbox<String>, object: &str) -> Result<(), LossReason> {
        let body = body(object, self.format, self.fields.as_deref());
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        for attempt in 1..=self.tries {
            let Err(error) = inbox.attempt(|| self.post(&body)) else {
                return Ok(());
            };
            inbox.metrics.set_trouble(Some(error.reason));
            if !error.is_temporary {
                return Err(LossReason::Refused);
            }
            if attempt < self.tries && !inbox.pause(backoff.next_pause()) {
                return Err(LossReason::Stopped);
            }
        }
        Err(LossReason::GivenUp)
    }

    /// Posts, and follows redirects: a collector that has moved answers with one, and has stored nothing.
    fn post(&self, body: &str) -> Result<(), PostError> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let Some((code, location)) = self.post_to(&url, body)? else {
                return Ok(());
            };
            let target = location.and_then(|location| url.join(&location).ok());
            let Some(target) = target.filter(|_| code != 303) else {
                return Err(PostError::temporary(format!("the server answers {code}")));
            };
            self.check_redirect(&url, &target)
                .map_err(|problem| PostError::temporary(format!("the server answers {code}: {problem}")))?;
            if !self.has_logged_redirect.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    to = shown(&target),
                    code,
                    "The HTTP server has moved; posts follow it, but url should name its new address"
                );
            }
            url = target;
        }
        Err(PostError::temporary(format!(
            "the server redirects more than {MAX_REDIRECTS} times"
        )))
    }

    /// Posts once; returns the code and the location if the answer is a redirect.
    fn post_to(&self, url: &Url, body: &str) -> Result<Option<(u16, Option<String>)>, PostError> {
        let content_type = match self.format {
            Format::Json => "application/json",
            Format::Form => "application/x-www-form-urlencoded",
        };
        let mut request = self.agent.post(url.as_str()).header("content-type", content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value.reveal());
        }
        match request.send(body) {
            Ok(response) if response.status().is_redirection() => {
                let location = response.headers().get("location");
                let location = location.and_then(|location| location.to_str().ok());
                Ok(Some((response.status().as_u16(), location.map(str::to_owned))))
            }
            Ok(response) if response.status().is_success() => Ok(None),
            Ok(response) => Err(PostError::temporary(format!(
                "the server answers {}",
                response.status().as_u16()
            ))),
            Err(ureq::Error::StatusCode(code)) => Err(PostError {
                reason: format!("the server answers {code}"),
                is_temporary: code >= 500 || matches!(code, 408 | 425 | 429),
            }),
            Err(error) => Err(PostError::temporary(error.to_string())),
        }
    }

    /// Returns the reason why a redirect is not followed: the headers and the login of the URL are secrets of one server.
    fn check_redirect(&self, from: &Url, to: &Url) -> Result<(), String> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err(format!("a redirect to {}, which is not HTTP", shown(to)));
        }
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err(format!("a redirect to {}, which is not encrypted", shown(to)));
        }
        let is_same_server = from.host() == to.host()
            && (from.port_or_known_default() == to.port_or_known_default() || from.scheme() != to.scheme());
        let has_secrets = !self.headers.is_empty() || !self.url.username().is_empty();
        if has_secrets && !is_same_server {
            return Err(format!(
                "a redirect to {}, to which headers and login are not sent; set url to it if it is right",
                shown(to)
            ));
        }
        Ok(())
    }
}

impl PostError {
    fn temporary(reason: String) -> Self {
        PostError {
            reason,
            is_temporary: true,
        }
    }
}

/// Returns a URL without the parts that may hold secrets: login, query and fragment.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
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
    fn given_a_redirect_then_it_is_followed_only_where_no_secret_leaks() {
        let worker = |headers: &[(&str, &str)]| Worker {
            agent: ureq::Agent::new_with_defaults(),
            url: "http://a.lan/in".parse().unwrap(),
            has_logged_redirect: AtomicBool::new(false),
            format: Format::Json,
            fields: None,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into()))
                .collect(),
            tries: 1,
        };
        let is_followed = |worker: &Worker, from: &str, to: &str| {
            worker
                .check_redirect(&from.parse().unwrap(), &to.parse().unwrap())
                .is_ok()
        };
        let (plain, secret) = (worker(&[]), worker(&[("authorization", "Bearer x")]));
        for (from, to, without_secrets, with_secrets) in [
            ("http://a.lan/in", "http://a.lan/new", true, true),
            ("http://a.lan/in", "https://a.lan/in", true, true),
            ("http://a.lan/in", "https://a.lan:8443/in", true, true),
            ("http://a.lan/in", "http://b.lan/in", true, false),
            ("http://a.lan/in", "http://a.lan:81/in", true, false),
            ("https://a.lan/in", "http://a.lan/in", false, false),
            ("http://a.lan/in", "ftp://a.lan/in", false, false),
        ] {
            assert_eq!(is_followed(&plain, from, to), without_secrets, "{from} {to}");
            assert_eq!(is_followed(&secret, from, to), with_secrets, "{from} {to}");
        }
        let target: Url = "https://u:p@a.lan/x?token=1".parse().unwrap();
        assert_eq!(shown(&target), "https://a.lan/x");
    }

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
