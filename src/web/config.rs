//! The `[web]` section.

use crate::secret::{Secret, SecretSource};
use crate::web::credentials::Credentials;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Fewest characters of a token or password.
const MIN_SECRET: usize = 8;

/// The `[web]` section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port of the page. Default: `127.0.0.1:8080`, for this machine only; `0.0.0.0:8080` for all that can reach
    /// it.
    #[serde(default = "default_listen")]
    pub(super) listen: SocketAddr,
    /// Token that requests must carry: `Authorization: Bearer …`. At least 8 characters. Default: none.
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    /// User name for HTTP Basic authentication, for which browsers show a dialog; with `password`. Default: none.
    pub(super) user: Option<String>,
    /// Password of `user`. At least 8 characters.
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    /// Host names that are answered without a token or password, besides IP addresses and names of local networks, such as
    /// `pi` and `pi.local`. Default: none.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    /// Proxies that alone may connect; the host name in their `X-Forwarded-Host` is trusted. Default: none, everybody may
    /// connect.
    #[serde(default)]
    pub(super) proxies: Vec<IpAddr>,
    /// File in which the usage of each hour is kept across restarts. Default: none.
    pub(super) history: Option<PathBuf>,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

impl WebConfig {
    /// Address of the page for other machines; `None` if they cannot reach it. `host`: name of this machine.
    pub fn address(&self, host: &str) -> Option<String> {
        let (ip, port) = (self.listen.ip(), self.listen.port());
        match ip {
            _ if ip.is_loopback() => None,
            _ if ip.is_unspecified() => Some(format!("http://{host}.local:{port}")),
            IpAddr::V4(ip) => Some(format!("http://{ip}:{port}")),
            IpAddr::V6(ip) => Some(format!("http://[{ip}]:{port}")),
        }
    }

    /// Returns the first mistake of the section; the text names the key.
    pub fn problem(&self) -> Option<String> {
        let secrets = [("token", self.token()), ("password", self.password())];
        for (key, secret) in secrets {
            match secret {
                Err(problem) => return Some(problem),
                Ok(Some(secret)) if secret.reveal().len() < MIN_SECRET => {
                    return Some(format!("web.{key} must have at least {MIN_SECRET} characters"));
                }
                Ok(_) => {}
            }
        }
        let has_password = matches!(self.password(), Ok(Some(_)));
        match &self.user {
            Some(_) if !has_password => Some("user is there, but no password".into()),
            None if has_password => Some("password is there, but no user".into()),
            Some(user) if user.contains(':') => Some("user cannot have a colon".into()),
            _ => None,
        }
    }

    /// File in which the usage of each hour is kept.
    pub fn history(&self) -> Option<&Path> {
        self.history.as_deref()
    }

    /// Address and port of the page.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Returns true if the section holds a secret itself.
    pub fn holds_secret(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }

    /// Returns a value of the `Authorization` header that is accepted; nothing if none is required, or a secret cannot be read.
    pub fn authorization(&self) -> Option<String> {
        let token = self.token().ok().flatten();
        let password = self.password().ok().flatten();
        let user = self.user.as_deref().zip(password.as_ref());
        Credentials::new(token.as_ref(), user).into_accepted()
    }

    pub(super) fn token(&self) -> Result<Option<Secret>, String> {
        let source = SecretSource {
            key: "web.token",
            inline: self.token.as_ref(),
            file: self.token_file.as_deref(),
            env: self.token_env.as_deref(),
        };
        source.resolve()
    }

    pub(super) fn password(&self) -> Result<Option<Secret>, String> {
        let source = SecretSource {
            key: "web.password",
            inline: self.password.as_ref(),
            file: self.password_file.as_deref(),
            env: self.password_env.as_deref(),
        };
        source.resolve()
    }
}
