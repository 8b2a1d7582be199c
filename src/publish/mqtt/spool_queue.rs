//! Between those who publish and the connection: straight through while the broker is there, by way of the disk while
//! it is not.

use crate::publish::mqtt::message::Message;
use crate::store::spool::Spool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

/// Messages written to the disk at once, at most.
const BATCH: usize = 64;

/// Shared by those who put in and those who take out.
#[derive(Clone)]
pub struct SpoolQueue {
    inner: Arc<Mutex<Inner>>,
    /// Something has come.
    pub came: Arc<Notify>,
}

struct Inner {
    spool: Spool,
    /// Nothing waits on the disk and the broker is there: straight through.
    direct: bool,
    /// All up to this number are with the connection.
    loaded: u64,
    /// Numbers below this one are of an earlier process.
    begun: u64,
    /// The disk does not take it: told once.
    complained: bool,
    lost: u64,
}

impl SpoolQueue {
    /// Over a spool; what an earlier process has left goes first.
    pub fn new(spool: Spool) -> Self {
        let inner = Inner {
            begun: spool.next(),
            spool,
            direct: false,
            loaded: 0,
            complained: false,
            lost: 0,
        };
        SpoolQueue {
            inner: Arc::new(Mutex::new(inner)),
            came: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what comes to the connection, or to the disk; ends with the inbox.
    pub async fn intake(self, mut inbox: mpsc::Receiver<Message>, to: mpsc::Sender<Message>) {
        while let Some(message) = inbox.recv().await {
            let mut batch = vec![message];
            while batch.len() < BATCH {
                match inbox.try_recv() {
                    Ok(message) => batch.push(message),
                    Err(_) => break,
                }
            }
            self.take(batch, &to);
        }
    }

    fn take(&self, batch: Vec<Message>, to: &mpsc::Sender<Message>) {
        let mut inner = self.lock();
        let mut kept = Vec::new();
        for message in batch {
            if !message.is_reading() {
                // The next one says more; an announcement is repeated by whoever made it.
                let _ = to.try_send(message);
                continue;
            }
            if !inner.direct {
                kept.push(message);
                continue;
            }
            match to.try_send(message) {
                Ok(()) => {}
                Err(TrySendError::Full(message) | TrySendError::Closed(message)) => {
                    inner.direct = false;
                    kept.push(message);
                }
            }
        }
        inner.put(&kept, false);
        self.came.notify_one();
    }

    /// The broker is gone, or silent: `in_front` was on its way before anything on the disk, `behind` after it.
    /// Gives the numbers of the first of each; they stay with the connection as well.
    pub fn keep(&self, in_front: &[Message], behind: &[Message]) -> (Option<u64>, Option<u64>) {
        let mut inner = self.lock();
        inner.direct = false;
        let mut put = |messages: &[Message], in_front| {
            let begin = inner.put(messages, in_front)?;
            inner.loaded = inner.loaded.max(begin + messages.len() as u64 - 1);
            Some(begin)
        };
        (put(in_front, true), put(behind, false))
    }

    /// Whether a number was given by an earlier process.
    pub fn is_inherited(&self, key: u64) -> bool {
        key < self.lock().begun
    }

    /// How many are on the disk that are not with the connection, about.
    pub fn left(&self) -> usize {
        let inner = self.lock();
        if inner.direct {
            0
        } else {
            inner.spool.after(inner.loaded)
        }
    }

    /// Whether none is on the disk that is not with the connection, too.
    pub fn is_drained(&self) -> bool {
        let inner = self.lock();
        inner
            .spool
            .load(inner.loaded, 1)
            .is_ok_and(|rows| rows.is_empty())
    }

    /// The oldest on the disk that the connection has not had. Nothing: what comes from now on goes straight through.
    pub fn load(&self, count: usize) -> Vec<(u64, Message)> {
        let mut inner = self.lock();
        if inner.direct {
            return Vec::new();
        }
        match inner.spool.load(inner.loaded, count) {
            Ok(messages) => {
                inner.direct = messages.is_empty();
                inner.loaded = messages.last().map_or(inner.loaded, |(key, _)| *key);
                messages
            }
            Err(error) => {
                inner.complain(&error);
                Vec::new()
            }
        }
    }

    /// Those up to this number are delivered.
    pub fn delivered(&self, last: u64) {
        let mut inner = self.lock();
        if let Err(error) = inner.spool.remove_through(last) {
            inner.complain(&error);
        }
    }

    /// Only the newest of each meter are wanted.
    pub fn thin(&self) {
        let mut inner = self.lock();
        let loaded = inner.loaded;
        match inner.spool.thin(loaded) {
            Ok(0) => {}
            Ok(count) => tracing::info!(
                count,
                "Older readings of the backlog were let go, as mqtt.backlog wants."
            ),
            Err(error) => inner.complain(&error),
        }
    }

    /// How many are on the disk, and how many were lost because there was no room.
    pub fn close(&self) -> (u64, u64) {
        let inner = self.lock();
        let _ = inner.spool.sync();
        (
            inner.spool.len().unwrap_or_default(),
            inner.lost + inner.spool.dropped,
        )
    }
}

impl Inner {
    fn put(&mut self, messages: &[Message], in_front: bool) -> Option<u64> {
        if messages.is_empty() {
            return None;
        }
        let before = self.spool.dropped;
        match self.spool.put(messages, in_front, self.loaded) {
            Ok(begin) => {
                if before == 0 && self.spool.dropped > 0 {
                    tracing::warn!(
                        "The broker has been away for long: the oldest readings are being dropped."
                    );
                }
                Some(begin)
            }
            Err(error) => {
                self.lost += messages.len() as u64;
                self.complain(&error);
                None
            }
        }
    }

    fn complain(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::error!(
                error = format!("{error:#}"),
                "The spool cannot be used: readings may be lost."
            );
        }
    }
}
