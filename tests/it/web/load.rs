//! Bad requests, and clients that ask for much and read nothing.

use super::fixture::daemon;
use crate::support::*;
use metertap_decode::framing::p1::seal;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

#[test]
fn given_bad_requests_then_they_are_rejected_and_others_are_served() {
    let port = free_port();
    let _daemon = daemon(port, "");
    let (_, head, _) = exchange(
        port,
        "GET /api/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    for header in [
        "content-security-policy: default-src 'self'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    let long = "a".repeat(100_000);
    assert!(matches!(
        get(port, &format!("/{long}"), "").0,
        0 | 400 | 414 | 431
    ));
    assert!(matches!(
        get(port, "/", &format!("X: {long}\r\n")).0,
        0 | 400 | 431
    ));
    assert_eq!(exchange(port, "nonsense\r\n\r\n").0, 400);
    // A connection that sends nothing, or half a body, is closed after ten seconds.
    let half = "POST /api/meters HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{";
    let silent: Vec<TcpStream> = (0..100)
        .map(|i| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream
                .write_all(if i % 2 == 0 { b"" } else { half.as_bytes() })
                .unwrap();
            stream
        })
        .collect();
    // All places are taken, but for health checks.
    for _ in 0..20 {
        assert_eq!(get(port, "/livez", "").0, 200);
        assert_eq!(get(port, "/readyz", "").0, 503);
    }
    assert_eq!(
        get(port, "/api/status", "").0,
        200,
        "after those who say nothing were let go"
    );
    drop(silent);
}

/// Sends a request, and returns the status of the answer with the connection, over which nothing more is read.
fn unread(port: u16, path: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let status = std::str::from_utf8(&head).unwrap().rsplit(' ').next().unwrap();
    (status.parse().unwrap(), stream)
}

/// Resident memory of a process in KiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn given_clients_that_ask_for_the_same_and_read_nothing_then_they_share_it_and_others_are_served() {
    const METERS: u32 = 3000;
    let (meters, port) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let daemon = Daemon::start(&format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n[[output]]\nkind = \"file\"\npath = \"/dev/null\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nperiod = 3600\nsource = \"tcp://{}\"\n",
        meters.local_addr().unwrap()
    ));
    let (mut line, _) = meters.accept().unwrap();
    let send = |id: u32| {
        let id: String = format!("{id:08}")
            .bytes()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let text =
            format!("/MTP5x\n\n0-0:96.1.1({id})\n1-0:1.8.0(000002.000*kWh)\n1-0:2.8.0(000001.000*kWh)\n");
        line.write_all(&seal(&text, true)).unwrap();
    };
    (0..METERS).for_each(send);
    daemon.wait_for("the meters", || json(port, "/api/status")["meters"] == METERS);
    let size = get(port, "/api/meters", "").1.len() as u64 / 1024;
    let before = memory(daemon.id());
    // All of them get the same bytes.
    let same: Vec<_> = (0..60).map(|_| unread(port, "/api/meters")).collect();
    assert!(same.iter().all(|(status, _)| *status == 200));
    let grown = memory(daemon.id()).saturating_sub(before);
    println!("{size} KiB an answer; 60 readers of one: {grown} KiB more");
    assert!(
        grown < 10 * size,
        "{size} KiB an answer, {grown} KiB for 60 that nobody reads"
    );
    // The limit of answers that differ is tested in src/web/answers.rs: here the system's buffers would take most of them.
    assert_eq!(get(port, "/api/status", "").0, 200);
}
