//! `metertap health`: requests the state of the running daemon, for container health checks without a shell or curl.

use crate::config::ConfigFile;
use anyhow::{Context, Result, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// Timeout of the request; the daemon responds at once, or is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let config = args.file.read()?;
    let Some(web) = &config.web else {
        bail!(
            "{}: there is no [web] section, which health checks need",
            args.file.config.display()
        );
    };
    let url = format!("http://{}/healthz", reachable(web.listen()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into();
    let mut response = agent.get(&url).call().with_context(|| url.clone())?;
    let state = response
        .body_mut()
        .read_to_string()
        .with_context(|| url.clone())?;
    println!("{}", state.trim_end());
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
