//! Client id at the broker: the same for all connections and restarts of an installation, so that a new connection takes over
//! from one that is half open.

use crc::{CRC_64_XZ, Crc};

static XZ: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

/// Returns the client id of this installation on this machine, 21 characters; every broker accepts 23. `names` tell its
/// connections from those of other installations on the machine. The host name is part of it because cloned SD cards share
/// the machine's id.
pub(crate) fn installation_id(names: &[&str]) -> String {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    client_id(machine.trim(), host.trim(), names)
}

fn client_id(machine: &str, host: &str, names: &[&str]) -> String {
    let mut digest = XZ.digest();
    for text in [machine, host].iter().chain(names) {
        digest.update(text.as_bytes());
        digest.update(b"\n");
    }
    // The machine's id itself is not for others.
    format!("metertap-{:012x}", digest.finalize() >> 16)
}

/// Random client id, for connections beside that of the daemon.
pub(super) fn random_id() -> String {
    format!("metertap-{:012x}", fastrand::u64(0..1 << 48))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_cloned_card_or_a_second_installation_then_the_id_is_another_one() {
        let id = client_id("m", "attic", &["/var/lib/spool.redb"]);
        assert_eq!(id, client_id("m", "attic", &["/var/lib/spool.redb"]));
        assert!(id.len() <= 23, "{id}");
        for (machine, host, names) in [
            ("m", "cellar", ["/var/lib/spool.redb"]),
            ("n", "attic", ["/var/lib/spool.redb"]),
            ("m", "attic", ["/srv/spool.redb"]),
        ] {
            assert_ne!(client_id(machine, host, &names), id);
        }
    }
}
