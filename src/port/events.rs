//! Bounded channel from the ports' tasks to the daemon's thread.
//!
//! The receiving side is a crossbeam channel, because the daemon selects on it together with the receivers' channels.
//! Tasks cannot block on such a channel, so each event takes a permit of a semaphore first, which is returned when the event is
//! received: a task waits for a permit without a thread and without polling.

use crate::meter::WireReading;
use crate::status::receiver::ReceiverState;
use crossbeam_channel::{Receiver, RecvError, Select, SelectedOperation, Sender, bounded};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Events under way from a port to the daemon; at the limit the port's task waits, and the meter's bytes wait in the
/// operating system.
const CAPACITY: usize = 64;

/// Event of a port.
#[derive(Debug)]
pub enum PortEvent {
    /// A report of a meter.
    Reading(Box<WireReading>),
    /// A new state of the port.
    State(Box<ReceiverState>),
}

/// Sending half.
#[derive(Clone, Debug)]
pub struct EventSender {
    permits: Arc<Semaphore>,
    to: Sender<(PortEvent, OwnedSemaphorePermit)>,
}

/// Receiving half.
#[derive(Debug)]
pub struct PortEvents(Receiver<(PortEvent, OwnedSemaphorePermit)>);

/// Creates a channel of [`CAPACITY`] events.
pub fn port_events() -> (EventSender, PortEvents) {
    let (to, from) = bounded(CAPACITY);
    let permits = Arc::new(Semaphore::new(CAPACITY));
    (EventSender { permits, to }, PortEvents(from))
}

impl EventSender {
    /// Sends an event; waits while the channel is full. Without a receiver the event is dropped: the daemon is gone.
    pub async fn send(&self, event: PortEvent) {
        if let Ok(permit) = self.permits.clone().acquire_owned().await {
            // There are as many places as permits, so a holder of one never finds the channel full.
            let _ = self.to.try_send((event, permit));
        }
    }
}

impl PortEvents {
    /// Adds the channel to a `select`.
    pub fn add_to<'a>(&'a self, select: &mut Select<'a>) -> usize {
        select.recv(&self.0)
    }

    /// Completes a selected operation on this channel.
    ///
    /// # Errors
    /// Returns an error if the port's task has ended and all its events were received.
    pub fn complete(&self, operation: SelectedOperation) -> Result<PortEvent, RecvError> {
        operation.recv(&self.0).map(|(event, _permit)| event)
    }

    /// Returns an event that is there already.
    pub fn try_next(&self) -> Option<PortEvent> {
        self.0.try_recv().ok().map(|(event, _permit)| event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;
    use std::sync::Arc;

    fn state() -> PortEvent {
        PortEvent::State(Box::new(ReceiverState::new(
            "hall",
            Arc::default(),
            Clock::system(),
        )))
    }

    #[tokio::test]
    async fn given_a_full_channel_then_a_sender_waits_until_an_event_is_received() {
        let (sender, events) = port_events();
        for _ in 0..CAPACITY {
            sender.send(state()).await;
        }
        let waiting = tokio::spawn(async move { sender.send(state()).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(events.try_next().is_some());
        waiting.await.unwrap();
        assert_eq!(std::iter::from_fn(|| events.try_next()).count(), CAPACITY);
    }
}
