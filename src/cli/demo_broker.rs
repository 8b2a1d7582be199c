//! A broker inside the process, for the demo: rumqttd on loopback.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Starts it and waits until it listens.
///
/// # Errors
/// Where the port is taken.
pub fn start(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // rumqttd would only log this.
    drop(TcpListener::bind(address).with_context(|| format!("port {port} (use --port)"))?);
    let config = config(address)?;
    std::thread::Builder::new()
        .name("broker".into())
        .spawn(move || {
            if let Err(error) = rumqttd::Broker::new(config).start() {
                tracing::error!(%error, "The broker has ended.");
            }
        })
        .context("cannot start a thread")?;
    for _ in 0..100 {
        if TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("the broker inside did not begin to listen on {address}")
}

fn config(address: SocketAddr) -> Result<rumqttd::Config> {
    let text = format!(
        r#"
        id = 0
        [router]
        id = 0
        max_connections = 100
        max_outgoing_packet_count = 200
        max_segment_size = 1048576
        max_segment_count = 10
        [v4.1]
        name = "loopback"
        listen = "{address}"
        next_connection_delay_ms = 1
        [v4.1.connections]
        connection_timeout_ms = 5000
        max_payload_size = 1048576
        max_inflight_count = 100
        "#
    );
    toml::from_str(&text).context("the broker's configuration")
}
