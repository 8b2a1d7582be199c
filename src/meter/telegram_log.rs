//! State of the encryption of each meter of this home: logged when it is new, and shown until it changes.

use metertap_decode::wmbus::{KeyOrigin, Security, Telegram};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// States by receiver and meter. The meters are those of the configuration.
#[derive(Debug, Default)]
pub struct TelegramLog {
    states: BTreeMap<Arc<str>, BTreeMap<String, &'static str>>,
    changed: BTreeSet<Arc<str>>,
    /// Meters and states that were logged: a meter may send telegrams of two kinds in turn.
    logged: BTreeSet<(String, &'static str)>,
}

impl TelegramLog {
    /// Notes the state of a configured meter; logs one that is new for it.
    pub fn note(&mut self, id: &str, telegram: &Telegram, receiver: &Arc<str>) {
        let security = telegram.security;
        let of_receiver = self.states.entry(receiver.clone()).or_default();
        if of_receiver.insert(id.to_owned(), security.name()) != Some(security.name()) {
            self.changed.insert(receiver.clone());
        }
        if !self.logged.insert((id.to_owned(), security.name())) {
            return;
        }
        let remedy = match security {
            Security::NoKey(_) => ": set key in its [[meter]]",
            Security::WrongKey(_) => {
                ": ask the supplier for the key of this very meter; keys belong to meters, not to radios"
            }
            Security::PlainRefused => ": remove key from its [[meter]] to read it",
            _ => "",
        };
        match security {
            Security::Plain
            | Security::DecryptedBefore(_)
            | Security::Decrypted(_, KeyOrigin::Given | KeyOrigin::Default(_)) => {
                tracing::info!(meter = id, %receiver, "Telegrams of the meter can be read: {security}");
            }
            _ => tracing::warn!(meter = id, %receiver, "Telegram of the meter: {security}{remedy}"),
        }
    }

    /// States of the meters that a receiver has received.
    pub fn of_receiver(&self, receiver: &str) -> BTreeMap<String, &'static str> {
        self.states.get(receiver).cloned().unwrap_or_default()
    }

    /// Returns the receivers whose states have changed since the last call.
    pub fn take_changed(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }
}
