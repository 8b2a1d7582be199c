//! Who may look, how often, and what a browser may do with what it gets.

use crate::secret::Secret;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing from elsewhere, nothing inline, in no frame of another site. The icon is an empty one, in the page itself.
const POLICY: &str =
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";
/// What a socket says that it speaks; beside it a browser has no other place for a token.
pub const SOCKET_PROTOCOL: &str = "metertap";
/// Before the token in that place.
const SOCKET_TOKEN: &str = "bearer.";
/// How long one is kept waiting who has shown a wrong token.
const WRONG: Duration = Duration::from_secs(1);
/// Requests at once, and each second after that.
const REQUESTS: (f64, f64) = (300.0, 50.0);
/// The same of those that change something.
const CHANGES: (f64, f64) = (10.0, 1.0 / 6.0);
/// Ends of names that only a home's own network knows.
const HOME: [&str; 6] = [".local", ".lan", ".home", ".home.arpa", ".internal", ".localhost"];

/// Knows who may.
pub struct Guard {
    /// What may be shown, as it stands behind `Authorization: `.
    passes: Vec<String>,
    /// How a browser is to ask.
    challenge: HeaderValue,
    hosts: Vec<String>,
    /// Who alone may connect, and tells for whom he asks; nobody: everybody.
    proxies: Vec<IpAddr>,
    requests: Mutex<Bucket>,
    changes: Mutex<Bucket>,
}

impl Guard {
    /// Lets pass who shows the `token`, or knows user and password; everybody, where there is neither.
    pub fn new(
        token: Option<Secret>,
        user: Option<(String, Secret)>,
        hosts: Vec<String>,
        proxies: Vec<IpAddr>,
    ) -> Self {
        let bearer = token.map(|token| format!("Bearer {}", token.reveal()));
        let basic = user.map(|(user, password)| {
            let shown = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            format!("Basic {shown}")
        });
        let challenge = match basic {
            Some(_) => "Basic realm=\"metertap\", charset=\"UTF-8\"",
            None => "Bearer",
        };
        Guard {
            passes: bearer.into_iter().chain(basic).collect(),
            challenge: HeaderValue::from_static(challenge),
            hosts,
            proxies,
            requests: Mutex::new(Bucket::new(REQUESTS)),
            changes: Mutex::new(Bucket::new(CHANGES)),
        }
    }

    /// Whether anything has to be shown.
    pub fn asks(&self) -> bool {
        !self.passes.is_empty()
    }

    /// Whether somebody may connect from there.
    pub fn lets_in(&self, from: IpAddr) -> bool {
        self.proxies.is_empty() || self.proxies.contains(&from.to_canonical())
    }

    /// The name by which it was asked for.
    fn host<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let forwarded = HeaderName::from_static("x-forwarded-host");
        let forwarded = text(headers, forwarded).filter(|_| !self.proxies.is_empty());
        forwarded.or_else(|| text(headers, header::HOST))
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let said = text(headers, header::AUTHORIZATION).map(str::to_owned);
        let shown = said.or_else(|| token_of_socket(headers));
        shown.is_some_and(|shown| self.passes.iter().any(|pass| is_same(&shown, pass)))
    }

    /// Whether it was asked for by a name of ours: a page from elsewhere can make its own name point here.
    fn is_our_name(&self, headers: &HeaderMap) -> bool {
        if !self.proxies.is_empty() {
            return true;
        }
        let Some(host) = self.host(headers) else {
            return false;
        };
        let name = name_of(host).to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok()
            || !name.contains('.')
            || HOME.iter().any(|end| name.ends_with(end))
            || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(&name))
    }
}

