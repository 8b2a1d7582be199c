//! TCP ports that no other process can take.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpSocket;

/// Sockets that keep ports reserved until the test process ends.
static RESERVED: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// Reserves a port on 127.0.0.1 that nobody listens on.
///
/// The reserving socket is bound but does not listen, so a connection to the port is refused. The kernel neither
/// gives the port to anybody who binds port 0 nor uses it for an outgoing connection. A server that sets
/// `SO_REUSEADDR`, as all the servers here do, may still listen on it, as often as it likes.
///
/// Binding a listener and dropping it again would not do: a process that another thread is just starting inherits
/// the listener and keeps it open until its `exec`, on a busy machine for a tenth of a second. For the same reason a
/// test must not expect the port of a listener of its own to be free when that is dropped.
pub fn free_port() -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    // Without SO_REUSEADDR at first: the kernel then picks a port that nobody has bound.
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    socket.set_reuseaddr(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    RESERVED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(socket);
    port
}

#[cfg(test)]
mod tests {
    use super::free_port;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_refuses_connections_until_a_server_listens_on_it() {
        let port = free_port();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert_ne!(free_port(), port);
    }
}
