//! What is asked on a port, of whom, and how often.

use crate::port::mbus_master::Address;
use crate::port::transaction::{Disconnected, Transaction};
use crate::port::{Trouble, kmp_master, mbus_master};
use crate::source::wire::Wire;
use metertap_decode::report::Report;
use std::time::Duration;

/// Meters on an M-Bus have 330 bit times and 50 ms to answer; a TCP bridge takes its time as well.
const MBUS_PATIENCE: Duration = Duration::from_millis(700);
/// A Kamstrup meter thinks for up to a second.
const KMP_PATIENCE: Duration = Duration::from_millis(1500);
/// While nobody answers, so many intervals may pass between two attempts.
const LONGEST_BACK_OFF: u32 = 8;

/// Rounds without an answer after which the line is opened anew.
const LOST: u32 = 3;

/// Of whom.
pub enum PollTarget {
    /// Meters on an M-Bus.
    Mbus(Vec<Address>),
    /// A Kamstrup meter: registers, and what is known of it.
    Kmp(Vec<u16>, kmp_master::Known),
}

/// What is asked on a port.
pub struct Poller {
    every: Duration,
    whom: PollTarget,
    /// Rounds in which nobody has answered.
    failures: u32,
}

impl Poller {
    /// Asks these `every` so often.
    pub fn new(every: Duration, whom: PollTarget) -> Self {
        Poller {
            every,
            whom,
            failures: 0,
        }
    }

    /// One round.
    ///
    /// # Errors
    /// Where the line is gone.
    pub async fn ask(&mut self, wire: &mut Wire) -> Result<Vec<Result<Report, Trouble>>, Disconnected> {
        let mut answers = Vec::new();
        match &mut self.whom {
            PollTarget::Mbus(addresses) => {
                let mut talk = Transaction {
                    wire,
                    patience: MBUS_PATIENCE,
                };
                for address in addresses {
                    answers.push(match mbus_master::read(&mut talk, *address).await {
                        Err(mbus_master::PollError::Disconnected(gone)) => return Err(gone),
                        Err(error) => Err(trouble(error.kind(), &error)),
                        Ok(report) => Ok(report),
                    });
                }
            }
            PollTarget::Kmp(registers, known) => {
                let mut talk = Transaction {
                    wire,
                    patience: KMP_PATIENCE,
                };
                answers.push(match kmp_master::read(&mut talk, registers, known).await {
                    Err(kmp_master::PollError::Disconnected(gone)) => return Err(gone),
                    Err(error) => Err(trouble(error.kind(), &error)),
                    Ok(report) => Ok(report),
                });
            }
        }
        let is_answered = answers.iter().any(Result::is_ok);
        self.failures = if is_answered { 0 } else { self.failures + 1 };
        Ok(answers)
    }

    /// Whether the line itself may be to blame.
    pub fn is_lost(&self) -> bool {
        self.failures >= LOST
    }

    /// Until the next round: longer and longer while nobody answers, for a battery is somebody's money.
    pub fn pause(&self) -> Duration {
        let back_off = 1 << self.failures.saturating_sub(1).min(31);
        self.every * LONGEST_BACK_OFF.min(back_off)
    }
}

fn trouble(kind: &'static str, error: &dyn std::error::Error) -> Trouble {
    Trouble {
        kind,
        is_understood: true,
        text: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_nobody_answers_the_pause_grows_up_to_eight_intervals() {
        let mut questions = Poller::new(Duration::from_secs(60), PollTarget::Mbus(Vec::new()));
        let pauses: Vec<u64> = (0..8)
            .map(|failures| {
                questions.failures = failures;
                questions.pause().as_secs() / 60
            })
            .collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 8, 8, 8]);
    }
}
