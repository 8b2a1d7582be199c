//! Messages of a topic as a stream of lines, for input that comes over the broker.

use crate::publish::mqtt::address::BrokerAddress;
use crate::publish::mqtt::broker::BrokerConfig;
use crate::publish::mqtt::session::{MqttClient, Session, SessionEvent, open};
use anyhow::{Context, Result, bail};
use std::io;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Time for a broker to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that wait for the reader; beyond that the messages wait at the broker.
const BUFFER: usize = 64 * 1024;
/// Messages that wait for the reader; beyond that they wait at the broker.
const MESSAGES: usize = 4;

/// Lines that come over the broker. The connection ends when this is dropped.
pub struct Subscription {
    lines: DuplexStream,
    pump: JoinHandle<()>,
}

impl AsyncRead for Subscription {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lines).poll_read(context, buffer)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Connects to the first of the hosts that answers, with a client id of its own, and subscribes to `topic`. Each message becomes a line;
/// the stream ends when the connection breaks. Retained messages are stories of the past and
/// passed over.
///
/// # Errors
/// Returns the reason of the last host if none can be used.
pub async fn subscribe(settings: &BrokerConfig, topic: &str) -> Result<Subscription> {
    let (client, session) = connect(settings, topic).await?;
    let (lines, writer) = duplex(BUFFER);
    Ok(Subscription {
        lines,
        pump: tokio::spawn(pump(client, session, writer)),
    })
}

/// Connects as [`subscribe`] does. Each message is received as it is, the retained one first; the channel closes when the connection
/// breaks, and the connection ends when the channel is dropped.
///
/// # Errors
/// Returns the reason of the last host if none can be used.
pub async fn messages(settings: &BrokerConfig, topic: &str) -> Result<Receiver<Vec<u8>>> {
    let (client, session) = connect(settings, topic).await?;
    let (sender, receiver) = channel(MESSAGES);
    tokio::spawn(hand_over(client, session, sender));
    Ok(receiver)
}

/// Hands over what comes until the connection breaks or nobody listens. `_client` keeps it open.
async fn hand_over(_client: MqttClient, mut session: Session, messages: Sender<Vec<u8>>) {
    loop {
        let event = tokio::select! {
            () = messages.closed() => return,
            event = session.next() => event,
        };
        match event {
            Ok(SessionEvent::Received { payload, .. }) => {
                if messages.send(payload).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Subscribes at the first of the hosts that answers.
async fn connect(settings: &BrokerConfig, topic: &str) -> Result<(MqttClient, Session)> {
    let settings = BrokerConfig {
        client_id: None,
        spool: None,
        ..settings.clone()
    };
    let mut result = Err(anyhow::anyhow!("no host"));
    for host in &settings.hosts {
        result = timeout(TIMEOUT, connect_to(&settings, host, topic))
            .await
            .unwrap_or_else(|_| bail!("no answer within {} s", TIMEOUT.as_secs()))
            .with_context(|| settings.display(host));
        if result.is_ok() {
            break;
        }
    }
    result
}

async fn connect_to(
    settings: &BrokerConfig,
    host: &BrokerAddress,
    topic: &str,
) -> Result<(MqttClient, Session)> {
    let (client, mut session) = open(settings, host, None).await?;
    loop {
        match session.next().await {
            Ok(SessionEvent::Connected { .. }) => {
                client.subscribe(topic);
                return Ok((client, session));
            }
            Ok(_) => {}
            Err(error) => bail!(error.reason),
        }
    }
}

/// Writes what comes until the connection breaks. `_client` keeps it open.
async fn pump(_client: MqttClient, mut session: Session, mut writer: DuplexStream) {
    while let Ok(event) = session.next().await {
        let SessionEvent::Received {
            mut payload,
            is_retained: false,
            ..
        } = event
        else {
            continue;
        };
        payload.push(b'\n');
        if writer.write_all(&payload).await.is_err() {
            return;
        }
    }
}
