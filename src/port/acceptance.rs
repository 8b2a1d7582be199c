//! Acceptance of what comes over a port: bytes that never become a reading are a condition of the port, not of a telegram.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Shortest time without a reading, although bytes come, after which the port is stalled.
const SHORTEST: Duration = Duration::from_secs(60);

/// Spell of bytes without a reading.
#[derive(Debug, Default)]
pub struct Acceptance {
    spell: Option<Spell>,
}

/// What came instead of readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// Bytes that are not even errors.
    NotUnderstood,
    /// Errors: how many of each kind.
    Errors(String),
}

#[derive(Debug)]
struct Spell {
    begun: Instant,
    newest: Instant,
    /// Counters of errors when it began.
    errors: BTreeMap<&'static str, u64>,
    is_reported: bool,
}

impl Acceptance {
    /// Notes that bytes have come; `errors` are the counters before them.
    pub fn bytes_received(&mut self, errors: &BTreeMap<&'static str, u64>, now: Instant) {
        let spell = self.spell.get_or_insert_with(|| Spell {
            begun: now,
            newest: now,
            errors: errors.clone(),
            is_reported: false,
        });
        spell.newest = now;
    }

    /// Notes a reading, which ends the spell.
    pub fn reading_received(&mut self) {
        self.spell = None;
    }

    /// Returns true while the spell has been reported, so that single errors need not be.
    pub fn is_reported(&self) -> bool {
        self.spell.as_ref().is_some_and(|spell| spell.is_reported)
    }

    /// Returns the complaint about a spell of a minute or more, in which telegrams were due; once for each spell.
    pub fn complaint(
        &mut self,
        errors: &BTreeMap<&'static str, u64>,
        telegrams_due: Duration,
    ) -> Option<Complaint> {
        let spell = self.spell.as_mut().filter(|spell| !spell.is_reported)?;
        // Bytes that came once and no more are silence.
        let lasted = spell.newest.saturating_duration_since(spell.begun);
        if lasted < SHORTEST.max(telegrams_due) {
            return None;
        }
        spell.is_reported = true;
        let since = |(kind, count): (&&'static str, &u64)| {
            let since = count - spell.errors.get(kind).copied().unwrap_or(0);
            (since > 0).then(|| format!("{since} × {kind}"))
        };
        let found: Vec<String> = errors.iter().filter_map(since).collect();
        Some(if found.is_empty() {
            Complaint::NotUnderstood
        } else {
            let seconds = lasted.as_secs();
            Complaint::Errors(format!(
                "no reading for {seconds} s, only errors: {}",
                found.join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(wrong_crc: u64) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([("wrong_crc", wrong_crc), ("cut", 2)])
    }

    #[test]
    fn given_nothing_but_errors_for_a_minute_then_they_are_reported_once_with_their_counts() {
        let (mut acceptance, begun) = (Acceptance::default(), Instant::now());
        for second in 0..=70 {
            let now = begun + Duration::from_secs(second);
            acceptance.bytes_received(&errors(7 + second), now);
            let complaint = acceptance.complaint(&errors(8 + second), Duration::from_secs(3));
            match second {
                60 => assert_eq!(
                    complaint,
                    Some(Complaint::Errors(
                        "no reading for 60 s, only errors: 61 × wrong_crc".into()
                    ))
                ),
                _ => assert_eq!(complaint, None, "{second}"),
            }
        }
        assert!(acceptance.is_reported());
        acceptance.reading_received();
        assert!(!acceptance.is_reported());
    }

    #[test]
    fn given_bytes_that_nobody_understands_then_that_is_the_complaint() {
        let (mut acceptance, begun) = (Acceptance::default(), Instant::now());
        for second in 0..=90 {
            acceptance.bytes_received(&errors(0), begun + Duration::from_secs(second));
        }
        let complaint = acceptance.complaint(&errors(0), Duration::ZERO);
        assert_eq!(complaint, Some(Complaint::NotUnderstood));
    }

    #[test]
    fn given_one_broken_telegram_of_a_meter_that_sends_rarely_then_it_is_no_condition() {
        let (mut acceptance, begun) = (Acceptance::default(), Instant::now());
        acceptance.bytes_received(&errors(0), begun);
        assert_eq!(acceptance.complaint(&errors(1), Duration::from_secs(2700)), None);
    }
}
