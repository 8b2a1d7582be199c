//! Rate limit of requests, for all clients together: behind a proxy or NAT one cannot be told from another.
//!
//! A token bucket in a few lines; the crates for it bring concurrent maps of clients, which are of no use here.

use crate::runtime::Clock;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Token bucket: filled at a steady rate, emptied by one with each request.
pub struct RateLimit {
    burst: f64,
    per_second: f64,
    clock: Clock,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimit {
    /// Allows `burst` requests at once, and `per_second` after that.
    pub fn new(burst: f64, per_second: f64, clock: Clock) -> Self {
        RateLimit {
            burst,
            per_second,
            bucket: Mutex::new(Bucket {
                tokens: burst,
                filled: clock.now(),
            }),
            clock,
        }
    }

    /// Counts a request; returns false if there are too many.
    pub fn allow(&self) -> bool {
        let now = self.clock.now();
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + elapsed * self.per_second).min(self.burst);
        bucket.filled = now;
        let is_allowed = bucket.tokens >= 1.0;
        if is_allowed {
            bucket.tokens -= 1.0;
        }
        is_allowed
    }
}

/// Answer to a request that is one too many.
pub fn too_many() -> Response {
    let retry = [(header::RETRY_AFTER, "6")];
    (StatusCode::TOO_MANY_REQUESTS, retry, "too many requests\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::time::Duration;

    #[test]
    fn given_too_many_requests_then_some_are_refused_until_later() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let limit = RateLimit::new(3.0, 0.5, clock.clone());
        let allowed: Vec<bool> = (0..5).map(|_| limit.allow()).collect();
        assert_eq!(allowed, [true, true, true, false, false]);
        clock.advance(Duration::from_secs(2));
        assert!(limit.allow() && !limit.allow());
        clock.advance(Duration::from_secs(3600));
        assert_eq!((0..5).filter(|_| limit.allow()).count(), 3);
    }
}
