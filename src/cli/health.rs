//! `metertap health`: asks the running daemon how it is, for container health checks without a shell or curl.

use crate::config::ConfigFile;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use ureq::http::header::AUTHORIZATION;

/// Timeout of the request; the daemon responds at once, or is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask whether everything works, and print what does not: receivers, ports, MQTT and outputs. Without it, only metertap itself
    /// is asked after: what a restart cannot mend is no reason for one
    #[arg(long)]
    ready: bool,
}

/// Answer of the daemon.
#[derive(Deserialize)]
struct Health {
    status: String,
    wrong: Vec<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let config = args.file.read()?;
    let Some(web) = &config.web else {
        bail!(
            "{}: there is no [web] section, which health checks need",
            args.file.config.display()
        );
    };
    let path = if args.ready { "readyz" } else { "livez" };
    let url = format!("http://{}/{path}", reachable(web.listen()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut request = agent.get(&url);
    if let Some(authorization) = web.authorization().filter(|_| args.ready) {
        request = request.header(AUTHORIZATION, authorization);
    }
    let mut response = request.call().with_context(|| url.clone())?;
    let answer = response
        .body_mut()
        .read_to_string()
        .with_context(|| url.clone())?;
    let Ok(health) = serde_json::from_str::<Health>(&answer) else {
        bail!(
            "{url}: expected the health of metertap, found {:?}",
            answer.trim_end()
        );
    };
    println!("{}", health.status);
    health.wrong.iter().for_each(|reason| println!("{reason}"));
    Ok(if response.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Address of a server on this machine: loopback, if it listens on all addresses.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
