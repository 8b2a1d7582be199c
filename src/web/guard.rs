//! Access to the page: what a request must satisfy before it is answered, and what a browser may do with the answer.

use crate::runtime::Clock;
use crate::web::config::WebConfig;
use crate::web::credentials::{self, Credentials};
use crate::web::hosts::Hosts;
use crate::web::origin;
use crate::web::rate_limit::{RateLimit, too_many};
use anyhow::{Error, Result};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Delay before a request with wrong credentials is answered.
const WRONG_CREDENTIALS: Duration = Duration::from_secs(1);
/// Time to read the body of a request and to make its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests in a burst, and per second after that.
const REQUESTS: (f64, f64) = (300.0, 50.0);
/// Requests that change something, in a burst and per second.
const CHANGES: (f64, f64) = (10.0, 1.0 / 6.0);
/// Nothing from other hosts, nothing inline, not in a frame of another site. The icon is an empty one in the page itself.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// Checks of all requests.
pub struct Guard {
    credentials: Credentials,
    hosts: Hosts,
    requests: RateLimit,
    changes: RateLimit,
}

impl Guard {
    /// Creates the checks that a configuration asks for.
    ///
    /// # Errors
    /// Returns an error if a secret cannot be read from its file or variable.
    pub fn new(config: &WebConfig, clock: &Clock) -> Result<Self> {
        let token = config.token().map_err(Error::msg)?;
        let password = config.password().map_err(Error::msg)?;
        let user = config.user.as_deref().zip(password.as_ref());
        let guard = Guard {
            credentials: Credentials::new(token.as_ref(), user),
            hosts: Hosts::new(config.hosts.clone(), config.proxies.clone()),
            requests: RateLimit::new(REQUESTS.0, REQUESTS.1, clock.clone()),
            changes: RateLimit::new(CHANGES.0, CHANGES.1, clock.clone()),
        };
        let is_local = config.listen.ip().is_loopback();
        if !guard.credentials.are_required() && !guard.hosts.are_behind_proxy() && !is_local {
            tracing::warn!(
                listen = %config.listen,
                "The page is open to everybody who can reach this machine; set web.token, or web.user and web.password"
            );
        }
        Ok(guard)
    }

    /// Returns true if a request may read more than which parts work: it carries the credentials, or none are required, it is for
    /// a name of this machine, and its peer may connect. Takes its time with wrong credentials.
    pub async fn tells_reasons(&self, headers: &HeaderMap, is_peer_trusted: bool) -> bool {
        if !self.credentials.are_required() {
            return is_peer_trusted && self.hosts.accepts(headers);
        }
        let are_accepted = self.credentials.accepts(headers);
        if !are_accepted && credentials::shown(headers).is_some() {
            tokio::time::sleep(WRONG_CREDENTIALS).await;
        }
        are_accepted
    }

    /// Returns true if all requests come through a proxy.
    pub fn is_behind_proxy(&self) -> bool {
        self.hosts.are_behind_proxy()
    }

    /// Returns true if a peer may connect.
    pub fn allows_peer(&self, peer: IpAddr) -> bool {
        self.hosts.allows_peer(peer)
    }
}

/// Middleware that answers only requests with credentials, or for a name of this machine; changes and sockets only if they
/// do not come from another site.
pub async fn authorize(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if guard.credentials.are_required() {
        if !guard.credentials.accepts(headers) {
            if credentials::shown(headers).is_some() {
                tokio::time::sleep(WRONG_CREDENTIALS).await;
            }
            return guard.credentials.challenge();
        }
    } else if !guard.hosts.accepts(headers) {
        let hint = "unknown host name: add it to web.hosts, or set web.token\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    let is_change = request.method() != Method::GET && request.method() != Method::HEAD;
    // A socket could be read by the page of another site; answers to its other requests cannot.
    let needs_origin = is_change || headers.contains_key(header::UPGRADE);
    if needs_origin && !origin::is_own(headers, guard.hosts.requested(headers)) {
        return (StatusCode::FORBIDDEN, "request from another site\n").into_response();
    }
    if is_change && !guard.changes.allow() {
        return too_many();
    }
    next.run(request).await
}

/// Middleware that limits the time in which a request is read and answered.
pub async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    }
}

/// Middleware that limits the rate of all requests.
pub async fn limit_rate(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !guard.requests.allow() {
        return too_many();
    }
    next.run(request).await
}

/// Middleware that adds the headers by which a browser restricts the page.
pub async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
