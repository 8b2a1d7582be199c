//! rtl_tcp, both ways: as a client of good and bad servers, and as a server.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const GREETING: &[u8; 12] = b"RTL0\0\0\0\x05\0\0\0\x1d";

/// `metertap listen` on a server of the test's.
fn listen(server: &TcpListener) -> Listener {
    let source = format!("rtl_tcp://{}", server.local_addr().unwrap());
    Listener::start(metertap().args(["listen", "-v", "--source", &source]))
}

/// Sends the street in real time, behind a tenth of a second of samples that a client discards; ends early if the
/// client hangs up.
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
    let mut bytes = [0; 10];
    stream.read_exact(&mut bytes).unwrap();
    bytes
        .chunks(5)
        .map(|c| (c[0], u32::from_be_bytes([c[1], c[2], c[3], c[4]])))
        .collect()
}

/// Receives the street from a well-behaved server behind `stream`, which hangs up at the end. Every packet must be
/// there, once.
fn receive_street(listener: &Listener, stream: TcpStream) -> Vec<(u8, u32)> {
    let mut stream = stream;
    stream.write_all(GREETING).unwrap();
    // Commands left unread would make the kernel reset the connection at the end, and throw away what is still on
    // its way to the client.
    let commands = commands(&mut stream);
    play_street(&mut stream);
    drop(stream);
    let lines = listener.wait_for_street();
    assert_eq!(lines, street_truth().len());
    commands
}

#[test]
fn given_a_server_with_a_rate_of_its_own_then_it_is_followed_and_meters_are_received() {
    let _real_time = RealTime::acquire();
    let folder = tempfile::tempdir().unwrap();
    let scenario = "seconds = 1.0\nsample_rate = 2400000\n[[meter]]\ntype = \"idm\"\nid = 40333331\nat = 0.2\nevery = 0.2\nsnr_db = 15\n";
    let (from, to) = (folder.path().join("a.toml"), folder.path().join("a.cu8"));
    std::fs::write(&from, scenario).unwrap();
    let made = run(&["synth", from.to_str().unwrap(), "--out", to.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let second = std::fs::read(to).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = listen(&server);
    let mut stream = server.accept().unwrap().0;
    stream.write_all(GREETING).unwrap();
    let play = std::thread::spawn(move || {
        let begun = Instant::now();
        let mut sent = 0;
        // Until the client has what it wants, and hangs up.
        for chunk in second.chunks(48_000).cycle() {
            if stream.write_all(chunk).is_err() {
                return;
            }
            sent += chunk.len();
            let due = begun + Duration::from_secs_f64(sent as f64 / 4_800_000.0);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    listener.running.wait_for_log("following it");
    assert!(listener.next_line().contains("40333331"));
    drop(listener);
    play.join().unwrap();
}

#[test]
fn given_a_well_behaved_server_then_it_is_tuned_and_the_street_is_received() {
    let _real_time = RealTime::acquire();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listener = listen(&server);
    let commands = receive_street(&listener, server.accept().unwrap().0);
    // The server keeps its gain, correction, AGC and bias tee.
    assert_eq!(commands, [(2, 2_359_296), (1, 912_600_155)]);
    listener.running.wait_for_log("hung up");
    // The client connects again.
    server.accept().unwrap();
    assert_eq!(listener.finish(), Vec::<String>::new());
}

#[test]
fn given_rtlamrs_command_line_then_it_is_understood_and_the_line_that_others_wait_for_comes() {
    let _real_time = RealTime::acquire();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let flags = [
        "listen",
        "--rtlamr",
        "-v",
        "-server",
        &address,
        "-format=json",
        "-unique=false",
    ];
    let mut listener = Listener::start(metertap().args(flags));
    receive_street(&listener, server.accept().unwrap().0);
    listener.running.wait_for_log("GainCount: 29");
    listener.running.wait_for_log("hung up");
    server.accept().unwrap();
    assert_eq!(listener.finish(), Vec::<String>::new());
}

#[test]
fn given_servers_that_misbehave_then_each_is_logged_and_the_next_attempt_succeeds() {
    type Misbehavior = fn(TcpStream);
    let _real_time = RealTime::acquire();
    let cases: [(Misbehavior, &str); 3] = [
        (
            |mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap(),
            "not an rtl_tcp server",
        ),
        (|stream| drop(stream), "without a greeting"),
        (|mut stream| stream.write_all(GREETING).unwrap(), "hung up"),
    ];
    for (misbehave, reason) in cases {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut listener = listen(&server);
        listener.running.expect_log("Connection reset by peer");
        misbehave(server.accept().unwrap().0);
        receive_street(&listener, server.accept().unwrap().0);
        listener.running.wait_for_log(reason);
        drop(server);
        listener.running.expect_log("refused");
        assert_eq!(listener.finish(), Vec::<String>::new());
    }
}

#[test]
fn given_a_server_whose_dongle_is_dead_then_the_source_stalls() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut listener = listen(&server);
    let (mut stream, _) = server.accept().unwrap();
    stream.write_all(GREETING).unwrap();
    listener.running.wait_for_log("no samples for 3 s");
    assert_eq!(listener.finish(), Vec::<String>::new());
}

#[test]
fn given_no_server_or_a_broken_one_then_each_state_is_logged_once_and_retried() {
    let port = free_port();
    let source = format!("rtl_tcp://127.0.0.1:{port}");
    let listener = Listener::start(metertap().args(["listen", "-v", "--source", &source]));
    listener.running.wait_for_log("refused");
    let server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for _ in 0..3 {
        drop(server.accept().unwrap());
    }
    let _last = server.accept().unwrap();
    let log = listener.stop();
    for reason in ["refused", "without a greeting"] {
        assert_eq!(log.matches(reason).count(), 1, "{reason}: {log}");
    }
}

#[test]
fn given_a_recording_as_source_then_listen_names_the_right_command() {
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
fn given_a_shared_dongle_then_several_clients_receive_and_none_can_retune_it() {
    let dongles = Dongles::plugged("00000042");
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut program = metertap();
    program.args(["serve-rtl-tcp", "--listen", &address]);
    dongles.plug_into(program.command());
    let server = program.start();
    server.expect_log("rtl_tcp client asks for another frequency than it gets");
    wait_for("the server", || TcpStream::connect(&address).is_ok());
    // A client that never reads must not disturb the others.
    let _idle = TcpStream::connect(&address).unwrap();
    let source = format!("rtl_tcp://{address}");
    let clients = ["912.6M", "433.92M"].map(|center| {
        Listener::start(metertap().args(["listen", "--source", &source, "--center-freq", center]))
    });
    for client in &clients {
        client.wait_for_street();
    }
    let log = dongles.log();
    assert_eq!(log.matches("center=").count(), 1, "{log}");
}
