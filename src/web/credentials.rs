//! Authentication: a bearer token, or user and password.

use crate::secret::Secret;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

/// Subprotocol of the WebSocket. A browser cannot set headers there, so the token is sent as a second subprotocol.
pub const SOCKET_PROTOCOL: &str = "metertap";
/// Prefix of that second subprotocol: `bearer.<base64url>`.
const SOCKET_TOKEN: &str = "bearer.";

/// Credentials that requests must carry.
pub struct Credentials {
    /// Accepted values of the `Authorization` header; without any, everybody is let in.
    accepted: Vec<String>,
    challenge: HeaderValue,
}

impl Credentials {
    /// Accepts the token as well as user and password.
    pub fn new(token: Option<&Secret>, user: Option<(&str, &Secret)>) -> Self {
        let bearer = token.map(|token| format!("Bearer {}", token.reveal()));
        let basic = user.map(|(user, password)| {
            let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            format!("Basic {encoded}")
        });
        let challenge = match basic {
            Some(_) => "Basic realm=\"metertap\", charset=\"UTF-8\"",
            None => "Bearer",
        };
        Credentials {
            accepted: bearer.into_iter().chain(basic).collect(),
            challenge: HeaderValue::from_static(challenge),
        }
    }

    /// Returns true if requests must carry credentials.
    pub fn are_required(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Returns one of the values of the `Authorization` header that are accepted.
    pub fn into_accepted(self) -> Option<String> {
        self.accepted.into_iter().next()
    }

    /// Returns true if a request carries credentials that are accepted. Takes the same time wherever they differ.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = shown(headers) else {
            return false;
        };
        let is_same = |accepted: &String| bool::from(accepted.as_bytes().ct_eq(shown.as_bytes()));
        self.accepted.iter().any(is_same)
    }

    /// Answer to a request without accepted credentials.
    pub fn challenge(&self) -> Response {
        let challenge = [(header::WWW_AUTHENTICATE, self.challenge.clone())];
        (StatusCode::UNAUTHORIZED, challenge, "authentication required\n").into_response()
    }
}

/// Credentials of a request, right or wrong, as a value of the `Authorization` header.
pub fn shown(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get(header::AUTHORIZATION);
    let shown = authorization.and_then(|value| value.to_str().ok());
    shown.map(str::to_owned).or_else(|| socket_token(headers))
}

/// Token in `Sec-WebSocket-Protocol: metertap, bearer.<base64url>`.
fn socket_token(headers: &HeaderMap) -> Option<String> {
    let protocols = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let token = protocols
        .split(',')
        .find_map(|protocol| protocol.trim().strip_prefix(SOCKET_TOKEN))?;
    let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    Some(format!("Bearer {}", String::from_utf8(token).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_token_and_a_password_then_either_is_accepted_in_either_header() {
        let (token, password): (Secret, Secret) = (
            "correct horse".to_owned().into(),
            "battery staple".to_owned().into(),
        );
        let credentials = Credentials::new(Some(&token), Some(("me", &password)));
        for (name, value, is_accepted) in [
            (header::AUTHORIZATION, "Bearer correct horse", true),
            (header::AUTHORIZATION, "Bearer correct hors", false),
            (header::AUTHORIZATION, "Bearer correct horsf", false),
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
            let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
            assert_eq!(credentials.accepts(&headers), is_accepted, "{value}");
        }
    }
}
