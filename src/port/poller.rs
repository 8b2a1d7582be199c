//! Rounds of requests to the meters on a port, and the pauses between them.

use crate::port::kmp_poll::KnownMeter;
use crate::port::mbus_poll::Address;
use crate::port::transaction::{Disconnected, Transaction};
use crate::port::{DecodeError, Severity, iec_poll, kmp_poll, mbus_poll};
use crate::source::wire::Wire;
use metertap_decode::report::Report;
use metertap_decode::time::Zone;
use std::time::Duration;

/// Longest time from a request to the answer of an M-Bus meter: 330 bit times and 50 ms (EN 13757-2).
const MBUS_ANSWER_BITS: u32 = 330;
const MBUS_ANSWER: Duration = Duration::from_millis(50);
/// Slowest speed of a bus; that of a bus behind a network is not known.
const SLOWEST: u32 = 300;
/// Time for a Kamstrup meter to begin its answer.
const KMP_ANSWER: Duration = Duration::from_secs(1);
/// Bits of a request that the operating system or a bridge may still be sending when the wait for the answer begins: the
/// selection of a meter takes 17 characters of 11 bits, a request of eight registers about as much.
const REQUEST_BITS: u32 = 20 * 11;
/// Delays of USB adapters and TCP bridges.
const TRANSPORT: Duration = Duration::from_millis(500);
/// Interval between two readouts of a battery-powered meter: its maker allows for a few a day.
const BATTERY_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Shortest interval of a battery-powered meter that is not worth a word.
const SHORT_FOR_BATTERY: Duration = Duration::from_secs(3600);
/// Longest pause while no meter answers, in intervals.
const LONGEST_BACK_OFF: u32 = 8;
/// Rounds without an answer after which the meters are silent: a single one may be lost by a weak battery or a collision.
const SILENT: u32 = 2;
/// Rounds without an answer after which the connection is opened anew.
const LOST: u32 = 3;

/// Meters that are polled on one port.
pub enum PollTarget {
    /// Meters on an M-Bus.
    Mbus(Vec<Address>),
    /// Registers of a Kamstrup meter, and what was learned of it.
    Kmp(Vec<u16>, KnownMeter),
    /// Meter that is read by IEC 62056-21.
    Iec {
        /// Time zone of the meter.
        zone: Zone,
        /// Properties learned of it.
        known: iec_poll::KnownMeter,
        /// The interval is the default one, so that it is longer for a battery-powered meter.
        is_default_interval: bool,
    },
}

impl PollTarget {
    /// Registers of a Kamstrup meter of which nothing is known yet.
    pub fn kmp(registers: Vec<u16>) -> Self {
        PollTarget::Kmp(registers, KnownMeter::default())
    }
}

/// Polls the meters of a port.
pub struct Poller {
    every: Duration,
    answer_timeout: Duration,
    target: PollTarget,
    /// Rounds without any answer since the last answer.
    failures: u32,
    /// The user was told that the interval is short for a battery.
    has_warned: bool,
}

impl Poller {
    /// Polls `target` at intervals of `every`, and waits for each answer for `answer_timeout`.
    pub fn new(every: Duration, answer_timeout: Duration, target: PollTarget) -> Self {
        Poller {
            every,
            answer_timeout,
            target,
            failures: 0,
            has_warned: false,
        }
    }

    /// Asks every meter once; returns their reports and errors in the order of the meters.
    ///
    /// # Errors
    /// Returns [`Disconnected`] if the connection is lost during the round.
    pub async fn round(&mut self, wire: &mut Wire) -> Result<Vec<Result<Report, DecodeError>>, Disconnected> {
        let mut answers = Vec::new();
        match &mut self.target {
            PollTarget::Mbus(addresses) => {
                let mut transaction = Transaction {
                    wire,
                    timeout: self.answer_timeout,
                };
                for address in addresses {
                    answers.push(match mbus_poll::read(&mut transaction, *address).await {
                        Err(mbus_poll::PollError::Disconnected(gone)) => return Err(gone),
                        answer => answer.map_err(|error| DecodeError {
                            about: Some(address.to_string().into()),
                            ..decode_error(error.kind(), &error)
                        }),
                    });
                }
            }
            PollTarget::Kmp(registers, known) => {
                let mut transaction = Transaction {
                    wire,
                    timeout: self.answer_timeout,
                };
                answers.push(match kmp_poll::read(&mut transaction, registers, known).await {
                    Err(kmp_poll::PollError::Disconnected(gone)) => return Err(gone),
                    answer => answer.map_err(|error| decode_error(error.kind(), &error)),
                });
            }
            PollTarget::Iec { zone, known, .. } => {
                answers.push(match iec_poll::read(wire, zone, known).await {
                    Err(iec_poll::PollError::Disconnected(gone)) => return Err(gone),
                    Err(error) => Err(decode_error(error.kind(), &error)),
                    Ok((_, report)) => Ok(report),
                });
            }
        }
        if self.is_short_for_battery() && !self.has_warned {
            self.has_warned = true;
            answers.push(Err(DecodeError {
                kind: "battery",
                severity: Severity::Notice,
                about: None,
                text: format!(
                    "the meter runs on a battery, which its maker dimensions for a few readouts a day: every = {} shortens its life; without every, it is read each six hours",
                    self.every.as_secs()
                ),
            }));
        }
        let is_answered = answers.iter().any(Result::is_ok);
        self.failures = if is_answered { 0 } else { self.failures + 1 };
        Ok(answers)
    }

