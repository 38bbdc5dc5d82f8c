//! What sessions, committer and applier share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use maitred_mail::{AccountId, Directory, MailboxId, Snapshot, Uid};
use tokio::sync::{Notify, watch};

use crate::body::Contents;
use crate::codec::{self, Head};
use crate::coming::Announced;
use crate::credentials::Credentials;
use crate::index::Change;
use crate::keys;
use crate::plan::{Told, split_names};
use crate::view::{Read, View};
use crate::{Error, Faults};

/// A mailbox that sessions watch.
pub(crate) type Watched = HashMap<MailboxId, watch::Sender<Arc<Snapshot>>>;

pub(crate) struct Shared {
    pub(crate) view: View,
    pub(crate) directory: ArcSwap<Directory>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) credentials: Credentials,
    pub(crate) watched: Mutex<Watched>,
    /// Up to which UID sessions have been told of a mailbox's messages as recent.
    pub(crate) recent: Mutex<HashMap<MailboxId, Uid>>,
    pub(crate) queue_changed: Notify,
    pub(crate) coming: Arc<Announced>,
    pub(crate) counts: Counts,
    pub(crate) faults: Faults,
    pub(crate) snapshots_max: usize,
    pub(crate) is_full: std::sync::atomic::AtomicBool,
}

/// What has happened since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    commits: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    log_octets: AtomicU64,
}

/// Figures of the store, for metrics and `maitred status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Commits acknowledged since the start.
    pub commits: u64,
    /// Groups they were written in.
    pub groups: u64,
    /// fdatasync calls on the log.
    pub syncs: u64,
    /// Octets appended to the log since the start.
    pub log_octets: u64,
    /// Octets of the index on disk.
    pub index_octets: u64,
}

impl Counts {
    pub(crate) fn committed(&self, commits: usize, octets: usize) {
        self.commits.fetch_add(commits as u64, Ordering::Relaxed);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.log_octets.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(crate) fn synced(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn unix_seconds() -> u32 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    }

    pub(crate) fn refuse_when_full(&self) -> Result<(), Error> {
        if self.is_full.load(Ordering::Relaxed) { Err(Error::Full) } else { Ok(()) }
    }

    pub(crate) fn stats(&self) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            commits: read(&self.counts.commits),
            groups: read(&self.counts.groups),
            syncs: read(&self.counts.syncs),
            log_octets: read(&self.counts.log_octets),
            index_octets: self.view.index().octets(),
        }
    }

    /// A group is durable (or soon will be): everybody sees it from now on.
    pub(crate) fn publish(
        &self,
        group: u64,
        changes: &[Change],
        told: Vec<(MailboxId, Told)>,
        directory: Option<Directory>,
    ) {
        let mut watched = lock(&self.watched);
        self.view.publish(group, changes);
        if let Some(directory) = directory {
            self.directory.store(Arc::new(directory));
        }
        let mut new: HashMap<MailboxId, Option<Snapshot>> = HashMap::new();
        for (id, told) in told {
            let Some(sender) = watched.get(&id) else { continue };
            let slot = new.entry(id).or_insert_with(|| Some(Snapshot::clone(&sender.borrow())));
            match (told, slot.as_mut()) {
                (Told::Gone, _) => *slot = None,
                (Told::Added(entry), Some(snapshot)) => snapshot.push(entry),
                (Told::Changed(entry), Some(snapshot)) => drop(snapshot.update(entry)),
                (Told::Removed(uid), Some(snapshot)) => drop(snapshot.remove(uid)),
                (Told::Head, _) | (_, None) => {}
            }
        }
        for (id, snapshot) in new {
            match snapshot {
                Some(mut snapshot) => {
                    if let (Ok(()), Some(sender)) = (self.refresh(&mut snapshot), watched.get(&id)) {
                        sender.send_replace(Arc::new(snapshot));
                    }
                }
                None => drop(watched.remove(&id)),
            }
        }
    }

    /// Takes counters and keyword names as they are committed.
    fn refresh(&self, snapshot: &mut Snapshot) -> Result<(), Error> {
        let head = self.head(snapshot.mailbox)?;
        snapshot.uid_next = head.uid_next;
        snapshot.modseq = head.modseq;
        if let Some(names) = self.view.get(&keys::keywords(snapshot.mailbox))? {
            let names = split_names(&names);
            if *snapshot.keyword_names != names {
                snapshot.keyword_names = Arc::new(names);
            }
        }
        Ok(())
    }

    pub(crate) fn tell(&self, new_passwords: &[AccountId], is_queue_changed: bool) {
        for account in new_passwords {
            self.credentials.forget(*account);
        }
        if is_queue_changed {
            self.queue_changed.notify_one();
        }
    }

    pub(crate) fn head(&self, id: MailboxId) -> Result<Head, Error> {
        Head::decode(self.view.get(&keys::head(id))?.ok_or(Error::NoMailbox)?)
    }

    /// Follows a mailbox; its numbers are read when nobody watched it lately.
    pub(crate) fn watch(&self, id: MailboxId) -> Result<watch::Receiver<Arc<Snapshot>>, Error> {
        if let Some(sender) = lock(&self.watched).get(&id) {
            return Ok(sender.subscribe());
        }
        // Read without the lock first: commits go on meanwhile. If one changed this mailbox, read once more with it.
        let early = self.load(id)?;
        let mut watched = lock(&self.watched);
        let snapshot = if self.head(id)?.modseq == early.modseq { early } else { self.load(id)? };
        if watched.len() >= self.snapshots_max {
            watched.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = watched.entry(id).or_insert_with(|| watch::Sender::new(Arc::new(snapshot)));
        Ok(sender.subscribe())
    }

    fn load(&self, id: MailboxId) -> Result<Snapshot, Error> {
        const PAGE: usize = 4096;
        let head = self.head(id)?;
        let mut snapshot = Snapshot::new(id, head.uid_validity);
        let first = keys::flags(id, Uid(0));
        let (mut from, to) = (first.to_vec(), keys::behind(first.get(..9).unwrap_or_default()));
        loop {
            let page = self.view.range(&from, &to, PAGE)?;
            let is_last = page.len() < PAGE;
            if let Some((last, _)) = page.last() {
                from = last.to_vec();
                from.push(0);
            }
            for (key, value) in page {
                let uid = keys::uid_of(&key).ok_or_else(|| Error::Damaged("a key of flags".to_owned()))?;
                snapshot.push(codec::decode_entry(uid, value)?);
            }
            if is_last {
                break;
            }
        }
        self.refresh(&mut snapshot)?;
        // As it was before the entries were read: whoever compares sees a change in between.
        snapshot.modseq = head.modseq;
        Ok(snapshot)
    }

    /// The UIDs that no session has been told as recent yet; from now on one has.
    pub(crate) fn claim_recent(&self, snapshot: &Snapshot) -> std::ops::Range<u32> {
        let mut recent = lock(&self.recent);
        let from = match recent.get(&snapshot.mailbox) {
            Some(uid) => *uid,
            None => self.head(snapshot.mailbox).map_or(snapshot.uid_next, |head| head.recent_from),
        };
        recent.insert(snapshot.mailbox, snapshot.uid_next.max(from));
        from.0..snapshot.uid_next.0.max(from.0)
    }
}
