//! Thread priority for the threads that handle samples.

/// Asks for a higher priority for the calling thread: samples do not wait. Where that is not allowed, as for
/// most users, it goes on as it is.
pub fn raise_priority() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a nice value is a thread's, not a process's.
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), -10) {
            tracing::debug!(%error, "No higher priority for the sample thread.");
        }
    }
}
