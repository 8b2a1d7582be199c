//! Telegrams of wireless M-Bus in this home: whose they are, whether they are new, and what each meter has sent so far.

use crate::meter::telegram_log::TelegramLog;
use metertap_decode::report::{Fields, MeterId, Report};
use metertap_decode::wmbus::{Decoder, Formats, KeyRing, Security, Telegram, TelegramError, report};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Meters whose last values and telegrams are remembered; a street has some hundreds. Telegrams of further ones give
/// readings of their own, unmerged.
const MAX_METERS: usize = 10_000;
/// Telegrams of a meter that are remembered, to recognize their copies.
const MAX_COPIES: usize = 4;
/// Longest delay of a copy by a repeater (OMS volume 2, 4.4.4: 25 s, over two hops). The same telegram after that time is a new one of a
/// meter that does not count its telegrams.
const REPEATER_DELAY: Duration = Duration::from_secs(60);
/// Longest delay between two receivers that hear one telegram.
const RECEIVER_DELAY: Duration = Duration::from_secs(2);

/// Keys, and the meters of this home.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelegramOptions {
    /// Keys by identification.
    pub keys: KeyRing,
    /// Ids of `[[meter]]` by identification of eight digits, which is that of a meter or of its radio.
    pub meters: BTreeMap<String, String>,
    /// Telegrams of other meters give readings, too.
    pub accepts_unlisted: bool,
}

impl TelegramOptions {
    /// Adds a meter of this home by its id in the configuration. Zeros in front may be left out there.
    pub fn insert(&mut self, id: &str) -> String {
        let number = format!("{:0>8}", id.to_ascii_uppercase());
        self.meters.insert(number.clone(), id.to_owned());
        number
    }

    /// Returns the id in the configuration of the meter that has sent a telegram.
    pub fn id_of(&self, telegram: &Telegram) -> Option<&str> {
        let numbers = [telegram.meter.number(), telegram.link.address.number()];
        let id = numbers.iter().find_map(|number| self.meters.get(number));
        id.map(String::as_str)
    }
}

/// What a telegram gave.
#[derive(Debug)]
pub struct Reception {
    /// The telegram; `None` if it is malformed.
    pub telegram: Option<Telegram>,
    /// Report with the last value of every field that the meter has sent, since many spread them over several telegrams.
    pub report: Option<Report>,
    /// Reason why there is no report, or why it is not complete.
    pub remark: Option<Remark>,
}

/// Reason why a telegram gave no report, or not a complete one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// It is malformed.
    Malformed(TelegramError),
    /// No `[[meter]]` has its id.
    OtherMeter(String),
    /// A repeater or another receiver has delivered it before.
    Repeated,
    /// Its values may not be used, or have not been proved: the name of the state, and a description.
    Security(&'static str, String),
    /// Records are missing.
    Incomplete(String),
}

/// Reader of telegrams: one for all receivers and ports of the process, so that what two of them receive is one reading.
#[derive(Clone, Debug, Default)]
pub struct Telegrams(Arc<Mutex<Reader>>);

#[derive(Debug, Default)]
struct Reader {
    options: TelegramOptions,
    decoder: Decoder,
    has_learned: bool,
    meters: HashMap<MeterId, Known>,
    log: TelegramLog,
}

/// What is known of a meter.
#[derive(Debug, Default)]
struct Known {
    /// Last telegrams, oldest first.
    last: Vec<Copy>,
    /// Last value of every field.
    fields: Fields,
}

/// Telegram that may come again.
#[derive(Debug)]
struct Copy {
    access_number: Option<u8>,
    /// Of the decrypted payload. Known data, so that the hash need not resist an attacker.
    hash: u64,
    at: Instant,
    receiver: Arc<str>,
}

impl Telegrams {
    /// Creates a reader that knows these compact formats from earlier processes.
    pub fn new(options: TelegramOptions, formats: &[Vec<u8>]) -> Self {
        let mut reader = Reader {
            options,
            ..Reader::default()
        };
        for headers in formats {
            reader.decoder.formats.learn_headers(headers);
        }
        Telegrams(Arc::new(Mutex::new(reader)))
    }

