//! Session that stays in service while the connection waits for something else.

use crate::publish::mqtt::session::{Session, SessionEvent};
use crate::publish::mqtt::session_error::SessionError;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;

/// Events held back, at most. Beyond that the session is not polled until the connection has handled them; PUBACKs alone
/// cannot reach the limit.
const MAX_EVENTS: usize = 1024;

/// A session and its events that were not handled yet, in order.
pub(crate) struct Link {
    session: Session,
    events: VecDeque<Result<SessionEvent, SessionError>>,
}

impl Link {
    /// Wraps a session.
    pub fn new(session: Session) -> Self {
        Link {
            session,
            events: VecDeque::new(),
        }
    }

    /// Returns true if no event is held back.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Waits for the next event; cancel safe like [`Session::next`].
    ///
    /// # Errors
    /// Returns the reason if the connection could not be made or has broken.
    pub async fn next(&mut self) -> Result<SessionEvent, SessionError> {
        match self.events.pop_front() {
            Some(event) => event,
            None => self.session.next().await,
        }
    }

    /// Waits for `work`, such as a write to the disk, and polls the session meanwhile: PINGREQs are sent, PUBACKs are read
    /// and held back. Only for a session that is connected, where polling is cancel safe.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            // A session that has failed must not be polled again.
            let is_alive = !matches!(self.events.back(), Some(Err(_)));
            tokio::select! {
                biased;
                result = &mut work => return result,
                event = self.session.next(), if is_alive && self.events.len() < MAX_EVENTS => {
                    if event != Ok(SessionEvent::Other) {
                        self.events.push_back(event);
                    }
                }
            }
        }
    }
}
