//! Client of an rtl_tcp server.
//!
//! The protocol has no errors: a second client is accepted and gets nothing until the first one leaves, and a server
//! without its dongle greets and falls silent. Silence is the only symptom of either.

use crate::source::iq::{Info, Source};
use crate::source::rtl_tcp::command::{
    SET_AGC, SET_BIAS_TEE, SET_FREQUENCY, SET_GAIN, SET_GAIN_MODE, SET_PPM, SET_SAMPLE_RATE,
};
use crate::source::tuning::{Gain, TuneCommand, Tuning};
use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Timeout of each attempt to connect, of the greeting, and of sending a command.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a read, after which the caller may look at the time.
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// Samples discarded at first, in seconds: a server keeps old ones that it could not send.
const STALE_S: f64 = 0.1;
/// First bytes of the greeting; the tuner type and the number of its gains follow.
const MAGIC: &[u8; 4] = b"RTL0";

/// Connection to a server.
pub struct RtlTcp {
    info: Info,
    /// Gain that was set; `None` if the server keeps its own.
    gain: Option<Gain>,
    stream: TcpStream,
    /// Bytes still to be discarded; even, so that the first byte read is an I.
    stale: usize,
}

impl RtlTcp {
    /// Connects to a server and tunes it.
    ///
    /// # Errors
    /// Returns an error if the host is unknown, refuses the connection, sends nothing, or is not an rtl_tcp server.
    pub fn connect(host: &str, port: u16, tuning: &Tuning) -> Result<Self> {
        let name = format!("rtl_tcp://{host}:{port}");
        let mut stream = connect(host, port).with_context(|| name.clone())?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut greeting = [0; 12];
        stream.read_exact(&mut greeting).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!(
                "{name}: connected, but silent for {} s: another program may be using it (rtl_tcp serves one at a time)",
                TIMEOUT.as_secs()
            ),
            ErrorKind::UnexpectedEof => anyhow!("{name}: hung up without a greeting"),
            _ => anyhow::Error::from(e).context(name.clone()),
        })?;
        if !greeting.starts_with(MAGIC) {
            bail!(
                "{name}: not an rtl_tcp server: expected the greeting RTL0, found {:?}",
                String::from_utf8_lossy(&greeting)
            );
        }
        stream
            .write_all(&setup_commands(tuning))
            .with_context(|| name.clone())?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let rate_hz = f64::from(tuning.sample_rate_hz);
        Ok(RtlTcp {
            info: Info {
                name,
                format: Format::Cu8,
                sample_rate_hz: rate_hz,
                center_hz: Some(tuning.center_hz.into()),
                start: Timestamp::now(),
                bytes: None,
                assumed: Vec::new(),
            },
            gain: tuning.chosen.gain.then_some(tuning.gain),
            stream,
            stale: 2 * (STALE_S * rate_hz) as usize,
        })
    }
}

impl Source for RtlTcp {
    fn info(&self) -> &Info {
        &self.info
    }

    /// Fills the whole buffer if the server is fast enough. A network delivers in small pieces, and the ring that follows
    /// holds a number of buffers, not of bytes: nearly empty ones would make it overflow in a fraction of the time that
    /// it is made for.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.read_fresh(buffer)?;
        // A slow server must not keep the caller waiting.
        let deadline = Instant::now() + READ_TIMEOUT;
        while filled > 0 && filled < buffer.len() && Instant::now() < deadline {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(n @ 1..) => filled += n,
                // The next call reports the end.
                Ok(0) | Err(_) => break,
            }
        }
        Ok(filled)
    }

    fn gain(&self) -> Option<Gain> {
        self.gain
    }

    fn tune(&mut self, command: TuneCommand) -> io::Result<()> {
        let commands = match command {
            TuneCommand::Center(hz) => {
                self.info.center_hz = Some(hz.into());
                vec![(SET_FREQUENCY, hz)]
            }
            TuneCommand::Gain(gain) => {
                self.gain = Some(gain);
                gain_commands(gain)
            }
            TuneCommand::Ppm(ppm) => vec![(SET_PPM, ppm as u32)],
        };
        self.stream.write_all(&encode(&commands))
    }
}

impl RtlTcp {
    /// Reads once, and discards stale bytes.
    fn read_fresh(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = match self.stream.read(buffer) {
                // A timeout has another name on each platform.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                result => result?,
            };
            if n > 0 && n <= self.stale {
                self.stale -= n;
                continue;
            }
            let stale = std::mem::take(&mut self.stale).min(n);
            buffer.copy_within(stale..n, 0);
            return Ok(n - stale);
        }
    }
}

/// Tries all addresses of `host`, and returns the error of the last one.
fn connect(host: &str, port: u16) -> Result<TcpStream> {
    let mut last_error = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(e) => last_error = Some(e),
        }
    }
    match last_error {
        Some(e) => Err(e.into()),
        None => bail!("the host name has no address"),
    }
}

/// Commands for the rate and frequency, and for what the user has chosen: the server was started with settings of its own,
/// such as the supply of an amplifier or the correction of its crystal.
fn setup_commands(tuning: &Tuning) -> Vec<u8> {
    let mut commands = vec![
        (SET_SAMPLE_RATE, tuning.sample_rate_hz),
        (SET_FREQUENCY, tuning.center_hz),
    ];
    let chosen = tuning.chosen;
    commands.extend(chosen.ppm.then_some((SET_PPM, tuning.ppm as u32)));
    commands.extend(chosen.digital_agc.then_some((SET_AGC, tuning.digital_agc.into())));
    commands.extend(chosen.bias_tee.then_some((SET_BIAS_TEE, tuning.bias_tee.into())));
    if chosen.gain {
        commands.extend(gain_commands(tuning.gain));
    }
    encode(&commands)
}

fn gain_commands(gain: Gain) -> Vec<(u8, u32)> {
    match gain {
        Gain::Auto | Gain::Best => vec![(SET_GAIN_MODE, 0)],
        Gain::Tenths(tenths) => vec![(SET_GAIN_MODE, 1), (SET_GAIN, tenths as u32)],
    }
}

/// Encodes each command as its number and a big-endian value.
fn encode(commands: &[(u8, u32)]) -> Vec<u8> {
    let frames = commands.iter().map(|(command, value)| {
        let [a, b, c, d] = value.to_be_bytes();
        [*command, a, b, c, d]
    });
    frames.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tuning::Chosen;

    #[test]
    fn given_nothing_chosen_then_only_rate_and_frequency_are_sent() {
        let commands = setup_commands(&Tuning::default());
        assert_eq!(
            commands.chunks(5).map(|c| c[0]).collect::<Vec<_>>(),
            [SET_SAMPLE_RATE, SET_FREQUENCY]
        );
    }

    #[test]
    fn given_a_tuning_then_each_setting_is_a_command_of_five_bytes() {
        let tuning = Tuning {
            gain: Gain::Tenths(402),
            ppm: -3,
            chosen: Chosen {
                gain: true,
                ppm: true,
                ..Chosen::default()
            },
            ..Tuning::default()
        };
        let commands = setup_commands(&tuning);
        assert_eq!(
            commands[..5],
            [0x02, 0x00, 0x24, 0x00, 0x00],
            "2 359 296 = 0x240000"
        );
        assert!(commands.chunks(5).any(|c| c == [0x05, 0xFF, 0xFF, 0xFF, 0xFD]));
        assert!(commands.ends_with(&[0x03, 0, 0, 0, 1, 0x04, 0, 0, 0x01, 0x92]));
    }
}
