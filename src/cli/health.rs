//! `metertap health`: is the daemon well? For whoever looks after a container, where there is no shell and no curl.

use crate::config::ConfigFile;
use anyhow::{Context, Result, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// It answers at once, or is not well.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigFile,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let config = args.file.read()?;
    let Some(web) = &config.web else {
        bail!(
            "{}: there is no [web], so nobody can be asked",
            args.file.config.display()
        );
    };
    let url = format!("http://{}/healthz", reachable(web.listen()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(&url).call().with_context(|| url.clone())?;
    let said = answer.body_mut().read_to_string().with_context(|| url.clone())?;
    println!("{}", said.trim_end());
    Ok(if answer.status().is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Who listens to all addresses is reached at this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
