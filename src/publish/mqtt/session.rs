//! One connection to one broker, of MQTT 3.1.1 or 5: what is said over it, and what comes back.

use crate::publish::mqtt::address::{BrokerAddress, Transport};
use crate::publish::mqtt::config::{MqttConfig, Version};
use crate::publish::mqtt::message::Message;
use crate::publish::mqtt::tls;
use crate::secret::Secret;
use anyhow::Result;
use rumqttc::{Outgoing, QoS, TlsConfiguration, v5};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Messages under way to the broker.
pub(crate) const IN_FLIGHT: usize = 100;
/// Largest packet either way: an IDM line has 900 bytes, a foreign retained message may have more.
const MAX_PACKET: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a session tells.
pub(crate) enum SessionEvent {
    /// The broker takes us.
    Connected,
    /// A publication went out, under this packet id.
    Sent(u16),
    /// The broker has it: or will not have it, and why.
    Acknowledged(u16, Result<(), Refusal>),
    /// Somebody says something that we have subscribed to.
    Heard {
        /// Where.
        topic: String,
        /// What.
        payload: Vec<u8>,
        /// Whether it is an old story.
        retain: bool,
    },
    /// Our goodbye is out.
    Goodbye,
    /// Nothing of interest.
    Nothing,
}

/// Why a broker of MQTT 5 does not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// In words.
    pub reason: String,
    /// It will not take it later, either.
    pub is_final: bool,
}

/// Takes what is to be said. Copies speak over the same connection.
#[derive(Clone)]
pub(crate) enum MqttClient {
    V3(rumqttc::AsyncClient),
    V5(v5::AsyncClient),
}

/// Tells what comes.
pub(crate) enum Session {
    V3(Box<rumqttc::EventLoop>),
    V5(Box<v5::EventLoop>),
}

/// Begins to connect to `address`, leaving a last will if there is one; nothing is said yet.
///
/// # Errors
/// Where the certificates of the settings cannot be used.
pub(crate) fn begin(
    settings: &MqttConfig,
    address: &BrokerAddress,
    will: Option<&Message>,
) -> Result<(MqttClient, Session)> {
    let port = address.port_or(settings.port);
    let host = if address.road.is_web() {
        address.url(settings.port)
    } else {
        address.host.clone()
    };
    let transport = match address.road {
        Transport::Tcp => rumqttc::Transport::Tcp,
        Transport::WebSocket => rumqttc::Transport::Ws,
        Transport::Tls => {
            rumqttc::Transport::tls_with_config(TlsConfiguration::Rustls(tls::config(settings)?))
        }
        Transport::SecureWebSocket => {
            rumqttc::Transport::wss_with_config(TlsConfiguration::Rustls(tls::config(settings)?))
        }
    };
    let client_id = settings.client_id.clone().unwrap_or_else(random_id);
    let login = settings.login().map_err(anyhow::Error::msg)?;
    let login = login
        .as_ref()
        .map(|(user, password)| (user.as_str(), password.as_ref().map_or("", Secret::reveal)));
    let capacity = IN_FLIGHT + 8;
    Ok(match settings.version {
        Version::V3 => {
            let mut options = rumqttc::MqttOptions::new(client_id, host, port);
            options.set_transport(transport);
            options.set_keep_alive(KEEP_ALIVE);
            options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
            options.set_inflight(IN_FLIGHT as u16);
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(will) = will {
                options.set_last_will(rumqttc::LastWill::new(
                    &will.topic,
                    will.payload.as_str(),
                    QoS::AtLeastOnce,
                    will.retain,
                ));
            }
            let (client, events) = rumqttc::AsyncClient::new(options, capacity);
            (MqttClient::V3(client), Session::V3(Box::new(events)))
        }
        Version::V5 => {
            let mut options = v5::MqttOptions::new(client_id, host, port);
            options.set_transport(transport);
            options.set_keep_alive(KEEP_ALIVE);
            options.set_max_packet_size(Some(MAX_PACKET as u32));
            options.set_outgoing_inflight_upper_limit(IN_FLIGHT as u16);
            if let Some((user, password)) = login {
                options.set_credentials(user, password);
            }
            if let Some(will) = will {
                options.set_last_will(v5::mqttbytes::v5::LastWill::new(
                    &will.topic,
                    will.payload.as_str(),
                    v5::mqttbytes::QoS::AtLeastOnce,
                    will.retain,
                    None,
                ));
            }
            let (client, events) = v5::AsyncClient::new(options, capacity);
            (MqttClient::V5(client), Session::V5(Box::new(events)))
        }
    })
}

