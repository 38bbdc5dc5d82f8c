//! A mailbox as one session has told it to its client: which UID has which message sequence number.
//!
//! RFC 3501 §2.3.1.2 (sequence numbers), §5.2 (updates), §7.4.1 (EXPUNGE); RFC 2180 §4.1 (messages that others took out).
//! Invariants: sequence numbers follow [`View::told`] and nothing else, so they change only by responses that the client
//! gets; a view shares its chunks with the store's snapshot and with every other session, but for those that hold
//! messages the client was not yet told to be gone. Owned by the session, fed with snapshots by `flow::read`.

mod changes;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use maitred_mail::{Entry, Seq, Snapshot, Uid};

use crate::command::Numbers;
use crate::set::SequenceSet;

pub use changes::{Change, Changes};

/// Whether the client may learn now that messages are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// It may.
    Told,
    /// RFC 3501 §7.4.1: not during FETCH, STORE and SEARCH, whose numbers would shift under way, nor while no command is in
    /// progress. The messages keep their numbers until it may.
    Held,
}

/// What the client of one session knows of its mailbox.
#[derive(Debug, Clone)]
pub struct View {
    told: Arc<Snapshot>,
    /// UIDs that this session was the first to be told of, ascending.
    recent: Vec<Range<u32>>,
}

/// Ranges of recent UIDs that are remembered; of the oldest ones it is forgotten that they are recent.
const RECENT_RANGES_MAX: usize = 256;

impl View {
    /// A mailbox just selected; `recent` are the UIDs claimed as recent.
    pub fn new(told: Arc<Snapshot>, recent: Range<u32>) -> Self {
        let mut view = Self { told, recent: Vec::new() };
        view.claim(recent);
        view
    }

    /// What the client knows, or is about to be told by the last [`Changes`].
    pub fn told(&self) -> &Arc<Snapshot> {
        &self.told
    }

    /// `\Recent` is set for this session (RFC 3501 §2.3.2).
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().any(|range| range.contains(&uid.0))
    }

    /// The keyword names of `now` when they are news; from here on they are known.
    pub fn take_keywords(&mut self, now: &Snapshot) -> Option<Arc<Vec<Box<str>>>> {
        if self.told.keyword_names == now.keyword_names {
            return None;
        }
        Arc::make_mut(&mut self.told).keyword_names = Arc::clone(&now.keyword_names);
        Some(Arc::clone(&now.keyword_names))
    }

    /// The UIDs that are recent here, ascending.
    pub fn recent_uids(&self) -> &[Range<u32>] {
        &self.recent
    }

    /// How many messages of the view are recent.
    pub fn recent(&self) -> u32 {
        self.recent.iter().map(|range| rank(&self.told, range.end) - rank(&self.told, range.start)).sum()
    }

    /// The sequence number of the first message without `\Seen` (RFC 3501 §6.3.1).
    pub fn first_unseen(&self) -> Option<Seq> {
        let unseen = |entry: &Entry| !entry.flags.has(maitred_mail::Flags::SEEN);
        let at = self.told.iter().position(unseen)?;
        u32::try_from(at + 1).ok().map(Seq)
    }

    /// Goes on to the mailbox as it is now; the client has to be told these changes, in order.
    pub fn sync(&mut self, now: Arc<Snapshot>, expunges: Expunges) -> Changes {
        let recent_before = self.recent();
        if Arc::ptr_eq(&self.told, &now) {
            return Changes::none(&now);
        }
        let next = match expunges {
            Expunges::Told => now,
            Expunges::Held => changes::held(&self.told, now),
        };
        let before = std::mem::replace(&mut self.told, next);
        let recent = self.recent();
        let is_grown = self.told.last_uid() > before.last_uid();
        let recent = (is_grown && recent != recent_before).then_some(recent);
        Changes::between(before, Arc::clone(&self.told), recent)
    }

    /// The client is told of these changed messages in other words (the responses of its own STORE, FETCH that sets
    /// `\Seen`): they are no news any more.
    pub fn note(&mut self, entries: &[Entry]) {
        let is_news = |entry: &&Entry| self.told.find(entry.uid).is_some_and(|known| known != *entry);
        let news: Vec<&Entry> = entries.iter().filter(is_news).collect();
        if news.is_empty() {
            return;
        }
        let told = Arc::make_mut(&mut self.told);
        for entry in news {
            told.update(*entry);
        }
    }

    /// Every message.
    pub fn all(&self) -> Messages {
        let all = 1..self.told.len().saturating_add(1);
        Messages::new(&self.told, std::iter::once(all).collect())
    }

    /// The messages of a set. Numbers that no message has are passed over (RFC 3501 §6.4.8 wants that of UIDs).
    pub fn messages(&self, numbers: Numbers, set: &SequenceSet) -> Messages {
        let told = &self.told;
        let seq = |uid| rank(told, uid).saturating_add(1);
        let end = told.len().saturating_add(1);
        let last = match numbers {
            Numbers::Seq => told.len(),
            Numbers::Uid => told.last_uid().map_or(0, |uid| uid.0),
        };
        let ranges = set.ranges(last).into_iter().map(|range| match numbers {
            Numbers::Seq => *range.start()..range.end().saturating_add(1).min(end),
            Numbers::Uid => seq(*range.start())..seq(range.end().saturating_add(1)),
        });
        Messages::new(told, ranges.collect())
    }

    /// These UIDs were claimed as recent.
    pub fn claim(&mut self, claimed: Range<u32>) {
        if claimed.start >= claimed.end {
            return;
        }
        match self.recent.last_mut().filter(|last| last.end == claimed.start) {
            Some(last) => last.end = claimed.end,
            None => self.recent.push(claimed),
        }
        if self.recent.len() > RECENT_RANGES_MAX {
            self.recent.remove(0);
        }
    }
}

