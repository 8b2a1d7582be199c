//! A client of rtl_tcp: 12 bytes of greeting, then cu8 without end; commands of five bytes the other way.
//!
//! The protocol has no answers and no errors: a second client connects and hears nothing until the first one
//! leaves, and a server without its dongle greets and falls silent. Silence is all that can be seen of either.

use crate::source::{Gain, Info, Source, TuneCommand, Tuning};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// For the connection, and for the greeting.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a reader looks up.
const TICK: Duration = Duration::from_millis(250);
/// The first samples may be old ones: a server keeps what it could not send before.
const STALE_S: f64 = 0.1;

const SET_FREQUENCY: u8 = 0x01;
const SET_SAMPLE_RATE: u8 = 0x02;
const SET_GAIN_MODE: u8 = 0x03;
const SET_GAIN: u8 = 0x04;
const SET_PPM: u8 = 0x05;
const SET_AGC: u8 = 0x08;
const SET_BIAS_TEE: u8 = 0x0e;

/// A connection.
pub struct RtlTcp {
    info: Info,
    gain: Gain,
    stream: TcpStream,
    /// Bytes still to be thrown away.
    stale: usize,
}

impl RtlTcp {
    /// Connects and tunes.
    ///
    /// # Errors
    /// What kept it from: no such host, refused, silent, or no rtl_tcp.
    pub fn connect(host: &str, port: u16, tuning: &Tuning) -> Result<Self> {
        let name = format!("rtl_tcp://{host}:{port}");
        let mut stream = connect(host, port).with_context(|| name.clone())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut greeting = [0; 12];
        stream.read_exact(&mut greeting).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow::anyhow!(
                "{name}: connected, but silent for {} s: another program may be using it (rtl_tcp serves one at a time)",
                PATIENCE.as_secs()
            ),
            ErrorKind::UnexpectedEof => anyhow::anyhow!("{name}: hung up without a greeting"),
            _ => anyhow::Error::from(e).context(name.clone()),
        })?;
        if &greeting[..4] != b"RTL0" {
            bail!(
                "{name}: is no rtl_tcp server: it greets with {:?} instead of RTL0",
                String::from_utf8_lossy(&greeting)
            );
        }
        stream
            .write_all(&commands(tuning))
            .with_context(|| name.clone())?;
        stream.set_read_timeout(Some(TICK))?;
        let rate = f64::from(tuning.sample_rate_hz);
        Ok(RtlTcp {
            info: Info {
                name,
                format: Format::Cu8,
                sample_rate_hz: rate,
                center_hz: Some(tuning.center_hz.into()),
                start: Timestamp::now(),
                bytes: None,
                assumed: Vec::new(),
            },
            gain: tuning.gain,
            stream,
            stale: 2 * (STALE_S * rate) as usize,
        })
    }
}

impl Source for RtlTcp {
    fn info(&self) -> &Info {
        &self.info
    }

    fn gain(&self) -> Option<Gain> {
        Some(self.gain)
    }

    fn tune(&mut self, command: TuneCommand) -> std::io::Result<()> {
        let commands = match command {
            TuneCommand::Center(hz) => {
                self.info.center_hz = Some(hz.into());
                vec![(SET_FREQUENCY, hz)]
            }
            TuneCommand::Gain(gain) => {
                self.gain = gain;
                gain_commands(gain)
            }
            TuneCommand::Ppm(ppm) => vec![(SET_PPM, ppm as u32)],
        };
        self.stream.write_all(&bytes(&commands))
    }

    /// Fills the whole buffer if the server is fast enough. A network delivers in small pieces, and the ring behind
    /// this holds a number of buffers, not of bytes: nearly empty ones would make it overflow in a fraction of the
    /// time that it is made for.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = self.read_fresh(buffer)?;
        // A slow server must not keep the caller from looking up.
        let deadline = Instant::now() + TICK;
        while filled > 0 && filled < buffer.len() && Instant::now() < deadline {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(n @ 1..) => filled += n,
                // The next call reports the end.
                Ok(0) | Err(_) => break,
            }
        }
        Ok(filled)
    }
}

impl RtlTcp {
    /// Reads once, behind the bytes that are stale.
    fn read_fresh(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let n = match self.stream.read(buffer) {
                // The two names of one thing, by platform.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                n => n?,
            };
            if n <= self.stale && n > 0 {
                self.stale -= n;
                continue;
            }
            // An even number of bytes goes: I stays I.
            let stale = std::mem::take(&mut self.stale);
            buffer.copy_within(stale.min(n)..n, 0);
            return Ok(n - stale.min(n));
        }
    }
}

fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = Some(e),
        }
    }
    match last {
        Some(e) => Err(e.into()),
        None => bail!("has no address"),
    }
}

fn commands(tuning: &Tuning) -> Vec<u8> {
    let mut commands = vec![
        (SET_SAMPLE_RATE, tuning.sample_rate_hz),
        (SET_FREQUENCY, tuning.center_hz),
        (SET_PPM, tuning.ppm as u32),
        (SET_AGC, tuning.digital_agc.into()),
        (SET_BIAS_TEE, tuning.bias_tee.into()),
    ];
    commands.extend(gain_commands(tuning.gain));
    bytes(&commands)
}

fn gain_commands(gain: Gain) -> Vec<(u8, u32)> {
    match gain {
        Gain::Auto | Gain::Best => vec![(SET_GAIN_MODE, 0)],
        Gain::Tenths(tenths) => vec![(SET_GAIN_MODE, 1), (SET_GAIN, tenths as u32)],
    }
}

fn bytes(commands: &[(u8, u32)]) -> Vec<u8> {
    let five = commands.iter().map(|(command, value)| {
        let [a, b, c, d] = value.to_be_bytes();
        [*command, a, b, c, d]
    });
    five.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_server_that_sends_small_pieces_then_buffers_are_filled() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let pieces: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        let sent = pieces.clone();
        std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(b"RTL0\0\0\0\x05\0\0\0\x1d").unwrap();
            stream.read_exact(&mut [0; 30]).unwrap();
            for piece in sent.chunks(500) {
                stream.write_all(piece).unwrap();
                // A network that delivers piece by piece.
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let mut client = RtlTcp::connect("127.0.0.1", port, &Tuning::default()).unwrap();
        client.stale = 100;
        let mut buffer = vec![0; 60_000];
        let mut received = Vec::new();
        loop {
            match client.read(&mut buffer).unwrap() {
                0 => break,
                n => received.push(buffer[..n].to_vec()),
            }
        }
        assert_eq!(received.concat(), pieces[100..]);
        assert!(received.len() < 20, "{} buffers for 200 pieces", received.len());
    }

    #[test]
    fn a_tuning_is_said_in_five_bytes_each() {
        let tuning = Tuning {
            gain: Gain::Tenths(402),
            ppm: -3,
            ..Tuning::default()
        };
        let commands = commands(&tuning);
        assert_eq!(
            commands[..5],
            [0x02, 0x00, 0x24, 0x00, 0x00],
            "2 359 296 = 0x240000"
        );
        assert!(commands.chunks(5).any(|c| c == [0x05, 0xFF, 0xFF, 0xFF, 0xFD]));
        assert!(commands.ends_with(&[0x03, 0, 0, 0, 1, 0x04, 0, 0, 0x01, 0x92]));
    }
}
