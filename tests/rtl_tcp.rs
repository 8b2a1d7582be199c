//! rtl_tcp, both ways: servers that behave and misbehave, and a dongle shared.

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const GREETING: &[u8; 12] = b"RTL0\0\0\0\x05\0\0\0\x1d";

/// `metertap listen` on a server of the test's, for a while; what it wrote.
fn listen(server: &TcpListener, seconds: &str) -> Child {
    let source = format!("rtl_tcp://{}", server.local_addr().unwrap());
    metertap()
        .args(["listen", "-v", "--source", &source, "--seconds", seconds])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn outcome(child: Child) -> (usize, String) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    (
        json_lines(&output.stdout).len(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The street at its own pace, behind a tenth of a second that a client throws away; ends when it hangs up.
fn play_street(stream: &mut TcpStream) {
    let street = std::fs::read(root().join(STREET)).unwrap();
    let stale = vec![127; 480_000];
    let begun = Instant::now();
    let mut sent = 0;
    for chunk in stale.chunks(47_186).chain(street.chunks(47_186)) {
        if stream.write_all(chunk).is_err() {
            return;
        }
        sent += chunk.len();
        let due = begun + Duration::from_secs_f64(sent as f64 / 4_718_592.0);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn commands(stream: &mut TcpStream) -> Vec<(u8, u32)> {
    let mut bytes = [0; 30];
    stream.read_exact(&mut bytes).unwrap();
    bytes
        .chunks(5)
        .map(|c| (c[0], u32::from_be_bytes([c[1], c[2], c[3], c[4]])))
        .collect()
}

#[test]
fn given_a_server_that_behaves_then_it_is_tuned_and_the_street_is_heard() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = listen(&server, "3");
    let (mut stream, _) = server.accept().unwrap();
    stream.write_all(GREETING).unwrap();
    let commands = commands(&mut stream);
    assert!(
        commands.contains(&(1, 912_600_155)) && commands.contains(&(2, 2_359_296)),
        "{commands:?}"
    );
    assert!(
        commands.contains(&(3, 0)) && commands.contains(&(8, 0)),
        "{commands:?}"
    );
    play_street(&mut stream);
    // The server goes; it is told, and knocked at again.
    drop(stream);
    let (heard, log) = outcome(child);
    assert_eq!(heard, street_truth().len(), "{log}");
    assert!(log.contains("hung up"), "{log}");
}

#[test]
fn given_servers_that_misbehave_then_each_is_told_and_the_next_attempt_succeeds() {
    type Misbehaviour = fn(TcpStream);
    let cases: [(Misbehaviour, &str); 3] = [
        (
            |mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(),
            "not an rtl_tcp server",
        ),
        (|stream| drop(stream), "without a greeting"),
        (|mut stream| stream.write_all(GREETING).unwrap(), "hung up"),
    ];
    for (misbehave, told) in cases {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let child = listen(&server, "5");
        misbehave(server.accept().unwrap().0);
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(GREETING).unwrap();
        play_street(&mut stream);
        drop(stream);
        let (heard, log) = outcome(child);
        assert_eq!(heard, street_truth().len(), "{told}: {log}");
        assert!(log.contains(told), "{told}: {log}");
    }
}

#[test]
fn given_a_server_whose_dongle_is_dead_then_it_is_stalled() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = listen(&server, "5");
    let (mut stream, _) = server.accept().unwrap();
    stream.write_all(GREETING).unwrap();
    let (heard, log) = outcome(child);
    assert_eq!(heard, 0);
    assert!(log.contains("no samples for 3 s"), "{log}");
}

#[test]
fn given_nobody_there_then_it_is_told_once_and_tried_again() {
    let port = free_port();
    let output = run(&[
        "listen",
        "--source",
        &format!("rtl_tcp://127.0.0.1:{port}"),
        "--seconds",
        "3",
        "-v",
    ]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.matches("refused").count(), 1, "{log}");
}

#[test]
fn given_a_recording_for_a_source_then_the_right_command_is_named() {
    let output = run(&["listen", "--source", STREET]);
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("metertap replay")
    );
}

#[cfg(feature = "rtlsdr")]
#[test]
fn given_a_shared_dongle_then_others_hear_it_too_and_cannot_retune_it() {
    let dongles = common::dongle::Dongles::plugged("00000042");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = metertap();
    command.args(["serve-rtl-tcp", "--listen", &address]);
    let server = dongles
        .under(&mut command)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .unwrap();
    wait_for("the server", || TcpStream::connect(&address).is_ok());
    // A client that never reads must not disturb the others.
    let _sleeper = TcpStream::connect(&address).unwrap();
    let source = format!("rtl_tcp://{address}");
    let clients: Vec<_> = ["912.6M", "433.92M"]
        .map(|center| {
            metertap()
                .args([
                    "listen",
                    "--source",
                    &source,
                    "--center-freq",
                    center,
                    "--seconds",
                    "4",
                ])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .into();
    for client in clients {
        let heard = json_lines(&client.wait_with_output().unwrap().stdout).len();
        assert!(heard > street_truth().len(), "{heard}");
    }
    let log = dongles.log();
    assert_eq!(log.matches("center=").count(), 1, "{log}");
    drop(server);
}
