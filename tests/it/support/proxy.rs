//! Proxies between a daemon and a broker that behave badly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Passes everything on, both ways.
pub fn pass_on(mut from: TcpStream, port: u16) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut a, mut b) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut a, &mut b));
    std::thread::spawn(move || std::io::copy(&mut to, &mut from));
}

/// Passes everything on, but each PUBACK of the broker twice.
pub fn acknowledge_twice(mut from: TcpStream, port: u16) {
    const PUBACK: u8 = 0x40;
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut a, mut b) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut a, &mut b));
    std::thread::spawn(move || {
        let mut head = [0; 2];
        // The packets of a broker to this client are shorter than 128 bytes.
        while to.read_exact(&mut head).is_ok() {
            let mut packet = head.to_vec();
            packet.resize(2 + usize::from(head[1]), 0);
            let times = if head[0] == PUBACK { 2 } else { 1 };
            if to.read_exact(&mut packet[2..]).is_err() || from.write_all(&packet.repeat(times)).is_err() {
                return;
            }
        }
    });
}

/// Passes everything on to the broker but only the CONNACK back, until nothing has come for `quiet`.
pub fn pass_on_one_way(from: TcpStream, port: u16, quiet: Duration) {
    half_open(from, port, quiet, usize::MAX);
}

/// Passes CONNECT and CONNACK on, and then nothing more, either way.
pub fn swallow(from: TcpStream, port: u16) {
    half_open(from, port, Duration::from_secs(600), 1);
}

/// Passes so many pieces on to the broker, and only the CONNACK back.
fn half_open(mut from: TcpStream, port: u16, quiet: Duration, pieces: usize) {
    let mut to = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut back, mut greeted) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4];
        greeted.read_exact(&mut buffer).unwrap();
        back.write_all(&buffer).unwrap();
    });
    from.set_read_timeout(Some(quiet)).unwrap();
    let mut buffer = [0; 4096];
    let mut passed = 0;
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if passed < pieces {
            to.write_all(&buffer[..n]).unwrap();
        }
        passed += 1;
    }
}
