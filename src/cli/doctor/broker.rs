//! The broker: tries the login at each of its hosts.

use super::report::Report;
use crate::publish::MqttConfig;
use crate::publish::mqtt::check;
use crate::runtime::Context;

/// Connects to every host of a broker.
pub(super) fn examine_broker(config: &MqttConfig, context: &Context, report: &mut Report) {
    for host in &config.host {
        let broker = config.broker(None);
        let address = broker.display(host);
        match context.io.block_on(check(&broker, host)) {
            Ok(()) => report.ok("broker", &format!("{address} accepts the connection")),
            Err(error) => report.bad(
                "broker",
                &format!("{address}: {error:#}"),
                advice_for(&format!("{error:#}")),
            ),
        }
    }
}

/// Returns what to do about a broker that cannot be used.
fn advice_for(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let says = |word: &str| reason.contains(word);
    if says("password") || says("authori") {
        "compare username and password with the broker's; Home Assistant's add-on takes users of Home Assistant"
    } else if says("certificate") || says("tls") {
        "a certificate of your own needs ca_file; a port without TLS needs mqtt:// instead of mqtts://"
    } else if says("refused") {
        "nothing listens there: is it running (systemctl status mosquitto), and not on localhost only (listener 1883)?"
    } else if says("lookup") || says("resolve") || says("no such host") {
        "no device has that name: is it spelled right? otherwise use its address, as in host = \"192.168.1.10\""
    } else if says("unreachable") || says("no answer") || says("timed out") {
        "is it on and in the same network (ping)? a firewall, or a port of another service, does not answer either"
    } else {
        "is it a broker, and is its port the one for MQTT (1883, with TLS 8883)?"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_reason_then_each_cause_has_its_own_advice() {
        let advice = [
            "the broker refuses user name or password",
            "invalid peer certificate: UnknownIssuer",
            "Connection refused (os error 111)",
            "failed to lookup address information: Name or service not known",
            "no answer within 5 s",
            "unexpected packet",
        ]
        .map(advice_for);
        let distinct: std::collections::BTreeSet<_> = advice.iter().collect();
        assert_eq!(distinct.len(), advice.len());
    }
}
