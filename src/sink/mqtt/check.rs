//! Does the broker take us?

use super::Settings;
use super::connection::{greeting, reason};
use anyhow::{Context, Result, bail};
use rumqttc::{AsyncClient, Event, Packet};
use std::time::Duration;

/// A broker that does not answer for this long is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects once and says goodbye. As somebody else than the daemon, which may be running.
///
/// # Errors
/// Why not, for a person.
pub fn check(mut settings: Settings) -> Result<()> {
    settings.client_id = None;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the network")?;
    runtime.block_on(async {
        let (client, mut events) = AsyncClient::new(greeting(&settings), 4);
        let greeted = async {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => bail!("{}", reason(&error)),
                }
            }
        };
        tokio::time::timeout(PATIENCE, greeted)
            .await
            .unwrap_or_else(|_| bail!("no answer for {} s", PATIENCE.as_secs()))?;
        let _ = client.try_disconnect();
        let _ = tokio::time::timeout(Duration::from_millis(200), events.poll()).await;
        Ok(())
    })
}