/// Lets pass who may look; from other sites nobody may change anything, nor listen.
pub async fn pass(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if guard.asks() && !guard.is_known(headers) {
        let shown = headers.contains_key(header::AUTHORIZATION) || token_of_socket(headers).is_some();
        if shown {
            tokio::time::sleep(WRONG).await;
        }
        let challenge = [(header::WWW_AUTHENTICATE, guard.challenge.clone())];
        return (StatusCode::UNAUTHORIZED, challenge, "a token is needed\n").into_response();
    }
    if !guard.asks() && !guard.is_our_name(headers) {
        let hint = "asked for by a name that is not known: add it to web.hosts, or set web.token\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    }
    let changes = request.method() != Method::GET && request.method() != Method::HEAD;
    if (changes || headers.contains_key(header::UPGRADE)) && !is_own_site(headers, guard.host(headers)) {
        return (StatusCode::FORBIDDEN, "asked for by another site\n").into_response();
    }
    if changes && !take(&guard.changes) {
        return too_many();
    }
    next.run(request).await
}

/// Keeps those out who ask too often.
pub async fn pace(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !take(&guard.requests) {
        return too_many();
    }
    next.run(request).await
}

fn too_many() -> Response {
    let soon = [(header::RETRY_AFTER, "6")];
    (StatusCode::TOO_MANY_REQUESTS, soon, "too many requests\n").into_response()
}

/// A browser tells from which site a request comes; who is no browser does not.
fn is_own_site(headers: &HeaderMap, host: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let site = origin.to_str().ok().and_then(|origin| {
        origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
    });
    site.is_some() && site == host
}

/// `Bearer …`, of `Sec-WebSocket-Protocol: metertap, bearer.<base64url>`.
fn token_of_socket(headers: &HeaderMap) -> Option<String> {
    let words = text(headers, header::SEC_WEBSOCKET_PROTOCOL)?.split(',');
    let token = words
        .filter_map(|word| word.trim().strip_prefix(SOCKET_TOKEN))
        .next()?;
    let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    Some(format!("Bearer {}", String::from_utf8(token).ok()?))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Without the port, and an address without its brackets.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

/// In a time that does not tell where they differ.
fn is_same(shown: &str, pass: &str) -> bool {
    let differing = shown
        .bytes()
        .zip(pass.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    shown.len() == pass.len() && differing == 0
}

/// What every answer says to a browser.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Fills at a steady rate; each request takes one out.
struct Bucket {
    holds: f64,
    per_second: f64,
    left: f64,
    filled: Instant,
}

impl Bucket {
    fn new((holds, per_second): (f64, f64)) -> Self {
        Bucket {
            holds,
            per_second,
            left: holds,
            filled: Instant::now(),
        }
    }
}

fn take(bucket: &Mutex<Bucket>) -> bool {
    let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let new = (now - bucket.filled).as_secs_f64() * bucket.per_second;
    bucket.left = (bucket.left + new).min(bucket.holds);
    bucket.filled = now;
    let is_left = bucket.left >= 1.0;
    if is_left {
        bucket.left -= 1.0;
    }
    is_left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        let value = |(name, value): &(HeaderName, &str)| (name.clone(), value.parse().unwrap());
        of.iter().map(value).collect()
    }

    #[test]
    fn given_no_token_then_only_names_of_a_home_are_answered() {
        let guard = Guard::new(None, None, vec!["meters.example.org".into()], Vec::new());
        for (host, is_ours) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("192.168.1.7", true),
            ("pi:8080", true),
            ("pi.local", true),
            ("pi.LAN:8080", true),
            ("Meters.example.org", true),
            ("evil.example.com:8080", false),
            ("", true),
        ] {
            assert_eq!(
                guard.is_our_name(&headers(&[(header::HOST, host)])),
                is_ours,
                "{host}"
            );
        }
    }

    #[test]
    fn given_a_proxy_then_nobody_else_is_let_in_and_it_tells_for_whom_it_asks() {
        let proxy: IpAddr = "172.30.32.2".parse().unwrap();
        let guard = Guard::new(None, None, Vec::new(), vec![proxy]);
        assert!(guard.lets_in("::ffff:172.30.32.2".parse().unwrap()));
        assert!(!guard.lets_in("192.168.1.7".parse().unwrap()));
        let asked = headers(&[
            (header::HOST, "local-metertap:8099"),
            (HeaderName::from_static("x-forwarded-host"), "home.example.org"),
            (header::ORIGIN, "https://home.example.org"),
        ]);
        assert!(guard.is_our_name(&asked) && is_own_site(&asked, guard.host(&asked)));
        let open = Guard::new(None, None, Vec::new(), Vec::new());
        assert!(
            !is_own_site(&asked, open.host(&asked)),
            "who is no proxy is not believed"
        );
    }

    #[test]
    fn given_another_site_then_it_may_not_change_anything() {
        for (origin, is_own) in [
            ("http://pi:8080", true),
            ("https://pi:8080", true),
            ("http://pi", false),
            ("http://evil.example.com", false),
            ("null", false),
        ] {
            let headers = headers(&[(header::HOST, "pi:8080"), (header::ORIGIN, origin)]);
            assert_eq!(is_own_site(&headers, Some("pi:8080")), is_own, "{origin}");
        }
        assert!(is_own_site(
            &headers(&[(header::HOST, "pi:8080")]),
            Some("pi:8080")
        ));
    }

    #[test]
    fn given_a_token_and_a_password_then_either_will_do_wherever_it_stands() {
        let user = ("me".to_owned(), Secret::from("battery staple".to_owned()));
        let guard = Guard::new(
            Some("correct horse".to_owned().into()),
            Some(user),
            Vec::new(),
            Vec::new(),
        );
        for (name, value, is_known) in [
            (header::AUTHORIZATION, "Bearer correct horse", true),
            (header::AUTHORIZATION, "Bearer correct hors", false),
            (header::AUTHORIZATION, "Basic bWU6YmF0dGVyeSBzdGFwbGU=", true),
            (header::AUTHORIZATION, "Basic bWU6YmF0dGVyeQ==", false),
            (
                header::SEC_WEBSOCKET_PROTOCOL,
                "metertap, bearer.Y29ycmVjdCBob3JzZQ",
                true,
            ),
            (header::SEC_WEBSOCKET_PROTOCOL, "metertap, bearer.%", false),
            (header::HOST, "pi", false),
        ] {
            assert_eq!(guard.is_known(&headers(&[(name, value)])), is_known, "{value}");
        }
    }

    #[test]
    fn given_too_many_requests_then_some_are_refused_until_later() {
        let bucket = Mutex::new(Bucket::new((3.0, 0.001)));
        let taken: Vec<bool> = (0..5).map(|_| take(&bucket)).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        bucket.lock().unwrap().filled -= Duration::from_secs(2000);
        assert!(take(&bucket));
    }
}
