//! Calls that take long compute by turns, and never on all workers.
//!
//! Nearly every call is over within some milliseconds, and runs where its session is. One that goes on has turns from then on, a tick
//! long each, and fewer calls have one at a time than there are workers: one worker is always there for everybody else, and looks at the
//! sockets. Were there no turns, as many runaway calls as workers would keep all others waiting.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use tokio::sync::Semaphore;

/// Says that a call takes long: its ticks do, and who runs it looks.
#[derive(Clone, Default)]
pub(crate) struct Long(Arc<AtomicBool>);

impl Long {
    /// It does.
    pub(crate) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many calls that take long compute at once.
pub(crate) struct Turns(Semaphore);

impl Turns {
    /// One less than there are processors, which is as many as there are workers; where there is one, one.
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of((processors - 1).max(1))
    }

    fn of(calls: usize) -> Self {
        Self(Semaphore::new(calls))
    }

    /// Runs a call to its end, by turns with others once it takes long.
    pub(crate) async fn run<T>(&self, long: &Long, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let short = poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Pending if long.is_noted() => Poll::Ready(None),
            polled => polled.map(Some),
        });
        if let Some(done) = short.await {
            return done;
        }
        loop {
            // Nobody closes it; if it were closed, there would be no turns to wait for.
            let turn = self.0.acquire().await;
            let polled = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
            drop(turn);
            if let Poll::Ready(done) = polled {
                return done;
            }
            woken().await;
        }
    }
}

/// Until what was polled just before can go on: its waker is this task's.
async fn woken() {
    let mut has_slept = false;
    poll_fn(|_| if std::mem::replace(&mut has_slept, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    use super::*;

    /// Computes for so long, and says after each millisecond that it is long and wants another turn. Answers how many computed at once,
    /// at most: in the first of its milliseconds it was not long yet, and is not counted.
    async fn compute(long: &Long, length: Duration, at_once: &AtomicUsize) -> usize {
        let (began, mut most) = (Instant::now(), 0);
        let mut counted = 0;
        while began.elapsed() < length {
            let turn = Instant::now();
            most = most.max(at_once.fetch_add(counted, Ordering::SeqCst) + counted);
            while turn.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            at_once.fetch_sub(counted, Ordering::SeqCst);
            counted = 1;
            long.note();
            tokio::task::yield_now().await;
        }
        most
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_compute_at_once_than_there_are_turns() {
        let (turns, at_once) = (Arc::new(Turns::of(2)), Arc::new(AtomicUsize::new(0)));
        let calls: Vec<_> = (0..6)
            .map(|_| {
                let (turns, at_once) = (Arc::clone(&turns), Arc::clone(&at_once));
                tokio::spawn(async move {
                    let long = Long::default();
                    turns.run(&long, compute(&long, Duration::from_millis(50), &at_once)).await
                })
            })
            .collect();
        for call in calls {
            let most = call.await.unwrap();
            assert!(most <= 2, "{most}");
        }
        assert_eq!(at_once.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn one_that_waits_for_others_holds_no_turn() {
        let (turns, long, at_once) = (Turns::of(1), Long::default(), AtomicUsize::new(0));
        let (tell, told) = tokio::sync::oneshot::channel();
        let waiting = turns.run(&long, async {
            compute(&long, Duration::from_millis(2), &at_once).await;
            told.await.unwrap()
        });
        let other = Long::default();
        let computing = turns.run(&other, async {
            compute(&other, Duration::from_millis(5), &at_once).await;
            tell.send(7).unwrap();
        });
        let (told, ()) = tokio::join!(waiting, computing);
        assert_eq!(told, 7);
    }

    #[tokio::test]
    async fn a_short_call_takes_no_turn() {
        let short = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(Turns::of(0).run(&Long::default(), short).await, 7);
    }
}
