//! Way of a message from the publishers to the connection: straight, or by way of the spool's thread.

use crate::publish::message::Message;
use crate::publish::mqtt::spool_thread::SpoolHandle;
use tokio::sync::mpsc;

/// Source of messages.
pub(crate) enum Inbox {
    /// Straight from the publishers; they wait there while the broker is away.
    Memory(mpsc::Receiver<Message>),
    /// By way of the spool's thread.
    Spool(SpoolHandle),
    /// No more messages: the publishers are gone, or the spool's thread is.
    Closed,
}

/// Event of an inbox.
pub(crate) enum Arrival {
    Message(Message),
    /// The spool's thread may have messages to take, or has none any more.
    InSpool,
    /// The publishers are gone and the inbox is empty.
    End,
}

/// Sending half of an inbox.
pub(crate) enum InboxSender {
    Memory(mpsc::Sender<Message>),
    Spool(crossbeam_channel::Sender<Message>),
}

impl InboxSender {
    /// Sends; waits while the inbox is full. Returns false if the connection has ended.
    pub fn send(&self, message: Message) -> bool {
        match self {
            InboxSender::Memory(inbox) => inbox.blocking_send(message).is_ok(),
            InboxSender::Spool(inbox) => inbox.send(message).is_ok(),
        }
    }

    /// Sends without waiting. Returns false if the inbox is full or the connection has ended.
    pub fn try_send(&self, message: Message) -> bool {
        match self {
            InboxSender::Memory(inbox) => inbox.try_send(message).is_ok(),
            InboxSender::Spool(inbox) => inbox.try_send(message).is_ok(),
        }
    }
}

impl Inbox {
    /// Waits for the next event; cancel safe. Never completes for a closed inbox.
    pub async fn next(&mut self) -> Arrival {
        match self {
            Inbox::Memory(inbox) => inbox.recv().await.map_or(Arrival::End, Arrival::Message),
            Inbox::Spool(spool) => {
                spool.arrived().await;
                Arrival::InSpool
            }
            Inbox::Closed => std::future::pending().await,
        }
    }

    /// Number of messages that were not received.
    pub fn len(&self) -> usize {
        match self {
            Inbox::Memory(inbox) => inbox.len(),
            Inbox::Spool(spool) => spool.len(),
            Inbox::Closed => 0,
        }
    }

    /// Returns true if there will be no further message.
    pub fn is_finished(&self) -> bool {
        match self {
            Inbox::Memory(_) => false,
            // In this order: nothing is added once it is closed.
            Inbox::Spool(spool) => spool.is_closed() && !spool.has_more(),
            Inbox::Closed => true,
        }
    }
}
