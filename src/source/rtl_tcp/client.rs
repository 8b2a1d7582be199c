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
use std::time::Duration;

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

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
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
