//! Commits that are on their way: for them the committer waits a moment.
//!
//! While plugins are called about messages, commits come one by one, and each would have a sync of its own although the next one is a
//! fraction of a sync behind it. Whoever has a whole message about which a plugin is called says so; a group that is about to be written
//! then waits for what was announced just now. Where nobody is announced, nobody is waited for: who needs no call is there at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What was announced longer ago is not waited for: it is judged by somebody slow.
const NEAR: Duration = Duration::from_millis(1);

/// How many are announced, and when the last one was.
pub(crate) struct Announced {
    began: Instant,
    count: AtomicUsize,
    /// Microseconds since `began`.
    last: AtomicU64,
}

/// A commit that is announced until this is dropped: when it is sent, or comes to nothing.
#[must_use]
pub struct Coming(Arc<Announced>);

impl Announced {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), count: AtomicUsize::new(0), last: AtomicU64::new(0) })
    }

    pub(crate) fn announce(self: &Arc<Self>) -> Coming {
        self.last.store(self.now(), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        Coming(Arc::clone(self))
    }

    /// Somebody is worth waiting for.
    pub(crate) fn is_near(&self) -> bool {
        let since = self.now().saturating_sub(self.last.load(Ordering::Relaxed));
        self.count.load(Ordering::Relaxed) > 0 && u128::from(since) < NEAR.as_micros()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_just_now_is_near_until_it_is_sent() {
        let announced = Announced::new();
        assert!(!announced.is_near());
        let coming = announced.announce();
        // Not looked at within a millisecond it is not near any more: then the machine was busy, and another is as good.
        let is_near = (0..1_000).any(|_| {
            let _again = announced.announce();
            announced.is_near()
        });
        assert!(is_near);
        drop(coming);
        assert!(!announced.is_near());
    }

    #[test]
    fn what_was_announced_long_ago_is_not_waited_for() {
        let announced = Announced::new();
        let _coming = announced.announce();
        let since = Instant::now();
        while since.elapsed() <= 2 * NEAR {
            std::thread::yield_now();
        }
        assert!(!announced.is_near());
    }
}
