//! Long-running parts of the daemon: how they are stopped, and how a panic in one of them becomes known.
//!
//! ```text
//!   daemon ──start──▶ Component ──thread, task──▶ supervised code
//!      ▲                                              │ panic
//!      └───────────────── Failure ◀───────────────────┘
//! ```

use crate::runtime::cancel::Cancel;
use crate::runtime::clock::Clock;
use crate::runtime::heartbeat::{Heartbeat, STUCK, Watchdog};
use crate::runtime::injection::Injection;
use crate::runtime::limit::Limit;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::task::JoinError;

/// Failures that wait for the daemon; a component fails once and is then restarted, so there are never many. Beyond
/// this limit they are counted and logged, and the restart of the component is triggered by the failures before.
const MAX_FAILURES: usize = 256;
/// Interval of the heartbeat of the I/O runtime.
const IO_BEAT: Duration = Duration::from_secs(1);

/// A part of the daemon that has threads or tasks of its own. Constructors start it.
pub trait Component: Send {
    /// Name of the component in logs, metrics and failures, such as `radio:roof`.
    fn name(&self) -> &str;

    /// Asks the component to end; returns at once.
    fn stop(&self);

    /// Waits until all threads and tasks of the component have ended, for `within` at most. Returns false if one has not:
    /// it is left to itself.
    fn join(self: Box<Self>, within: Duration) -> bool;
}

/// A thread or task of a component that has panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the component.
    pub component: String,
    /// Name of the thread or task.
    pub thread: String,
    /// Message of the panic.
    pub cause: String,
}

/// Everything a component needs of the process: its name, cancellation, clock, I/O runtime and supervision.
#[derive(Clone, Debug)]
pub struct Context {
    component: Arc<str>,
    /// Ends the component.
    pub cancel: Cancel,
    /// Time.
    pub clock: Clock,
    /// Runtime for network and serial I/O.
    pub io: tokio::runtime::Handle,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    watchdog: Watchdog,
    failures: Sender<Failure>,
    panics: AtomicU64,
    injection: Injection,
}

/// A supervised thread or task; dropping this does not end it.
#[derive(Debug)]
pub struct Running {
    name: String,
    /// Disconnected when the thread or task has ended, by whatever way.
    ended: Receiver<()>,
}

/// The process-wide runtime; dropping it abandons its tasks.
pub struct Runtime {
    /// Context of the process, from which those of the components derive.
    pub context: Context,
    /// Panics of supervised threads and tasks.
    pub failures: Receiver<Failure>,
    io: Option<tokio::runtime::Runtime>,
}

impl Runtime {
    /// Starts the I/O runtime, one thread called `io`.
    ///
    /// # Errors
    /// Returns the system's error if the thread or its event queue cannot be created.
    pub fn start(clock: Clock) -> io::Result<Self> {
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("io")
            .enable_all()
            .build()?;
        let (failures, receiver) = bounded(MAX_FAILURES);
        let injection = Injection::from_environment();
        let context = Context {
            component: "metertap".into(),
            cancel: Cancel::default(),
            clock: clock.clone(),
            io: io.handle().clone(),
            shared: Arc::new(Shared {
                watchdog: Watchdog::new(clock, injection.stuck_limit().unwrap_or(STUCK)),
                failures,
                panics: AtomicU64::new(0),
                injection,
            }),
        };
        let heartbeat = context.heartbeat("io");
        context.task("io", async move {
            loop {
                heartbeat.beat();
                tokio::time::sleep(IO_BEAT).await;
            }
        });
        Ok(Runtime {
            context,
            failures: receiver,
            io: Some(io),
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            // A task may sit in a read of standard input that never returns.
            io.shutdown_background();
        }
    }
}

impl Context {
    /// Returns the context of a component: with its name, and a token that ends it alone.
    pub fn component(&self, name: &str) -> Self {
        Context {
            component: name.into(),
            cancel: self.cancel.child(),
            ..self.clone()
        }
    }

    /// Name of the component.
    pub fn name(&self) -> &str {
        &self.component
    }

    /// Panics so far, of all components.
    pub fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// The register of heartbeats.
    pub fn watchdog(&self) -> &Watchdog {
        &self.shared.watchdog
    }

    /// Registers a heartbeat for the thread or task `name`.
    pub fn heartbeat(&self, name: &str) -> Heartbeat {
        self.shared.watchdog.register(name)
    }

    /// Hangs or panics if that was injected for the thread `name`: for a thread that was not started by [`Context::thread`].
    pub fn inject(&self, name: &str) {
        self.shared.injection.strike(name);
    }

