//! One client of the broker: its socket, keep-alive and packet queue.

use super::router::{Outgoing, Router, SessionId};
use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet, PubAck};
use rumqttc::mqttbytes::{Error as CodecError, Protocol, QoS};
use std::cell::RefCell;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Largest packet that a client may send, in bytes after the fixed header.
pub const MAX_PACKET: usize = 64 * 1024;
/// Time that a client has for its CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read from a socket before other connections get their turn.
const READ_CHUNK: usize = 4 * 1024;
/// Bytes after which queued packets are written without waiting for more.
const WRITE_CHUNK: usize = 16 * 1024;

/// Serves a client until it disconnects.
///
/// # Errors
/// The reason why the connection ended otherwise: bad or unexpected packet, lost socket, keep-alive expired, queue
/// full, or another client with the same identifier.
pub async fn serve(stream: TcpStream, router: &RefCell<Router>) -> Result<()> {
    stream.set_nodelay(true).context("cannot configure the socket")?;
    let (socket, mut writer) = stream.into_split();
    let mut reader = PacketReader::new(socket);
    let first = timeout(CONNECT_TIMEOUT, reader.next())
        .await
        .context("no CONNECT in time")??;
    let Packet::Connect(connect) = first else {
        bail!("expected CONNECT, found {first:?}");
    };
    if let Some(code) = refusal(&connect) {
        transmit_one(&mut writer, &Packet::ConnAck(ConnAck::new(code, false))).await?;
        bail!("refused: {code:?}");
    }
    let silence = match connect.keep_alive {
        0 => Duration::MAX,
        seconds => Duration::from_millis(u64::from(seconds) * 1500),
    };
    // Each borrow of the router ends before the next await, so two never overlap.
    let (id, outgoing) = router.borrow_mut().connect(connect);
    let Outgoing {
        replies,
        mut packets,
        removed,
    } = outgoing;
    let result = tokio::select! {
        result = receive(&mut reader, silence, router, id, &replies) => result,
        result = transmit(&mut writer, &mut packets) => result,
        // Ends a write to a client that reads nothing.
        _ = removed => Err(anyhow::anyhow!("queue full, or client identifier taken over")),
    };
    router.borrow_mut().disconnect(id, result.is_ok());
    result
}

/// Reason to refuse a client.
fn refusal(connect: &Connect) -> Option<ConnectReturnCode> {
    if connect.protocol != Protocol::V4 {
        Some(ConnectReturnCode::RefusedProtocolVersion)
    } else if connect.client_id.is_empty() && !connect.clean_session {
        // MQTT 3.1.1, 3.1.3.1.
        Some(ConnectReturnCode::BadClientId)
    } else {
        None
    }
}

/// Handles packets until DISCONNECT. `silence` is the longest time between two of them.
async fn receive(
    reader: &mut PacketReader,
    silence: Duration,
    router: &RefCell<Router>,
    id: SessionId,
    replies: &mpsc::Sender<Packet>,
) -> Result<()> {
    loop {
        let packet = timeout(silence, reader.next())
            .await
            .context("keep-alive expired")??;
        let reply = match packet {
            Packet::Publish(publish) => {
                let (qos, packet_id) = (publish.qos, publish.pkid);
                if qos == QoS::ExactlyOnce {
                    bail!("QoS 2 is not supported");
                }
                router.borrow_mut().publish(publish)?;
                (qos == QoS::AtLeastOnce).then(|| Packet::PubAck(PubAck::new(packet_id)))
            }
            Packet::PubAck(ack) => {
                router.borrow_mut().acknowledged(id, ack.pkid);
                None
            }
            Packet::Subscribe(subscribe) => {
                router.borrow_mut().subscribe(id, subscribe);
                None
            }
            Packet::Unsubscribe(unsubscribe) => Some(router.borrow_mut().unsubscribe(id, &unsubscribe)),
            Packet::PingReq => Some(Packet::PingResp),
            Packet::Disconnect => return Ok(()),
            other => bail!("unexpected {other:?}"),
        };
        if let Some(reply) = reply {
            // Waits for room: a client that does not read its replies is not read either.
            replies.send(reply).await.context("session removed")?;
        }
    }
}

/// Writes queued packets; ends only when the session is removed.
async fn transmit(writer: &mut OwnedWriteHalf, packets: &mut mpsc::Receiver<Packet>) -> Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(packet) = packets.recv().await {
        packet.write(&mut buffer, usize::MAX)?;
        while buffer.len() < WRITE_CHUNK {
            match packets.try_recv() {
                Ok(packet) => packet.write(&mut buffer, usize::MAX)?,
                Err(_) => break,
            };
        }
        writer.write_all(&buffer).await?;
        buffer.clear();
    }
    bail!("session removed")
}

async fn transmit_one(writer: &mut OwnedWriteHalf, packet: &Packet) -> Result<()> {
    let mut buffer = BytesMut::new();
    packet.write(&mut buffer, usize::MAX)?;
    Ok(writer.write_all(&buffer).await?)
}

/// Cuts the bytes of a socket into packets. The buffer holds at most one packet and a chunk.
struct PacketReader {
    socket: OwnedReadHalf,
    buffer: BytesMut,
}

impl PacketReader {
    fn new(socket: OwnedReadHalf) -> Self {
        PacketReader {
            socket,
            buffer: BytesMut::new(),
        }
    }

    /// Waits for the next packet. Cancelling loses no bytes.
    async fn next(&mut self) -> Result<Packet> {
        loop {
            match Packet::read(&mut self.buffer, MAX_PACKET) {
                Ok(packet) => return Ok(packet),
                Err(CodecError::InsufficientBytes(missing)) => self.buffer.reserve(missing.max(READ_CHUNK)),
                Err(error) => return Err(error).context("malformed packet"),
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                bail!("connection lost");
            }
            // A flood from one client must not keep the others' queues from being written.
            tokio::task::yield_now().await;
        }
    }
}