    /// Replaces keys and meters; what was learned of the meters stays.
    pub fn change(&self, options: TelegramOptions) {
        let mut reader = self.lock();
        if reader.options != options {
            reader.log = TelegramLog::default();
            reader.options = options;
        }
    }

    /// Reads a telegram with or without link CRCs that `receiver` has received at `now`.
    pub fn read(&self, bytes: &[u8], receiver: &Arc<str>, now: Instant) -> Reception {
        self.lock().read(bytes, receiver, now)
    }

    /// Returns the headers of all learned compact formats, if one was learned since the last call.
    pub fn take_learned(&self) -> Option<Vec<Vec<u8>>> {
        let mut reader = self.lock();
        let formats: &Formats = &reader.decoder.formats;
        let learned = formats.learned().map(<[u8]>::to_vec).collect();
        std::mem::take(&mut reader.has_learned).then_some(learned)
    }

    /// State of the encryption of each configured meter that `receiver` has received.
    pub fn security(&self, receiver: &str) -> BTreeMap<String, &'static str> {
        self.lock().log.of_receiver(receiver)
    }

    /// Returns the receivers of which [`security`](Self::security) has changed since the last call.
    pub fn take_changed(&self) -> Vec<Arc<str>> {
        self.lock().log.take_changed()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn read(&mut self, bytes: &[u8], receiver: &Arc<str>, now: Instant) -> Reception {
        let telegram = match self.decoder.decode(bytes, &self.options.keys) {
            Ok(telegram) => telegram,
            Err(error) => {
                return Reception {
                    telegram: None,
                    report: None,
                    remark: Some(Remark::Malformed(error)),
                };
            }
        };
        self.has_learned |= telegram.has_taught;
        let (report, remark) = match self.report(&telegram, receiver, now) {
            Ok((report, remark)) => (Some(report), remark),
            Err(remark) => (None, Some(remark)),
        };
        Reception {
            telegram: Some(telegram),
            report,
            remark,
        }
    }

    fn report(
        &mut self,
        telegram: &Telegram,
        receiver: &Arc<str>,
        now: Instant,
    ) -> Result<(Report, Option<Remark>), Remark> {
        let configured = self.options.id_of(telegram).map(str::to_owned);
        if configured.is_none() && !self.options.accepts_unlisted {
            return Err(Remark::OtherMeter(shown(telegram)));
        }
        if let Some(id) = &configured {
            self.log.note(id, telegram, receiver);
        }
        let security = telegram.security;
        let remark = || Remark::Security(security.name(), format!("{}: {security}", shown(telegram)));
        if !security.is_readable() {
            return Err(remark());
        }
        let problem = telegram
            .problem
            .map(|problem| Remark::Incomplete(format!("{}: {problem}", shown(telegram))));
        let mut report = report(telegram);
        if let Some(id) = configured {
            report.id = id.into();
        }
        if let Some(known) = self.known(&report.id) {
            if known.is_copy(telegram, receiver, now) {
                return Err(Remark::Repeated);
            }
            if telegram.records.is_empty() {
                return Err(
                    problem.unwrap_or_else(|| Remark::Incomplete(format!("{}: no values", shown(telegram))))
                );
            }
            for (name, value) in report.reading.0 {
                known.fields.put(name, value);
            }
            report.reading = known.fields.clone();
        } else if telegram.records.is_empty() {
            return Err(problem.unwrap_or(Remark::Repeated));
        }
        let unproved = matches!(security, Security::Unproved(_)).then(remark);
        Ok((report, unproved.or(problem)))
    }

    /// Returns what is known of a meter; `None` for a new one at [`MAX_METERS`].
    fn known(&mut self, id: &MeterId) -> Option<&mut Known> {
        if self.meters.len() >= MAX_METERS && !self.meters.contains_key(id) {
            return None;
        }
        Some(self.meters.entry(id.clone()).or_default())
    }
}