    /// Runs `body` on a thread called `name`, which is at work until it says by its heartbeat that it waits. A panic there is
    /// logged, counted and reported as a [`Failure`].
    ///
    /// # Errors
    /// Returns the system's error if the thread cannot be created.
    pub fn thread(&self, name: &str, body: impl FnOnce(Heartbeat) + Send + 'static) -> io::Result<Running> {
        if self.shared.injection.refuses_thread(name) {
            return Err(io::Error::other("cannot create a thread (injected)"));
        }
        let (ends, running) = Running::new(name);
        let (context, heartbeat) = (self.clone(), self.heartbeat(name));
        let thread = name.to_owned();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
                context.inject(&thread);
                body(heartbeat);
            }));
            if let Err(payload) = result {
                context.report(&thread, payload.as_ref());
            }
            drop(ends);
        })?;
        Ok(running)
    }

    /// Runs `future` as a task called `name` on the I/O runtime; it is at work while it is polled. A panic there is logged,
    /// counted and reported as a [`Failure`].
    pub fn task(&self, name: &str, future: impl Future<Output = ()> + Send + 'static) -> Running {
        let (ends, running) = Running::new(name);
        let context = self.clone();
        let task = name.to_owned();
        let heartbeat = self.heartbeat(name);
        heartbeat.idle();
        self.io.spawn(async move {
            let injected = context.clone();
            let injected_name = task.clone();
            let body = async move {
                injected.inject(&injected_name);
                future.await;
            };
            let mut body = Supervised {
                body: Box::pin(body),
                heartbeat,
            };
            if let Err(payload) = (&mut body).await {
                context.report(&task, payload.as_ref());
            }
            // Only now are the task's channels closed: whoever sees that finds the failure reported already.
            drop(body);
            drop(ends);
        });
        running
    }

    fn report(&self, thread: &str, payload: &(dyn Any + Send)) {
        let cause = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a message".into());
        self.shared.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(component = %self.component, thread, cause, "Thread panicked");
        let _ = self.shared.failures.try_send(Failure {
            component: self.component.to_string(),
            thread: thread.to_owned(),
            cause,
        });
    }
}

impl Running {
    fn new(name: &str) -> (Sender<()>, Self) {
        let (ends, ended) = bounded(0);
        let name = name.to_owned();
        (ends, Running { name, ended })
    }

    /// Name of the thread or task.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the thread or task has ended, for `within` at most; returns true if it has.
    pub fn join(&self, within: Duration) -> bool {
        // Nothing is ever sent: the sender is dropped at the end, also by a panic.
        self.ended.recv_timeout(within) == Err(RecvTimeoutError::Disconnected)
    }

    /// Waits until the thread or task has ended, or until `limit`; returns true if it has ended.
    pub fn join_until(&self, limit: &Limit) -> bool {
        limit.wait(&self.ended)
    }

    /// Returns true if the thread or task has ended.
    pub fn has_ended(&self) -> bool {
        self.join(Duration::ZERO)
    }
}

/// Returns the result of a task that another one waits for, nothing if it was aborted. A panic goes on in the task that
/// waits, which is thereby the one that is supervised.
pub fn propagate_panic<T>(result: Result<T, JoinError>) -> Option<T> {
    match result.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Future that returns a panic of the inner one as an error, and is at work while it is polled.
struct Supervised {
    body: Pin<Box<dyn Future<Output = ()> + Send>>,
    heartbeat: Heartbeat,
}

impl Future for Supervised {
    type Output = Result<(), Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.heartbeat.beat();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.body.as_mut().poll(cx)));
        self.heartbeat.idle();
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(payload) => Poll::Ready(Err(payload)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn failure(thread: &str, cause: &str) -> Failure {
        Failure {
            component: "radio:roof".into(),
            thread: thread.into(),
            cause: cause.into(),
        }
    }

    #[test]
    fn given_a_thread_or_task_that_panics_then_it_is_counted_and_reported_with_its_name() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let context = runtime.context.component("radio:roof");
        let thread = context
            .thread("search:roof", |_| panic!("out of samples"))
            .unwrap();
        assert!(thread.join(LONG));
        assert_eq!(
            runtime.failures.recv_timeout(LONG),
            Ok(failure("search:roof", "out of samples"))
        );
        let task = context.task("poll:roof", async { panic!("number {}", 7) });
        assert!(task.join(LONG));
        assert_eq!(
            runtime.failures.recv_timeout(LONG),
            Ok(failure("poll:roof", "number 7"))
        );
        assert_eq!(context.panics(), 2);
    }

    #[test]
    fn given_threads_and_tasks_that_end_then_nothing_is_reported() {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let context = runtime.context.component("radio:roof");
        let thread = context.thread("quick", |_| ()).unwrap();
        let cancel = context.cancel.clone();
        let task = context.task("patient", async move { cancel.cancelled().await });
        assert!(thread.join(LONG));
        assert!(!task.has_ended());
        context.cancel.cancel();
        assert!(task.join(LONG));
        assert!(runtime.failures.is_empty());
        assert!(!runtime.context.cancel.is_cancelled());
    }
}
