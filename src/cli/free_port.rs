//! Whether the daemon could listen on an address, and what to do if it could not.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

/// Why nobody can listen on an address.
pub struct Taken {
    /// The system's reason.
    pub error: io::Error,
    /// What to do.
    pub remedy: &'static str,
}

/// Listens for a moment.
///
/// # Errors
/// Returns the reason and the remedy.
pub fn try_to_listen(address: SocketAddr) -> Result<(), Taken> {
    let Err(error) = TcpListener::bind(address) else {
        return Ok(());
    };
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => {
            "a program uses it already, which may be metertap itself (ss -ltnp shows it): stop it, or choose another port"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: 0.0.0.0 stands for all that it has"
        }
        ErrorKind::PermissionDenied => "ports below 1024 are for root: choose a higher one",
        _ => "choose another address",
    };
    Err(Taken { error, remedy })
}
