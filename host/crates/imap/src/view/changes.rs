//! What a client has to be told between two states of a mailbox.
//!
//! Chunks that both states share are not read, so an unchanged mailbox of any size costs its number of chunks.

use std::sync::Arc;

use maitred_mail::{Entry, Seq, Snapshot};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The mailbox has keywords it had not (RFC 3501 §7.2.6: FLAGS).
    Keywords(Arc<Vec<Box<str>>>),
    /// A message is gone; those behind it move up (RFC 3501 §7.4.1).
    Expunge(Seq),
    /// Other flags or keywords.
    Flags(Seq, Entry),
    /// There are more messages (RFC 3501 §7.3.1).
    Exists(u32),
    /// How many are recent (RFC 3501 §7.3.2).
    Recent(u32),
}

/// The changes from one state to another, in an order in which a client can apply them one by one. Made as they are asked
/// for: however many there are, they take no room.
#[derive(Debug, Clone)]
pub struct Changes {
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
    before_at: At,
    after_at: At,
    /// The number that the client gives to the message at `before_at`.
    seq: u32,
    stage: Stage,
    recent: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Keywords,
    Messages,
    Recent,
    Over,
}

/// A place in a snapshot.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    chunk: usize,
    entry: usize,
}

impl At {
    fn entry(self, snapshot: &Snapshot) -> Option<Entry> {
        snapshot.chunks().get(self.chunk).and_then(|chunk| chunk.get(self.entry)).copied()
    }

    fn step(&mut self, snapshot: &Snapshot) {
        self.entry += 1;
        if snapshot.chunks().get(self.chunk).is_some_and(|chunk| self.entry >= chunk.len()) {
            *self = Self { chunk: self.chunk + 1, entry: 0 };
        }
    }
}

impl Changes {
    /// Nothing to tell.
    pub(super) fn none(now: &Arc<Snapshot>) -> Self {
        Self { stage: Stage::Over, ..Self::between(Arc::clone(now), Arc::clone(now), None) }
    }

    pub(super) fn between(before: Arc<Snapshot>, after: Arc<Snapshot>, recent: Option<u32>) -> Self {
        Self {
            before,
            after,
            before_at: At::default(),
            after_at: At::default(),
            seq: 1,
            stage: Stage::Keywords,
            recent,
        }
    }

    /// The next change among the messages that were there before.
    fn next_message(&mut self) -> Option<Change> {
        loop {
            self.skip_shared();
            let Some(old) = self.before_at.entry(&self.before) else {
                // The rest of `after` is new.
                self.stage = Stage::Recent;
                let is_grown = self.after_at.entry(&self.after).is_some();
                return is_grown.then(|| Change::Exists(self.after.len()));
            };
            self.before_at.step(&self.before);
            match self.after_at.entry(&self.after).filter(|new| new.uid == old.uid) {
                None => return Some(Change::Expunge(Seq(self.seq))),
                Some(new) => {
                    self.after_at.step(&self.after);
                    self.seq = self.seq.saturating_add(1);
                    if (old.flags, old.keywords) != (new.flags, new.keywords) {
                        return Some(Change::Flags(Seq(self.seq - 1), new));
                    }
                }
            }
        }
    }

    /// Both stand before the same shared chunks: nothing in them changed.
    fn skip_shared(&mut self) {
        while (self.before_at.entry, self.after_at.entry) == (0, 0)
            && let (Some(old), Some(new)) =
                (self.before.chunks().get(self.before_at.chunk), self.after.chunks().get(self.after_at.chunk))
            && Arc::ptr_eq(old, new)
        {
            self.seq = self.seq.saturating_add(u32::try_from(old.len()).unwrap_or(u32::MAX));
            self.before_at.chunk += 1;
            self.after_at.chunk += 1;
        }
    }
}

impl Iterator for Changes {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        loop {
            let change = match self.stage {
                Stage::Keywords => {
                    self.stage = Stage::Messages;
                    let names = &self.after.keyword_names;
                    (*names != self.before.keyword_names).then(|| Change::Keywords(Arc::clone(names)))
                }
                Stage::Messages => self.next_message(),
                Stage::Recent => {
                    self.stage = Stage::Over;
                    self.recent.take().map(Change::Recent)
                }
                Stage::Over => return None,
            };
            if change.is_some() {
                return change;
            }
        }
    }
}

/// `now`, but with the messages that are gone since `told`.
pub(super) fn held(told: &Arc<Snapshot>, now: Arc<Snapshot>) -> Arc<Snapshot> {
    let walk = || Changes::between(Arc::clone(told), Arc::clone(&now), None);
    if !walk().any(|change| matches!(change, Change::Expunge(_))) {
        return now;
    }
    let mut held = Snapshot::clone(told);
    for change in walk() {
        if let Change::Flags(_, entry) = change {
            held.update(entry);
        }
    }
    // What is new has greater UIDs than all that was told.
    let last = told.last_uid();
    for entry in now.iter().rev().take_while(|entry| Some(entry.uid) > last).collect::<Vec<_>>().iter().rev()
    {
        held.push(**entry);
    }
    held.uid_next = now.uid_next;
    held.modseq = now.modseq;
    held.keyword_names = Arc::clone(&now.keyword_names);
    Arc::new(held)
}
