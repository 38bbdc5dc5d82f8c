//! What is committed, as readers see it: changes that the index has not applied yet lie over it, so that a commit can be read
//! as soon as it is acknowledged.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::Error;
use crate::index::{Change, Index, Pair};

/// Anything that keys can be read from: what is committed, or that and what a commit is about to change.
pub(crate) trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// At most `max` pairs from `from` (inclusive) to `to` (exclusive), in order.
    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error>;
}

/// Keys whose newest change the index has not applied: the group that changed them, and how.
type Over = BTreeMap<Box<[u8]>, (u64, Option<Bytes>)>;

/// The index and what lies over it.
pub(crate) struct View {
    index: Arc<dyn Index>,
    over: RwLock<Over>,
}

impl View {
    pub(crate) fn new(index: Arc<dyn Index>) -> Self {
        Self { index, over: RwLock::default() }
    }

    pub(crate) fn index(&self) -> &Arc<dyn Index> {
        &self.index
    }

    /// A group became durable: readers see it from now on.
    pub(crate) fn publish(&self, group: u64, changes: &[Change]) {
        let mut over = self.over.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            over.insert(key.clone(), (group, value.clone()));
        }
    }

    /// The index has applied these changes of that group.
    pub(crate) fn settle(&self, group: u64, changes: &[Change]) {
        let mut over = self.over.write().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in changes {
            if over.get(key).is_some_and(|(of, _)| *of <= group) {
                over.remove(key);
            }
        }
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let over = self.over.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = over.get(key) {
            return Ok(value.clone());
        }
        drop(over);
        self.index.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
        // The lock is held while the index is read, so that nothing settles between the two.
        let over = self.over.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let mut above = over.range::<[u8], _>(bounds).peekable();
        if above.peek().is_none() {
            drop(above);
            drop(over);
            return self.index.range(from, to, max);
        }
        let above: Vec<_> = above.map(|(key, (_, value))| (key, value)).collect();
        merge(above.into_iter(), |at, max| self.index.range(at, to, max), from, max)
    }
}

/// Lays sorted changes over sorted pairs that are read piece by piece.
pub(crate) fn merge<'a>(
    above: impl Iterator<Item = (&'a Box<[u8]>, &'a Option<Bytes>)>,
    mut below: impl FnMut(&[u8], usize) -> Result<Vec<Pair>, Error>,
    from: &[u8],
    max: usize,
) -> Result<Vec<Pair>, Error> {
    let mut above = above.peekable();
    let mut merged: Vec<Pair> = Vec::new();
    let mut piece = below(from, max)?.into_iter().peekable();
    let mut last: Option<Box<[u8]>> = None;
    let mut is_full_piece = piece.len() == max;
    while merged.len() < max {
        if piece.peek().is_none() && is_full_piece {
            // The piece was cut by its maximum and deletions used it up: read on behind it.
            let mut next = last.take().map_or_else(|| from.to_vec(), |key| key.to_vec());
            next.push(0);
            let more = below(&next, max)?;
            is_full_piece = more.len() == max;
            piece = more.into_iter().peekable();
        }
        let take_above = match (above.peek(), piece.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((high, _)), Some((low, _))) => **high <= *low,
        };
        if take_above {
            let Some((key, value)) = above.next() else { break };
            if piece.peek().is_some_and(|(low, _)| low == key) {
                last = piece.next().map(|(key, _)| key);
            }
            if let Some(value) = value {
                merged.push((key.clone(), value.clone()));
            }
        } else if let Some((key, value)) = piece.next() {
            last = Some(key.clone());
            merged.push((key, value));
        }
    }
    Ok(merged)
}
