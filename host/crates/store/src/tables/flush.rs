//! What waits for the disk, and the thread that brings it there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maitred_policy::table::TableError;
use tokio::sync::oneshot;

use super::cells::{Cells, LOT, Taken, weight_of};
use super::{Tables, blocking};
use crate::commit::Request;
use crate::intent::{Intent, TableCells, Urgency};
use crate::shared::lock;
use crate::view::Read;
use crate::{Error, keys};

/// How much waits, and who must know.
#[derive(Default)]
pub(crate) struct Backlog {
    octets: AtomicU64,
    has_changes: AtomicBool,
    /// So much waits that it is not gathered any longer.
    is_urgent: AtomicBool,
    /// The last commit failed.
    is_failing: AtomicBool,
    is_stopping: AtomicBool,
    /// What the flusher sleeps on; the flags are looked at with it locked.
    sleep: Mutex<()>,
    wake: Condvar,
}

/// What may wait while the disk takes it: more than comes in the time of a flush.
const OCTETS_MAX: u64 = 64 << 20;
/// What may wait while the disk does not take it.
const OCTETS_MAX_FAILING: u64 = 8 << 20;
/// From then on nothing is gathered any longer.
const OCTETS_URGENT: u64 = 4 << 20;
/// What one commit carries, about: mail waits behind it, and readers while it becomes visible.
const COMMIT_CELLS: usize = 1_000;
/// And in octets.
const COMMIT_OCTETS: u64 = 1 << 20;
/// Keys that are taken out by one commit.
const REMOVE_KEYS_MAX: usize = 1_000;
/// How long a failed commit is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// A step of each table's sweep is done so often, while tables change at all.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl Backlog {
    /// Whether one more change can wait.
    pub(crate) fn accept(&self) -> Result<(), TableError> {
        if self.is_stopping() {
            return Err(TableError::Unavailable("the store is stopping".to_owned()));
        }
        let is_failing = self.is_failing.load(Ordering::Relaxed);
        let max = if is_failing { OCTETS_MAX_FAILING } else { OCTETS_MAX };
        let octets = self.octets();
        if octets < max {
            Ok(())
        } else {
            Err(TableError::Unavailable(format!("{octets} octets wait for the disk")))
        }
    }

    /// A change waits in the place of another, or of none.
    pub(crate) fn replace(&self, before: u64, after: u64) {
        self.octets.fetch_add(after, Ordering::Relaxed);
        let octets = self.octets.fetch_sub(before, Ordering::Relaxed).saturating_sub(before);
        let is_first = !self.has_changes.swap(true, Ordering::SeqCst);
        let is_urgent = octets >= OCTETS_URGENT && !self.is_urgent.swap(true, Ordering::SeqCst);
        if is_first || is_urgent {
            self.ring();
        }
    }

    /// A change does not wait any longer.
    pub(crate) fn shrink(&self, octets: u64) {
        self.octets.fetch_sub(octets, Ordering::Relaxed);
    }

    pub(super) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    fn ring(&self) {
        drop(lock(&self.sleep));
        self.wake.notify_all();
    }

    /// Sleeps until something has changed, and then while more gathers. False at the end.
    fn gather(&self, time: Duration) -> bool {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        let mut sleep = lock(&self.sleep);
        while !is_set(&self.has_changes) && !self.is_stopping() {
            sleep = self.wake.wait(sleep).unwrap_or_else(PoisonError::into_inner);
        }
        drop(self.pause(sleep, time, || is_set(&self.is_urgent)));
        // Cleared before anything is taken: what is changed from now on rings again.
        self.has_changes.store(false, Ordering::SeqCst);
        self.is_urgent.store(false, Ordering::SeqCst);
        !self.is_stopping()
    }

    fn pause<'a>(
        &self,
        mut sleep: MutexGuard<'a, ()>,
        time: Duration,
        is_over: impl Fn() -> bool,
    ) -> MutexGuard<'a, ()> {
        let begin = Instant::now();
        while !is_over() && !self.is_stopping() {
            let Some(left) = time.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) else { break };
            sleep = self.wake.wait_timeout(sleep, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        sleep
    }

    /// Notes how a commit went; logs when that is something new.
    fn note(&self, done: &Result<(), Error>) {
        let was_failing = self.is_failing.swap(done.is_err(), Ordering::Relaxed);
        let octets = self.octets();
        match done {
            Err(error) if !was_failing => {
                tracing::warn!(error = %error, octets, "tables are not written, they wait in memory");
            }
            Ok(()) if was_failing => tracing::info!("tables are written again"),
            _ => {}
        }
    }
}

/// The flusher. True when at the end everything was handed over.
pub(crate) fn run(tables: &Tables) -> bool {
    let backlog = &tables.backlog;
    if let Err(error) = tables.count() {
        tracing::warn!(error = %error, "tables are counted when they are used");
    }
    let mut swept = Instant::now();
    while backlog.gather(tables.gather) {
        if tables.flush_with(Urgency::Soon).is_err() {
            backlog.has_changes.store(true, Ordering::SeqCst);
            drop(backlog.pause(lock(&backlog.sleep), RETRY, || false));
        } else if swept.elapsed() >= SWEEP_EVERY {
            tables.sweep();
            swept = Instant::now();
        }
    }
    let flushed = tables.flush_with(Urgency::Now);
    drop(lock(&tables.committer).take());
    if let Err(error) = &flushed {
        let octets = backlog.octets();
        tracing::error!(error = %error, octets, "changes of tables are lost");
    }
    flushed.is_ok()
}