/// Messages of a view, to be gone through page by page. Numbers and flags are those of the moment it was made.
#[derive(Debug, Clone)]
pub struct Messages {
    told: Arc<Snapshot>,
    /// Sequence numbers, ascending, apart from each other; the first one comes next.
    ranges: Vec<Range<u32>>,
    /// How many ranges are behind us.
    at: usize,
}

impl Messages {
    fn new(told: &Arc<Snapshot>, mut ranges: Vec<Range<u32>>) -> Self {
        ranges.retain(|range| range.start < range.end);
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, before| {
            let is_one = next.start <= before.end;
            if is_one {
                before.end = before.end.max(next.end);
            }
            is_one
        });
        Self { told: Arc::clone(told), ranges, at: 0 }
    }

    /// The mailbox they are in, as it was told.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.told
    }

    /// How many are left.
    pub fn len(&self) -> u32 {
        self.ranges.iter().skip(self.at).map(|range| range.end - range.start).sum()
    }

    /// True when none is left.
    pub fn is_empty(&self) -> bool {
        self.at >= self.ranges.len()
    }

    /// The next ones, at most `max` of them.
    pub fn next_page(&mut self, max: usize) -> Vec<(Seq, Entry)> {
        let mut page = Vec::with_capacity(max.min(self.len() as usize));
        while page.len() < max {
            let Some(range) = self.ranges.get_mut(self.at) else { break };
            let room = u32::try_from(max - page.len()).unwrap_or(u32::MAX);
            let end = range.end.min(range.start.saturating_add(room));
            entries(&self.told, range.start..end, &mut page);
            range.start = end;
            if range.start >= range.end {
                self.at += 1;
            }
        }
        page
    }

    /// All of them that are left.
    pub fn uids(mut self) -> Vec<Uid> {
        self.next_page(usize::MAX).into_iter().map(|(_, entry)| entry.uid).collect()
    }
}

/// The messages of these sequence numbers, which are there.
fn entries(told: &Snapshot, range: Range<u32>, page: &mut Vec<(Seq, Entry)>) {
    let mut before: u32 = 0;
    for chunk in told.chunks() {
        if before.saturating_add(1) >= range.end {
            return;
        }
        let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        let skip = range.start.saturating_sub(before).saturating_sub(1);
        if skip < count {
            let numbered = (before + 1..range.end).zip(chunk.iter());
            page.extend(numbered.skip(skip as usize).map(|(seq, entry)| (Seq(seq), *entry)));
        }
        before = before.saturating_add(count);
    }
}

/// How many messages have a smaller UID.
fn rank(told: &Snapshot, uid: u32) -> u32 {
    let chunks = told.chunks();
    let full = chunks.partition_point(|chunk| chunk.last().is_some_and(|entry| entry.uid.0 < uid));
    let before: usize = chunks.iter().take(full).map(|chunk| chunk.len()).sum();
    let within = chunks.get(full).map_or(0, |chunk| chunk.partition_point(|entry| entry.uid.0 < uid));
    u32::try_from(before + within).unwrap_or(u32::MAX)
}
