//! One connection to one broker, with MQTT 3.1.1 or 5: what rumqttc sends and reports, in terms common to both versions.

use crate::publish::message::Message;
use crate::publish::mqtt::address::{BrokerAddress, Transport};
use crate::publish::mqtt::broker::{BrokerConfig, Version};
use crate::publish::mqtt::client_id::random_id;
use crate::publish::mqtt::session_error::{SessionError, error_v3, error_v5};
use crate::publish::mqtt::tls;
use crate::publish::mqtt::waiting::{IN_FLIGHT, Refusal};
use crate::secret::Secret;
use anyhow::{Result, bail};
use rumqttc::{NetworkOptions, Outgoing, QoS, TlsConfiguration, v5};
use std::time::Duration;

/// Largest packet to the broker, in bytes. An IDM reading has 900.
const MAX_PACKET: usize = 1 << 20;
/// Largest packet from the broker: retained messages of others may be large. With MQTT 5 the broker is told and withholds
/// larger ones; otherwise the connection breaks at them.
const MAX_INCOMING: usize = 8 << 20;
/// Interval of PINGREQ on an idle connection; the broker gives up after one and a half of it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Queue in front of rumqttc: everything in flight, the birth message, and subscriptions.
const REQUESTS: usize = IN_FLIGHT + 8;

/// Event of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SessionEvent {
    /// CONNACK: the broker has accepted the connection, and takes packets up to this size in bytes.
    Connected { max_packet: usize },
    /// PUBLISH was written to the network, with this packet id.
    Written(u16),
    /// PUBACK for this packet id.
    Acknowledged(u16, Result<(), Refusal>),
    /// PUBLISH from the broker, on a topic that was subscribed to.
    Received {
        topic: String,
        payload: Vec<u8>,
        is_retained: bool,
    },
    /// DISCONNECT was written to the network.
    Disconnected,
    /// Any other packet.
    Other,
}

