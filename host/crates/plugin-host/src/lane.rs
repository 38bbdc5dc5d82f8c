//! Calls that take long leave the workers, for threads of lower priority.
//!
//! Nearly every call is over within some milliseconds, and runs where its session is. One that goes on is moved to one of few threads
//! that are nicer than the workers: there all such calls compute by turns, a tick long each, and the kernel lets whoever else has
//! something to do go first. What a runaway call costs the other sessions is then the time until it is seen to be one.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// How much nicer its threads are than the workers (setpriority(2)): where all processors are busy, one of them has about a third of what
/// a worker has.
const NICE: i32 = 5;

/// Says that a call takes long: its ticks do, and who runs it looks.
#[derive(Clone, Default)]
pub(crate) struct Long(Arc<Progress>);

#[derive(Default)]
struct Progress {
    is_long: AtomicBool,
    /// How often it went on.
    polls: AtomicU64,
    /// Nanoseconds of a processor, since it was moved: of the polls that are over.
    computed: AtomicU64,
    /// What its thread had computed when the poll began that runs; 0 before it is moved.
    poll_began: AtomicU64,
}

impl Long {
    /// It does.
    pub(crate) fn note(&self) {
        self.0.is_long.store(true, Ordering::Relaxed);
    }

    /// How often it went on: between two equal answers it has not let anybody else compute.
    pub(crate) fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::Relaxed)
    }

    /// What it computed since it was moved: what it waited for its turn or for a processor is not in it. Asked while it computes; `None`
    /// of one that is not moved.
    pub(crate) fn computed(&self) -> Option<Duration> {
        let began = self.0.poll_began.load(Ordering::Relaxed);
        let nanos = self.0.computed.load(Ordering::Relaxed);
        let now = processor_nanos().saturating_sub(began);
        (began > 0).then(|| Duration::from_nanos(nanos.saturating_add(now)))
    }

    fn is_noted(&self) -> bool {
        self.0.is_long.load(Ordering::Relaxed)
    }

    /// Lets it go on.
    fn poll<F: Future>(&self, call: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.0.polls.fetch_add(1, Ordering::Relaxed);
        call.poll(context)
    }

    /// Lets it go on, and counts what that takes.
    fn poll_counted<F: Future>(&self, call: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        let began = processor_nanos();
        self.0.poll_began.store(began, Ordering::Relaxed);
        let polled = self.poll(call, context);
        self.0.computed.fetch_add(processor_nanos().saturating_sub(began), Ordering::Relaxed);
        polled
    }
}

/// What this thread has computed so far.
pub(crate) fn processor_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where calls that take long compute.
pub(crate) struct Lane {
    threads: Vec<mpsc::UnboundedSender<Call>>,
    next: AtomicUsize,
}

impl Lane {
    /// One thread less than there are processors, which is as many as there are workers; where there is one, one.
    ///
    /// # Errors
    /// There are no threads to be had.
    pub(crate) fn start(runtime: &Handle) -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of((processors - 1).max(1), runtime)
    }

    fn of(threads: usize, runtime: &Handle) -> std::io::Result<Self> {
        let start = |number| {
            let (sender, calls) = mpsc::unbounded_channel();
            let runtime = runtime.clone();
            std::thread::Builder::new().name(format!("plugin-long-{number}")).spawn(move || {
                // On Linux of this thread alone. A system that refuses it schedules all alike.
                if let Err(error) = rustix::process::nice(NICE) {
                    tracing::debug!(%error, "calls that take long have the workers' priority");
                }
                runtime.block_on(by_turns(calls));
            })?;
            std::io::Result::Ok(sender)
        };
        Ok(Self { threads: (0..threads).map(start).collect::<Result<_, _>>()?, next: AtomicUsize::new(0) })
    }

    /// Runs a call to its end: here, and elsewhere once it takes long. One that nobody waits for any more ends at its next turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        long: &Long,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut call = Box::pin(call);
        let short = poll_fn(|context| match long.poll(call.as_mut(), context) {
            Poll::Pending if long.is_noted() => Poll::Ready(None),
            polled => polled.map(Some),
        });
        if let Some(done) = short.await {
            return done;
        }
        let (tell, told) = oneshot::channel();
        let moved: Call = Box::pin(finish(long.clone(), call, tell));
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len().max(1);
        let refused = match self.threads.get(number) {
            Some(thread) => thread.send(moved).err().map(|refused| refused.0),
            None => Some(moved),
        };
        if let Some(call) = refused {
            // Its thread is gone, as no thread of these goes: then here.
            call.await;
        }
        match told.await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => resume_unwind(panic),
            // Its thread went away with it, as no thread of these does: who waits fails, rather than waits for ever.
            Err(_) => resume_unwind(Box::new("the thread that computed a long call is gone")),
        }
    }
}

