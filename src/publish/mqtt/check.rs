//! Trial connection for `metertap doctor`.

use crate::publish::mqtt::address::BrokerAddress;
use crate::publish::mqtt::broker::BrokerConfig;
use crate::publish::mqtt::session::{SessionEvent, open};
use anyhow::{Result, bail};
use std::time::Duration;

/// Time for the broker to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the DISCONNECT to go out.
const LAST_PACKET: Duration = Duration::from_millis(200);

/// Connects once to `broker` and disconnects, with a client id of its own: the daemon may be connected.
///
/// # Errors
/// Returns the reason if the connection cannot be made, the broker refuses it, or does not answer within 5 s.
pub async fn check(settings: &BrokerConfig, broker: &BrokerAddress) -> Result<()> {
    let settings = BrokerConfig {
        client_id: None,
        ..settings.clone()
    };
    let (client, mut session) = open(&settings, broker, None).await?;
    let connected = async {
        loop {
            match session.next().await {
                Ok(SessionEvent::Connected { .. }) => return Ok(()),
                Ok(_) => {}
                Err(error) => bail!(error.reason),
            }
        }
    };
    tokio::time::timeout(TIMEOUT, connected)
        .await
        .unwrap_or_else(|_| bail!("no answer within {} s", TIMEOUT.as_secs()))?;
    client.disconnect();
    let _ = tokio::time::timeout(LAST_PACKET, session.next()).await;
    Ok(())
}