    /// Returns true if a battery-powered meter is read more often than its maker allows for.
    fn is_short_for_battery(&self) -> bool {
        let is_configured = matches!(&self.target, PollTarget::Iec { known, is_default_interval: false, .. } if known.is_battery_powered);
        is_configured && self.every < SHORT_FOR_BATTERY
    }

    /// Returns true if more rounds than one went unanswered.
    pub fn is_silent(&self) -> bool {
        self.failures >= SILENT
    }

    /// Returns true if so many rounds went unanswered that the connection itself may be dead.
    pub fn is_lost(&self) -> bool {
        self.failures >= LOST
    }

    /// Pause until the next round. It grows while no meter answers: each request drains a meter's battery.
    pub fn pause(&self) -> Duration {
        let back_off = 1 << self.failures.saturating_sub(1).min(31);
        let every = match &self.target {
            PollTarget::Iec {
                known,
                is_default_interval: true,
                ..
            } if known.is_battery_powered => BATTERY_INTERVAL,
            _ => self.every,
        };
        every * LONGEST_BACK_OFF.min(back_off)
    }
}

impl PollTarget {
    /// Time for a meter to begin its answer at `baud` (`None`: unknown, behind a network), as the protocol allows it, and
    /// for the way there and back. IEC 62056-21 has times of its own, see [`iec_poll`].
    pub fn answer_timeout(&self, baud: Option<u32>) -> Duration {
        let answer = match self {
            PollTarget::Mbus(_) => mbus_answer_time(baud),
            PollTarget::Kmp(..) | PollTarget::Iec { .. } => KMP_ANSWER,
        };
        answer + bits(REQUEST_BITS, baud) + TRANSPORT
    }
}

/// Returns the longest time from a request to the answer of an M-Bus meter at `baud`; `None` if that is unknown.
pub fn mbus_answer_time(baud: Option<u32>) -> Duration {
    MBUS_ANSWER + bits(MBUS_ANSWER_BITS, baud)
}

fn bits(count: u32, baud: Option<u32>) -> Duration {
    Duration::from_secs(count.into()) / baud.unwrap_or(SLOWEST).max(1)
}

fn decode_error(kind: &'static str, error: &dyn std::error::Error) -> DecodeError {
    DecodeError {
        kind,
        severity: Severity::Refused,
        about: None,
        text: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_slow_line_then_a_meter_may_take_the_time_of_the_standard_to_answer() {
        let mbus = PollTarget::Mbus(Vec::new());
        for (baud, latest_ms) in [(300, 1150), (2400, 187), (9600, 84)] {
            let answer = Duration::from_millis(latest_ms);
            assert!(mbus_answer_time(Some(baud)) >= answer, "{baud}");
            assert!(mbus.answer_timeout(Some(baud)) >= answer + TRANSPORT, "{baud}");
        }
        assert!(mbus.answer_timeout(None) == mbus.answer_timeout(Some(300)));
    }

    #[test]
    fn given_a_battery_powered_meter_then_the_default_interval_is_six_hours_and_a_configured_one_stays() {
        let hours = |is_battery_powered, is_default_interval| {
            iec(3600, is_battery_powered, is_default_interval)
                .pause()
                .as_secs()
                / 3600
        };
        assert_eq!(
            [hours(true, true), hours(false, true), hours(true, false)],
            [6, 1, 1]
        );
    }

    #[test]
    fn given_a_battery_powered_meter_then_an_interval_below_an_hour_is_short() {
        for (every_s, is_battery_powered, is_default, is_short) in [
            (900, true, false, true),
            (3600, true, false, false),
            (900, false, false, false),
            (900, true, true, false),
        ] {
            assert_eq!(
                iec(every_s, is_battery_powered, is_default).is_short_for_battery(),
                is_short
            );
        }
    }

    /// A poller of a meter that is read by IEC 62056-21.
    fn iec(every_s: u64, is_battery_powered: bool, is_default_interval: bool) -> Poller {
        let mut known = iec_poll::KnownMeter::default();
        known.is_battery_powered = is_battery_powered;
        let target = PollTarget::Iec {
            zone: Zone::default(),
            known,
            is_default_interval,
        };
        Poller::new(Duration::from_secs(every_s), Duration::ZERO, target)
    }

    #[test]
    fn given_no_answer_then_the_pause_grows_up_to_eight_intervals() {
        let target = PollTarget::Mbus(Vec::new());
        let mut poller = Poller::new(Duration::from_secs(60), Duration::ZERO, target);
        let pauses: Vec<u64> = (0..8)
            .map(|failures| {
                poller.failures = failures;
                poller.pause().as_secs() / 60
            })
            .collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 8, 8, 8]);
    }
}