impl MqttClient {
    /// Publishes with QoS 1; false where there is no room at the moment.
    pub fn publish(&self, message: &Message) -> bool {
        let (topic, retain, payload) = (&message.topic, message.retain, message.payload.as_str());
        match self {
            MqttClient::V3(client) => client
                .try_publish(topic, QoS::AtLeastOnce, retain, payload)
                .is_ok(),
            MqttClient::V5(client) => client
                .try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload.to_owned())
                .is_ok(),
        }
    }

    /// Wants to hear a topic.
    pub fn subscribe(&self, topic: &str) {
        let _ = match self {
            MqttClient::V3(client) => client.try_subscribe(topic, QoS::AtLeastOnce).is_ok(),
            MqttClient::V5(client) => client
                .try_subscribe(topic, v5::mqttbytes::QoS::AtLeastOnce)
                .is_ok(),
        };
    }

    /// Says goodbye: the last will is not published then.
    pub fn disconnect(&self) {
        let _ = match self {
            MqttClient::V3(client) => client.try_disconnect().is_ok(),
            MqttClient::V5(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Session {
    /// What comes next.
    ///
    /// # Errors
    /// Why the connection is over, for a person.
    pub async fn next(&mut self) -> Result<SessionEvent, String> {
        match self {
            Session::V3(events) => events
                .poll()
                .await
                .map(told_v3)
                .map_err(|error| reason_v3(&error)),
            Session::V5(events) => events
                .poll()
                .await
                .map(told_v5)
                .map_err(|error| reason_v5(&error)),
        }
    }
}

fn told_v3(event: rumqttc::Event) -> SessionEvent {
    use rumqttc::{Event, Packet};
    match event {
        Event::Incoming(Packet::ConnAck(_)) => SessionEvent::Connected,
        Event::Incoming(Packet::PubAck(ack)) => SessionEvent::Acknowledged(ack.pkid, Ok(())),
        Event::Incoming(Packet::Publish(message)) => SessionEvent::Heard {
            topic: message.topic,
            payload: message.payload.to_vec(),
            retain: message.retain,
        },
        Event::Outgoing(outgoing) => outgone(&outgoing),
        Event::Incoming(_) => SessionEvent::Nothing,
    }
}

fn told_v5(event: v5::Event) -> SessionEvent {
    use v5::mqttbytes::v5::{Packet, PubAckReason};
    match event {
        v5::Event::Incoming(Packet::ConnAck(_)) => SessionEvent::Connected,
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
        v5::Event::Incoming(Packet::Publish(message)) => SessionEvent::Heard {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload.to_vec(),
            retain: message.retain,
        },
        v5::Event::Outgoing(outgoing) => outgone(&outgoing),
        v5::Event::Incoming(_) => SessionEvent::Nothing,
    }
}

fn outgone(outgoing: &Outgoing) -> SessionEvent {
    match outgoing {
        Outgoing::Publish(id) => SessionEvent::Sent(*id),
        Outgoing::Disconnect => SessionEvent::Goodbye,
        _ => SessionEvent::Nothing,
    }
}

const REFUSED_LOGIN: &str = "the broker refuses user name or password";

fn reason_v3(error: &rumqttc::ConnectionError) -> String {
    use rumqttc::{ConnectReturnCode as Code, ConnectionError};
    match error {
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => {
            REFUSED_LOGIN.into()
        }
        ConnectionError::ConnectionRefused(Code::RefusedProtocolVersion) => {
            "the broker does not speak MQTT 3.1.1: set mqtt.version = 5".into()
        }
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::MqttState(rumqttc::StateError::Io(error)) => error.to_string(),
        other => other.to_string(),
    }
}

fn reason_v5(error: &v5::ConnectionError) -> String {
    use v5::ConnectionError;
    use v5::mqttbytes::v5::ConnectReturnCode as Code;
    match error {
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => {
            REFUSED_LOGIN.into()
        }
        ConnectionError::ConnectionRefused(
            Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion,
        ) => "the broker does not speak MQTT 5: set mqtt.version = \"3.1.1\"".into(),
        ConnectionError::Io(error) => error.to_string(),
        ConnectionError::MqttState(v5::StateError::Io(error)) => error.to_string(),
        other => other.to_string(),
    }
}

/// One that differs from process to process, and from connection to connection.
fn random_id() -> String {
    static CONNECTIONS: AtomicU32 = AtomicU32::new(0);
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    format!(
        "metertap-{}-{:03x}-{number}",
        std::process::id(),
        (jitter() * 4096.0) as u16
    )
}

/// 0 to 1, different in every process: the low bits of the clock.
pub(crate) fn jitter() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(now.map_or(0, |now| now.subsec_nanos()) % 1000) / 1000.0
}
