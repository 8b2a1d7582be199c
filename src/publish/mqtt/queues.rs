//! The messages that wait, in their order, with where each of them is.

use crate::publish::message::Message;
use crate::publish::mqtt::waiting::IN_FLIGHT;
use std::collections::{HashSet, VecDeque};

/// Readings, and everything else.
pub(crate) struct Queues {
    pub readings: VecDeque<Entry>,
    /// Announcements, states, and the birth message of the present connection in front.
    pub others: VecDeque<Entry>,
    last_token: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Queued,
    InFlight,
    /// Has failed a few times: others are tried first.
    Parked,
}

/// Message with its history.
pub(crate) struct Entry {
    /// Ascends in the order in which messages were added.
    pub token: u64,
    /// Place among announcements, states and readings that came without a spool.
    pub order: u64,
    /// Key in the backlog.
    pub key: Option<u64>,
    pub message: Message,
    pub place: Place,
    pub failures: u8,
    /// Another message was accepted after this one was parked: it must not fail once more.
    pub is_on_trial: bool,
    pub is_birth: bool,
}

impl Entry {
    pub fn is_queued(&self) -> bool {
        self.place == Place::Queued
    }

    pub fn is_parked(&self) -> bool {
        self.place == Place::Parked
    }
}

impl Queues {
    pub fn new() -> Self {
        Queues {
            readings: VecDeque::with_capacity(IN_FLIGHT),
            others: VecDeque::new(),
            last_token: 0,
        }
    }

    /// Token of the message that was added last.
    pub fn last_token(&self) -> u64 {
        self.last_token
    }

    /// Adds a message behind those of its kind.
    pub fn push(&mut self, order: u64, key: Option<u64>, message: Message) {
        let is_reading = message.is_reading();
        let entry = self.entry(order, key, message);
        match is_reading {
            true => self.readings.push_back(entry),
            false => self.others.push_back(entry),
        }
    }

    /// Adds the birth message of a connection.
    pub fn push_birth(&mut self, birth: Message) {
        let mut entry = self.entry(0, None, birth);
        entry.is_birth = true;
        self.others.push_front(entry);
    }

    fn entry(&mut self, order: u64, key: Option<u64>, message: Message) -> Entry {
        self.last_token += 1;
        Entry {
            token: self.last_token,
            order,
            key,
            message,
            place: Place::Queued,
            failures: 0,
            is_on_trial: false,
            is_birth: false,
        }
    }

    /// The birth message of the present connection, until it is settled.
    pub fn birth(&self) -> Option<&Entry> {
        self.others.front().filter(|entry| entry.is_birth)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.readings.iter().chain(&self.others)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.readings.iter_mut().chain(&mut self.others)
    }

    /// Messages added after `token`, the latest first.
    pub fn added_after(&self, token: u64) -> impl Iterator<Item = &Entry> {
        let is_new = move |entry: &&Entry| entry.token > token;
        let readings = self.readings.iter().rev().take_while(is_new);
        readings.chain(self.others.iter().rev().take_while(is_new))
    }

    pub fn find(&self, token: u64) -> Option<&Entry> {
        self.iter().find(|entry| entry.token == token)
    }

    pub fn find_mut(&mut self, token: u64) -> Option<&mut Entry> {
        self.iter_mut().find(|entry| entry.token == token)
    }

    pub fn remove(&mut self, token: u64) -> Option<Entry> {
        [&mut self.readings, &mut self.others]
            .into_iter()
            .find_map(|queue| {
                let place = queue.iter().position(|entry| entry.token == token)?;
                queue.remove(place)
            })
    }

    /// Puts what is at `from` back into the queue, and marks readings as sent again if `marks_resent`. Returns true if there was
    /// anything.
    pub fn requeue(&mut self, from: Place, marks_resent: bool, change: impl Fn(&mut Entry)) -> bool {
        let mut has_any = false;
        for entry in self.iter_mut().filter(|entry| entry.place == from) {
            has_any = true;
            entry.place = Place::Queued;
            if marks_resent {
                entry.message.mark_resent();
            }
            change(entry);
        }
        has_any
    }

    /// Removes birth messages, and announcements and states that have a later one of their topic.
    pub fn keep_latest_others(&mut self) {
        let mut seen = HashSet::new();
        let mut latest = VecDeque::with_capacity(self.others.len());
        while let Some(entry) = self.others.pop_back() {
            if !entry.is_birth && seen.insert(entry.message.topic.clone()) {
                latest.push_front(entry);
            }
        }
        self.others = latest;
    }
}
