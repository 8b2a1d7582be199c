//! Reasons why a connection could not be made or has broken, in terms common to MQTT 3.1.1 and 5.

use rumqttc::v5;

const REFUSED_LOGIN: &str = "the broker refuses user name or password";

/// Reason why a connection could not be made or has broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionError {
    pub reason: String,
    pub fault: Fault,
}

/// Origin of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Unknown: the network, the broker, or a message that the broker does not accept.
    Unknown,
    /// A message of another client is larger than what is read.
    Oversized,
    /// The broker has acknowledged a packet twice, or one that was never sent; rumqttc then ends the connection.
    UnknownAck,
    /// Another client has connected with the same client id.
    TakenOver,
}

impl SessionError {
    /// Returns an error whose fault is unknown.
    pub fn new(reason: String) -> Self {
        SessionError {
            reason,
            fault: Fault::Unknown,
        }
    }
}

pub(super) fn error_v3(error: &rumqttc::ConnectionError) -> SessionError {
    use rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded;
    use rumqttc::{ConnectReturnCode as Code, ConnectionError, StateError};
    let reason = match error {
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => {
            REFUSED_LOGIN.into()
        }
        ConnectionError::ConnectionRefused(Code::RefusedProtocolVersion) => {
            "the broker does not speak MQTT 3.1.1: set mqtt.version = 5".into()
        }
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        other => other.to_string(),
    };
    let fault = match error {
        ConnectionError::MqttState(StateError::Deserialization(PayloadSizeLimitExceeded(_))) => {
            Fault::Oversized
        }
        ConnectionError::MqttState(StateError::Unsolicited(_)) => Fault::UnknownAck,
        _ => Fault::Unknown,
    };
    SessionError { reason, fault }
}

pub(super) fn error_v5(error: &v5::ConnectionError) -> SessionError {
    use v5::mqttbytes::v5::{ConnectReturnCode as Code, DisconnectReasonCode};
    use v5::{ConnectionError, StateError};
    const TAKEN_OVER: DisconnectReasonCode = DisconnectReasonCode::SessionTakenOver;
    let reason = match error {
        ConnectionError::ConnectionRefused(Code::BadUserNamePassword | Code::NotAuthorized) => {
            REFUSED_LOGIN.into()
        }
        ConnectionError::ConnectionRefused(
            Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion,
        ) => "the broker does not speak MQTT 5: set mqtt.version = \"3.1.1\"".into(),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
            if *reason_code == TAKEN_OVER =>
        {
            "another client has connected with the same client id".into()
        }
        ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        other => other.to_string(),
    };
    let fault = match error {
        ConnectionError::MqttState(StateError::Unsolicited(_)) => Fault::UnknownAck,
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
            if *reason_code == TAKEN_OVER =>
        {
            Fault::TakenOver
        }
        _ => Fault::Unknown,
    };
    SessionError { reason, fault }
}