/// Sending half of a connection.
pub(crate) enum MqttClient {
    V3(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// Receiving half of a connection; does all of its I/O while it is polled.
pub(crate) struct Session {
    events: EventLoop,
    /// The connection has broken; returned once the events before it are.
    failed: Option<SessionError>,
}

enum EventLoop {
    V3(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Prepares a connection to `address`, with a last will if there is one. The first [`Session::next`] connects.
///
/// # Errors
/// Returns an error if the password or a certificate cannot be read.
pub(crate) async fn open(
    settings: &BrokerConfig,
    address: &BrokerAddress,
    will: Option<&Message>,
) -> Result<(MqttClient, Session)> {
    let (settings, address, will) = (settings.clone(), address.clone(), will.cloned());
    // Reads the password and the certificates, which may have been exchanged since the last connection.
    let opened = tokio::task::spawn_blocking(move || open_blocking(&settings, &address, will.as_ref())).await;
    match opened {
        Ok(opened) => opened,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => bail!("the process is ending"),
    }
}

fn open_blocking(
    settings: &BrokerConfig,
    address: &BrokerAddress,
    will: Option<&Message>,
) -> Result<(MqttClient, Session)> {
    let port = address.port_or(settings.port);
    let host = if address.transport.is_websocket() {
        address.url(settings.port)
    } else {
        address.host.clone()
    };
    let transport = match address.transport {
        Transport::Tcp => rumqttc::Transport::Tcp,
        Transport::WebSocket => rumqttc::Transport::Ws,
        Transport::Tls => {
            rumqttc::Transport::tls_with_config(TlsConfiguration::Rustls(tls::client_config(&settings.tls)?))
        }
        Transport::SecureWebSocket => {
            rumqttc::Transport::wss_with_config(TlsConfiguration::Rustls(tls::client_config(&settings.tls)?))
        }
    };
    let client_id = settings.client_id.clone().unwrap_or_else(random_id);
    let login = settings.login.resolve().map_err(anyhow::Error::msg)?;
    let login = login
        .as_ref()
        .map(|(user, password)| (user.as_str(), password.as_ref().map_or("", Secret::reveal)));
    let (client, events) = match settings.version {
        Version::V3 => {
            let mut options = rumqttc::MqttOptions::new(client_id, host, port);
            options.set_transport(transport);
            options.set_keep_alive(KEEP_ALIVE);
            options.set_max_packet_size(MAX_INCOMING, MAX_PACKET);
            options.set_inflight(IN_FLIGHT as u16);
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(will) = will {
                options.set_last_will(rumqttc::LastWill::new(
                    &will.topic,
                    will.payload.as_str(),
                    QoS::AtLeastOnce,
                    will.is_retained,
                ));
            }
            let (client, mut events) = rumqttc::AsyncClient::new(options, REQUESTS);
            events.set_network_options(without_delay());
            (MqttClient::V3(client), EventLoop::V3(Box::new(events)))
        }
        Version::V5 => {
            let mut options = v5::MqttOptions::new(client_id, host, port);
            options.set_transport(transport);
            options.set_keep_alive(KEEP_ALIVE);
            options.set_max_packet_size(Some(MAX_INCOMING as u32));
            options.set_outgoing_inflight_upper_limit(IN_FLIGHT as u16);
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(will) = will {
                options.set_last_will(v5::mqttbytes::v5::LastWill::new(
                    &will.topic,
                    will.payload.as_str(),
                    v5::mqttbytes::QoS::AtLeastOnce,
                    will.is_retained,
                    None,
                ));
            }
            options.set_network_options(without_delay());
            let (client, events) = v5::AsyncClient::new(options, REQUESTS);
            (MqttClient::V5(client), EventLoop::V5(Box::new(events)))
        }
    };
    Ok((client, Session { events, failed: None }))
}

/// Options of the socket. Without TCP_NODELAY the last message of a burst waits for the broker's delayed ACK.
fn without_delay() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_tcp_nodelay(true);
    options
}

impl MqttClient {
    /// Publishes with QoS 1; returns false if the queue is full at the moment.
    pub fn publish(&self, message: &Message) -> bool {
        let (topic, retain, payload) = (&message.topic, message.is_retained, message.payload.as_str());
        match self {
            MqttClient::V3(client) => client
                .try_publish(topic, QoS::AtLeastOnce, retain, payload)
                .is_ok(),
            MqttClient::V5(client) => client
                .try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload.to_owned())
                .is_ok(),
        }
    }

    /// Subscribes to a topic filter.
    pub fn subscribe(&self, topic: &str) {
        let _ = match self {
            MqttClient::V3(client) => client.try_subscribe(topic, QoS::AtLeastOnce).is_ok(),
            MqttClient::V5(client) => client
                .try_subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce)
                .is_ok(),
        };
    }

    /// Disconnects cleanly: the broker discards the last will.
    pub fn disconnect(&self) {
        let _ = match self {
            MqttClient::V3(client) => client.try_disconnect().is_ok(),
            MqttClient::V5(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Session {
    /// Waits for the next event. Cancel safe once [`SessionEvent::Connected`] was returned; before, cancellation starts
    /// the attempt to connect over.
    ///
    /// # Errors
    /// Returns the reason if the connection could not be made or has broken. Not to be called again after that.
    pub async fn next(&mut self) -> Result<SessionEvent, SessionError> {
        if self.failed.is_none() {
            match self.poll().await {
                Ok(event) => return Ok(event),
                Err(error) => self.failed = Some(error),
            }
        }
        // rumqttc reads several packets at once: PUBACKs may have come before what broke the connection.
        match (self.take_event(), &self.failed) {
            (Some(event), _) => Ok(event),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(SessionEvent::Other),
        }
    }

    async fn poll(&mut self) -> Result<SessionEvent, SessionError> {
        match &mut self.events {
            EventLoop::V3(events) => events
                .poll()
                .await
                .map(event_v3)
                .map_err(|error| error_v3(&error)),
            EventLoop::V5(events) => events
                .poll()
                .await
                .map(event_v5)
                .map_err(|error| error_v5(&error)),
        }
    }

    fn take_event(&mut self) -> Option<SessionEvent> {
        match &mut self.events {
            EventLoop::V3(events) => events.state.events.pop_front().map(event_v3),
            EventLoop::V5(events) => events.state.events.pop_front().map(event_v5),
        }
    }
}

fn event_v3(event: rumqttc::Event) -> SessionEvent {
    use rumqttc::{Event, Packet};
    match event {
        Event::Incoming(Packet::ConnAck(_)) => SessionEvent::Connected {
            max_packet: MAX_PACKET,
        },
        Event::Incoming(Packet::PubAck(ack)) => SessionEvent::Acknowledged(ack.pkid, Ok(())),
        Event::Incoming(Packet::Publish(message)) => SessionEvent::Received {
            topic: message.topic,
            payload: message.payload.to_vec(),
            is_retained: message.retain,
        },
        Event::Outgoing(outgoing) => outgoing_event(&outgoing),
        Event::Incoming(_) => SessionEvent::Other,
    }
}

fn event_v5(event: v5::Event) -> SessionEvent {
    use v5::mqttbytes::v5::{Packet, PubAckReason};
    match event {
        v5::Event::Incoming(Packet::ConnAck(ack)) => {
            let limit = ack.properties.and_then(|properties| properties.max_packet_size);
            let limit = limit.and_then(|limit| usize::try_from(limit).ok());
            SessionEvent::Connected {
                max_packet: limit.map_or(MAX_PACKET, |limit| limit.min(MAX_PACKET)),
            }
        }
        v5::Event::Incoming(Packet::PubAck(ack)) => {
            let result = match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                reason => Err(Refusal {
                    reason: format!("{reason:?}"),
                    is_final: matches!(
                        reason,
                        PubAckReason::NotAuthorized
                            | PubAckReason::TopicNameInvalid
                            | PubAckReason::PayloadFormatInvalid
                    ),
                }),
            };
            SessionEvent::Acknowledged(ack.pkid, result)
        }
        v5::Event::Incoming(Packet::Publish(message)) => SessionEvent::Received {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.to_vec(),
            is_retained: message.retain,
        },
        v5::Event::Outgoing(outgoing) => outgoing_event(&outgoing),
        v5::Event::Incoming(_) => SessionEvent::Other,
    }
}

fn outgoing_event(outgoing: &Outgoing) -> SessionEvent {
    match outgoing {
        Outgoing::Publish(id) => SessionEvent::Written(*id),
        Outgoing::Disconnect => SessionEvent::Disconnected,
        _ => SessionEvent::Other,
    }
}