/// Keys, and which version of each.
type Versions = Vec<(String, u64)>;

/// Cells on their way into one commit.
#[derive(Default)]
struct Batch {
    count: usize,
    octets: u64,
    intents: Vec<Intent>,
    carried: Vec<(Arc<Mutex<Cells>>, Versions)>,
}

impl Batch {
    fn add(&mut self, plugin: Arc<str>, of: &Arc<Mutex<Cells>>, taken: Vec<Taken>) {
        self.count += taken.len();
        let mut versions = Vec::with_capacity(taken.len());
        let mut cells = Vec::with_capacity(taken.len());
        for (key, cell, version) in taken {
            self.octets += weight_of(&key, cell.as_ref());
            versions.push((key.clone(), version));
            cells.push((key, cell));
        }
        if !cells.is_empty() {
            self.intents.push(Intent::Table(TableCells { plugin, cells }));
            self.carried.push((Arc::clone(of), versions));
        }
    }
}

impl Tables {
    /// Makes durable what was changed before.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`]; what was changed goes on waiting.
    pub async fn flush(self: &Arc<Self>) -> Result<(), Error> {
        let tables = Arc::clone(self);
        blocking(move || tables.flush_with(Urgency::Now)).await
    }

    /// Commits everything that waits.
    fn flush_with(&self, urgency: Urgency) -> Result<(), Error> {
        let committer = lock(&self.committer);
        let committer = committer.as_ref().ok_or_else(stopping)?;
        let done = self.flush_all(committer, urgency);
        self.backlog.note(&done);
        done
    }

    fn flush_all(&self, committer: &SyncSender<Request>, urgency: Urgency) -> Result<(), Error> {
        let mut batch = Batch::default();
        for (plugin, cells) in self.all() {
            let mut from = Some(String::new());
            while let Some(at) = from {
                let (taken, next) = lock(&cells).waiting(&at);
                batch.add(Arc::clone(&plugin), &cells, taken);
                if batch.octets >= COMMIT_OCTETS || batch.count >= COMMIT_CELLS {
                    commit(committer, std::mem::take(&mut batch), Urgency::Soon)?;
                }
                from = next;
            }
        }
        // With nothing in it: what was answered without a sync is synced.
        if urgency == Urgency::Now || !batch.intents.is_empty() {
            commit(committer, batch, urgency)?;
        }
        Ok(())
    }

    /// Counts what is in every table, before somebody must wait for it.
    fn count(&self) -> Result<(), Error> {
        for plugin in self.plugins()? {
            let cells = self.cells(&plugin)?;
            while !self.backlog.is_stopping() && lock(&cells).count_page(&self.shared.view)? {}
        }
        Ok(())
    }

    /// A step of the sweep of every table.
    pub(super) fn sweep(&self) {
        for (plugin, cells) in self.all() {
            if let Err(error) = lock(&cells).sweep_now(&self.shared.view) {
                tracing::warn!(plugin = &*plugin, error = %error, "a table is not swept");
            }
        }
    }

    /// Takes out all that a plugin has. Nobody else commits cells meanwhile, and the plugin changes none.
    pub(super) fn remove(&self, plugin: &str) -> Result<u64, Error> {
        let of = self.cells(plugin)?;
        let committer = lock(&self.committer);
        let committer = committer.as_ref().ok_or_else(stopping)?;
        let mut cells = lock(&of);
        let keys = cells.load(&self.shared.view)?.keys;
        // If it fails half way, some are gone.
        cells.forget_sums();
        let plugin: Arc<str> = plugin.into();
        let (mut from, to) = (keys::cell(&plugin, "").to_vec(), keys::behind(&keys::cell(&plugin, "")));
        loop {
            let pairs = self.shared.view.range(&from, &to, REMOVE_KEYS_MAX)?;
            let Some((last, _)) = pairs.last() else { break };
            from = [last, &[0_u8][..]].concat();
            let gone =
                pairs.iter().filter_map(|(at, _)| keys::cell_of(at)).map(|(_, key)| (key.to_owned(), None));
            let table = TableCells { plugin: Arc::clone(&plugin), cells: gone.collect() };
            let batch = Batch { intents: vec![Intent::Table(table)], ..Batch::default() };
            commit(committer, batch, Urgency::Soon)?;
        }
        commit(committer, Batch::default(), Urgency::Now)?;
        cells.clear();
        Ok(keys)
    }
}

/// Commits, and lets go what the commit carried.
fn commit(committer: &SyncSender<Request>, batch: Batch, urgency: Urgency) -> Result<(), Error> {
    let (answer, receipt) = oneshot::channel();
    let request = Request { bodies: Vec::new(), intents: batch.intents, urgency, answer };
    committer.send(request).map_err(|_| stopping())?;
    receipt.blocking_recv().map_err(|_| stopping())??;
    for (of, versions) in batch.carried {
        for lot in versions.chunks(LOT) {
            let mut cells = lock(&of);
            lot.iter().for_each(|(key, version)| cells.settle(key, *version));
        }
    }
    Ok(())
}

fn stopping() -> Error {
    Error::Unavailable("the store is stopping".to_owned())
}