impl Known {
    /// Returns true for the copy of a telegram that was received before; remembers any other.
    fn is_copy(&mut self, telegram: &Telegram, receiver: &Arc<str>, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        telegram.payload.hash(&mut hasher);
        let this = Copy {
            access_number: telegram.access_number(),
            hash: hasher.finish(),
            at: now,
            receiver: receiver.clone(),
        };
        let is_copy = self.last.iter().any(|other| {
            let age = now.saturating_duration_since(other.at);
            let is_same = (other.access_number, other.hash) == (this.access_number, this.hash);
            // A meter that counts its telegrams sends none twice, unless it stands still.
            let by_repeater = this.access_number.is_some() && age < REPEATER_DELAY;
            let by_receiver = other.receiver != this.receiver && age < RECEIVER_DELAY;
            is_same && (by_repeater || by_receiver)
        });
        if !is_copy {
            if self.last.len() >= MAX_COPIES {
                self.last.remove(0);
            }
            self.last.push(this);
        }
        is_copy
    }
}

/// Returns how a telegram's meter is called in messages.
fn shown(telegram: &Telegram) -> String {
    let letters = telegram.meter.letters();
    format!("{} ({letters} {})", telegram.meter.number(), telegram.medium)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::wmbus::Address;
    use metertap_decode::wmbus::encode::{Protection, Sender};

    const VOLUME: [u8; 6] = [0x04, 0x13, 1, 0, 0, 0];

    /// Plain telegram of meter 12345678; one without a transport header does not count its telegrams.
    fn telegram(access_number: Option<u8>) -> Vec<u8> {
        let sender = Sender {
            radio: Address {
                manufacturer: 0x0443,
                identification: [0x78, 0x56, 0x34, 0x12],
                version: 1,
                device_type: 7,
            },
            meter: None,
            access_number: access_number.unwrap_or_default(),
            status: 0,
            protection: Protection::None,
        };
        let mut telegram = sender.telegram(&VOLUME).unwrap();
        if access_number.is_none() {
            // CI 78: no header.
            telegram.splice(10..15, [0x78]);
            telegram[0] -= 4;
        }
        telegram
    }

    fn telegrams() -> Telegrams {
        let options = TelegramOptions {
            accepts_unlisted: true,
            ..TelegramOptions::default()
        };
        Telegrams::new(options, &[])
    }

    #[test]
    fn given_a_telegram_again_then_it_is_a_copy_within_the_delay_of_repeaters_and_of_receivers() {
        let begun = Instant::now();
        for (access_number, receiver, seconds, expected) in [
            (Some(7), "roof", 25, false),
            (Some(7), "cellar", 0, false),
            (Some(7), "roof", 120, true),
            (Some(8), "roof", 25, true),
            (None, "roof", 1, true),
            (None, "cellar", 1, false),
            (None, "cellar", 16, true),
        ] {
            let telegrams = telegrams();
            let first = telegram(access_number.map(|_| 7));
            assert!(telegrams.read(&first, &"roof".into(), begun).report.is_some());
            let again = telegrams.read(
                &telegram(access_number),
                &receiver.into(),
                begun + Duration::from_secs(seconds),
            );
            assert_eq!(
                again.report.is_some(),
                expected,
                "{access_number:?} {receiver} {seconds}"
            );
        }
    }

    #[test]
    fn given_ten_thousand_strangers_and_one_then_all_give_readings_and_the_memory_is_bounded() {
        let telegrams = telegrams();
        let mut bytes = telegram(Some(1));
        for number in 0..=MAX_METERS as u32 {
            bytes[4..8].copy_from_slice(&number.to_le_bytes());
            let reception = telegrams.read(&bytes, &"roof".into(), Instant::now());
            assert!(reception.report.is_some(), "{number}");
        }
        assert_eq!(telegrams.lock().meters.len(), MAX_METERS);
    }
}