/// The rest of a call, unless nobody waits for it. A panic goes to who waits, not to the thread.
async fn finish<T>(
    long: Long,
    mut call: Pin<Box<impl Future<Output = T>>>,
    mut tell: oneshot::Sender<Result<T, Box<dyn Any + Send>>>,
) {
    let counted = poll_fn(|context| long.poll_counted(call.as_mut(), context));
    let done = tokio::select! {
        done = AssertUnwindSafe(counted).catch_unwind() => done,
        () = tell.closed() => return,
    };
    // Who waited may have gone just now.
    let _ = tell.send(done);
}

/// All calls of a thread: each until it has had a tick, or waits.
async fn by_turns(mut calls: mpsc::UnboundedReceiver<Call>) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            call = calls.recv() => match call {
                Some(call) => running.push(call),
                None => break,
            },
            Some(()) = running.next() => {}
        }
    }
    while running.next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// Computes for so long, and says after each millisecond that it is long and wants another turn. Answers on which threads.
    async fn compute(long: Long, length: Duration) -> Vec<String> {
        let began = Instant::now();
        let mut threads = Vec::new();
        while began.elapsed() < length {
            threads.push(std::thread::current().name().unwrap_or_default().to_owned());
            let turn = Instant::now();
            while turn.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            long.note();
            tokio::task::yield_now().await;
        }
        threads
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_takes_long_goes_on_elsewhere() {
        let lane = Arc::new(Lane::of(1, &Handle::current()).unwrap());
        let calls: Vec<_> = (0..4)
            .map(|_| {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move {
                    let long = Long::default();
                    lane.run(&long, compute(long.clone(), Duration::from_millis(20))).await
                })
            })
            .collect();
        for call in calls {
            let threads = call.await.unwrap();
            let (first, others) = threads.split_first().unwrap();
            assert_ne!(first, "plugin-long-0");
            assert!(others.iter().all(|thread| thread == "plugin-long-0"), "{others:?}");
        }
    }

    #[tokio::test]
    async fn what_waits_lets_others_of_its_thread_compute() {
        let lane = Lane::of(1, &Handle::current()).unwrap();
        let (long, other) = (Long::default(), Long::default());
        let (tell, told) = oneshot::channel();
        let first = long.clone();
        let waiting = lane.run(&long, async move {
            compute(first, Duration::from_millis(2)).await;
            told.await.unwrap()
        });
        let second = other.clone();
        let computing = lane.run(&other, async move {
            compute(second, Duration::from_millis(5)).await;
            tell.send(7).unwrap();
        });
        let (told, ()) = tokio::join!(waiting, computing);
        assert_eq!(told, 7);
    }

    #[tokio::test]
    async fn a_short_call_stays() {
        let lane = Lane::of(1, &Handle::current()).unwrap();
        let here = std::thread::current().id();
        let short = async {
            tokio::task::yield_now().await;
            std::thread::current().id()
        };
        assert_eq!(lane.run(&Long::default(), short).await, here);
    }

    #[tokio::test]
    async fn who_waits_no_longer_ends_the_call() {
        struct Told(Arc<Mutex<Option<oneshot::Sender<()>>>>);
        impl Drop for Told {
            fn drop(&mut self) {
                if let Some(tell) = self.0.lock().unwrap().take() {
                    // Somebody waits, or the test fails.
                    let _ = tell.send(());
                }
            }
        }
        let lane = Lane::of(1, &Handle::current()).unwrap();
        let long = Long::default();
        let (tell, told) = oneshot::channel();
        let (is_moved, moved) = oneshot::channel();
        let ends = Told(Arc::new(Mutex::new(Some(tell))));
        let noted = long.clone();
        let call = lane.run(&long, async move {
            let _ends = ends;
            noted.note();
            tokio::task::yield_now().await;
            is_moved.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            () = call => unreachable!("it never ends by itself"),
            moved = moved => moved.unwrap(),
        }
        told.await.unwrap();
    }

    #[tokio::test]
    async fn a_thread_that_is_gone_fails_its_calls() {
        let (sender, mut calls) = mpsc::unbounded_channel();
        let lane = Lane { threads: vec![sender], next: AtomicUsize::new(0) };
        let long = Long::default();
        let noted = long.clone();
        let waiting = tokio::spawn(async move {
            lane.run(&long, async move {
                noted.note();
                tokio::task::yield_now().await;
            })
            .await;
        });
        drop(calls.recv().await.unwrap());
        assert!(waiting.await.unwrap_err().is_panic());
    }

    #[tokio::test]
    async fn a_panic_is_its_callers() {
        let lane = Arc::new(Lane::of(1, &Handle::current()).unwrap());
        let long = Long::default();
        let run = |does_panic: bool| {
            let (lane, long) = (Arc::clone(&lane), long.clone());
            tokio::spawn(async move {
                let noted = long.clone();
                let call = async move {
                    noted.note();
                    tokio::task::yield_now().await;
                    assert!(!does_panic, "as planned");
                };
                lane.run(&long, call).await;
            })
        };
        assert!(run(true).await.unwrap_err().is_panic());
        run(false).await.unwrap();
    }
}
