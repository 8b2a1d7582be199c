//! Does the broker take us?

use crate::publish::mqtt::MqttConfig;
use crate::publish::mqtt::address::BrokerAddress;
use crate::publish::mqtt::session::{SessionEvent, begin};
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// A broker that does not answer for this long is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects once to `broker` and says goodbye. As somebody else than the daemon, which may be running.
///
/// # Errors
/// Why not, for a person.
pub fn check(mut settings: MqttConfig, broker: &BrokerAddress) -> Result<()> {
    settings.client_id = None;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the network")?;
    runtime.block_on(async {
        let (speaker, mut session) = begin(&settings, broker, None)?;
        let greeted = async {
            loop {
                match session.next().await {
                    Ok(SessionEvent::Connected) => return Ok(()),
                    Ok(_) => {}
                    Err(reason) => bail!(reason),
                }
            }
        };
        tokio::time::timeout(PATIENCE, greeted)
            .await
            .unwrap_or_else(|_| bail!("no answer for {} s", PATIENCE.as_secs()))?;
        speaker.disconnect();
        let _ = tokio::time::timeout(Duration::from_millis(200), session.next()).await;
        Ok(())
    })
}
