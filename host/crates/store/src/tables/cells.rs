//! The cells of one plugin: what waits for the disk over what is committed, how much it is, and what is expired of it.
//!
//! One thread at a time: [`super::Tables`] holds a lock around it. A key that does not wait has no commit under way, so that
//! the pieces of a large cell that are read one after the other belong together.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use maitred_mail::Timestamp;
use maitred_policy::table::{
    Cell, Change, ENTRY_OCTETS, TableAnswer, TableError, check_key, is_alive, step, weight,
};

use super::flush::Backlog;
use super::unavailable;
use crate::codec::cell::FirstPiece;
use crate::view::Read;
use crate::{Error, keys};

pub(crate) struct Cells {
    plugin: Arc<str>,
    backlog: Arc<Backlog>,
    waiting: BTreeMap<String, Waiting>,
    /// Of the last change.
    version: u64,
    sums: Sums,
    /// From which key on nothing is in the sums yet; `None`: they are whole.
    uncounted: Option<String>,
    /// When it was used last.
    seen: Timestamp,
    sweep: Sweep,
}

/// A cell that the disk does not have yet as it is now.
struct Waiting {
    cell: Option<Cell>,
    version: u64,
}

/// One of these for a commit: its key, the cell, which version.
pub(super) type Taken = (String, Option<Cell>, u64);

/// All cells together, expired ones too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) octets: u64,
    pub(crate) keys: u64,
}

/// The walk through the table that takes out what is expired, page by page, round and round.
#[derive(Default)]
struct Sweep {
    from: String,
    /// No cell expires before.
    soonest: Option<Timestamp>,
    /// The same of those that were met since the walk began, and of those that were changed since.
    met: Option<Timestamp>,
}

/// A cell without its value.
struct Outline {
    octets: u64,
    expires: Option<Timestamp>,
}

/// Cells that are handed over together: whoever changes one waits so long.
pub(super) const LOT: usize = 256;
/// And their octets.
const LOT_OCTETS: u64 = 256 << 10;
/// Keys that are looked at together.
pub(super) const PAGE: usize = 256;
/// Pages that are looked at when a table is full: all of it, unless it is large; then the next change goes on from there.
const PAGES_WHEN_FULL: usize = 16;

impl Cells {
    pub(crate) fn new(plugin: Arc<str>, backlog: Arc<Backlog>) -> Self {
        Self {
            plugin,
            backlog,
            waiting: BTreeMap::new(),
            version: 0,
            sums: Sums::default(),
            uncounted: Some(String::new()),
            seen: Timestamp(i64::MIN),
            sweep: Sweep::default(),
        }
    }

    /// What the time is for whoever uses it.
    pub(crate) fn see(&mut self, now: Timestamp) {
        self.seen = now;
    }

    /// A cell that is not expired.
    pub(crate) fn alive(&self, view: &dyn Read, key: &str, now: Timestamp) -> Result<Option<Cell>, Error> {
        Ok(self.cell(view, key)?.filter(|cell| is_alive(cell, now)))
    }

    /// Keys with a prefix, of cells that are not expired.
    pub(crate) fn scan(
        &self,
        view: &dyn Read,
        prefix: &str,
        after: Option<&str>,
        max: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let mut from = Some(match after {
            Some(after) if after >= prefix => format!("{after}\0"),
            _ => prefix.to_owned(),
        });
        let mut found = Vec::new();
        while let Some(at) = from.filter(|_| found.len() < max) {
            let (page, next) = self.page(view, prefix, &at)?;
            let alive = page.into_iter().filter(|(_, cell)| cell.expires.is_none_or(|expires| now < expires));
            found.extend(alive.map(|(key, _)| key));
            from = next;
        }
        found.truncate(max);
        Ok(found)
    }

    /// Changes one cell. In a full table what is expired goes first, and then it is tried again.
    pub(crate) fn change(
        &mut self,
        view: &dyn Read,
        octets_max: u64,
        (key, change): (&str, &Change),
        now: Timestamp,
    ) -> Result<TableAnswer, TableError> {
        check_key(key)?;
        let mut tried = self.try_change(view, octets_max, (key, change), now);
        for _ in 0..PAGES_WHEN_FULL {
            if !matches!(tried, Err(TableError::Full(_))) || !self.is_any_expired(now) {
                break;
            }
            if self.sweep(view, now).map_err(unavailable)? > 0 {
                tried = self.try_change(view, octets_max, (key, change), now);
            }
        }
        tried
    }

    fn try_change(
        &mut self,
        view: &dyn Read,
        octets_max: u64,
        (key, change): (&str, &Change),
        now: Timestamp,
    ) -> Result<TableAnswer, TableError> {
        let held = self.cell(view, key).map_err(unavailable)?;
        let (answer, after) = step(held.as_ref(), change, now)?;
        let Some(after) = after else { return Ok(answer) };
        self.backlog.accept()?;
        let held = held.map(|cell| weight(key, &cell));
        if let Some(cell) = &after {
            let others = self.load(view).map_err(unavailable)?.octets.saturating_sub(held.unwrap_or(0));
            if others.saturating_add(weight(key, cell)) > octets_max {
                return Err(TableError::Full(others));
            }
        }
        self.put(key, held, after);
        Ok(answer)
    }

    /// How much there is; what the flusher has not counted yet is counted here.
    pub(crate) fn load(&mut self, view: &dyn Read) -> Result<Sums, Error> {
        while self.count_page(view)? {}
        Ok(self.sums)
    }

    /// Counts a page more; false when there is none.
    pub(crate) fn count_page(&mut self, view: &dyn Read) -> Result<bool, Error> {
        let Some(from) = &self.uncounted else { return Ok(false) };
        let (page, next) = self.page(view, "", from)?;
        for cell in page.values() {
            self.sums.octets += cell.octets;
            self.sums.keys += 1;
            self.sweep.soonest = earlier(self.sweep.soonest, cell.expires);
        }
        self.uncounted = next;
        Ok(true)
    }

    /// Whether a cell may be expired by then.
    pub(crate) fn is_any_expired(&self, now: Timestamp) -> bool {
        self.sweep.soonest.is_some_and(|soonest| soonest <= now)
    }

    /// A step of the sweep: takes what is expired out of the next page. Answers how many cells.
    pub(crate) fn sweep(&mut self, view: &dyn Read, now: Timestamp) -> Result<u64, Error> {
        self.load(view)?;
        let (page, next) = self.page(view, "", &self.sweep.from)?;
        let mut removed = 0;
        for (key, cell) in page {
            if cell.expires.is_some_and(|expires| expires <= now) {
                self.put(&key, Some(cell.octets), None);
                removed += 1;
            } else {
                self.sweep.met = earlier(self.sweep.met, cell.expires);
            }
        }
        match next {
            Some(next) => self.sweep.from = next,
            None => self.sweep = Sweep { soonest: self.sweep.met, ..Sweep::default() },
        }
        Ok(removed)
    }

    /// The same at the time of the last use.
    pub(crate) fn sweep_now(&mut self, view: &dyn Read) -> Result<u64, Error> {
        if self.is_any_expired(self.seen) { self.sweep(view, self.seen) } else { Ok(0) }
    }

    /// Some of what waits, from this key on, and where the rest begins.
    pub(crate) fn waiting(&self, from: &str) -> (Vec<Taken>, Option<String>) {
        let waiting = self.waiting.range::<str, _>((Bound::Included(from), Bound::Unbounded));
        let mut taken = Vec::new();
        let mut octets = 0;
        for (key, Waiting { cell, version }) in waiting {
            if taken.len() == LOT || octets >= LOT_OCTETS {
                return (taken, Some(key.clone()));
            }
            octets += weight_of(key, cell.as_ref());
            taken.push((key.clone(), cell.clone(), *version));
        }
        (taken, None)
    }

    /// The disk has this version.
    pub(crate) fn settle(&mut self, key: &str, version: u64) {
        if self.waiting.get(key).is_some_and(|waiting| waiting.version == version)
            && let Some(Waiting { cell, .. }) = self.waiting.remove(key)
        {
            self.backlog.shrink(weight_of(key, cell.as_ref()));
        }
    }

    /// The disk has none of them any more; nothing waits.
    pub(crate) fn clear(&mut self) {
        for (key, Waiting { cell, .. }) in std::mem::take(&mut self.waiting) {
            self.backlog.shrink(weight_of(&key, cell.as_ref()));
        }
        self.forget_sums();
    }

    /// They are counted anew when they are needed.
    pub(crate) fn forget_sums(&mut self) {
        self.sums = Sums::default();
        self.uncounted = Some(String::new());
    }

    /// A cell as it is, expired or not.
    fn cell(&self, view: &dyn Read, key: &str) -> Result<Option<Cell>, Error> {
        if let Some(waiting) = self.waiting.get(key) {
            return Ok(waiting.cell.clone());
        }
        let Some(first) = view.get(&keys::cell(&self.plugin, key))? else { return Ok(None) };
        let rest = |number| view.get(&keys::cell_rest(&self.plugin, key, number));
        match FirstPiece::decode(first).and_then(|first| first.join(rest)) {
            Ok(cell) => Ok(Some(cell)),
            Err(error @ Error::Damaged(_)) => {
                // The plugin begins anew with it, as it would with one that is expired.
                tracing::error!(plugin = &*self.plugin, error = %error, "a cell of a table cannot be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The cells with a prefix from a key on, about [`PAGE`] of them, and where to go on.
    fn page(
        &self,
        view: &dyn Read,
        prefix: &str,
        from: &str,
    ) -> Result<(BTreeMap<String, Outline>, Option<String>), Error> {
        let (begin, end) = (keys::cell(&self.plugin, from), keys::behind(&keys::cell(&self.plugin, prefix)));
        let mut page = BTreeMap::new();
        if *begin >= *end {
            return Ok((page, None));
        }
        let pairs = view.range(&begin, &end, PAGE)?;
        let last = pairs.last().filter(|_| pairs.len() == PAGE);
        let last = last.and_then(|(key, _)| keys::cell_of(key)).map(|(_, key)| key.to_owned());
        for (at, value) in pairs {
            let (Some((_, key)), Ok(first)) = (keys::cell_of(&at), FirstPiece::decode(value)) else {
                continue;
            };
            let outline = Outline { octets: first.weight(key), expires: first.expires() };
            page.insert(key.to_owned(), outline);
        }
        let to = last.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let over = self.waiting.range::<str, _>((Bound::Included(from), to));
        for (key, Waiting { cell, .. }) in over.take_while(|(key, _)| key.starts_with(prefix)) {
            match cell {
                Some(cell) => {
                    let outline = Outline { octets: weight(key, cell), expires: cell.expires };
                    page.insert(key.clone(), outline);
                }
                None => drop(page.remove(key)),
            }
        }
        Ok((page, last.map(|last| last + "\0")))
    }

    /// Puts a cell over one of that weight (`None`: there was none).
    fn put(&mut self, key: &str, held: Option<u64>, cell: Option<Cell>) {
        let (added, is_there) = (weight_of(key, cell.as_ref()), cell.is_some());
        if self.uncounted.as_deref().is_none_or(|from| key < from) {
            let Sums { octets, keys } = &mut self.sums;
            *octets = octets.saturating_sub(held.unwrap_or(0)) + if is_there { added } else { 0 };
            *keys = keys.saturating_sub(u64::from(held.is_some())) + u64::from(is_there);
        }
        let expires = cell.as_ref().and_then(|cell| cell.expires);
        self.sweep.soonest = earlier(self.sweep.soonest, expires);
        self.sweep.met = earlier(self.sweep.met, expires);
        self.version += 1;
        let waiting = Waiting { cell, version: self.version };
        let before = match self.waiting.get_mut(key) {
            Some(old) => {
                let old = std::mem::replace(old, waiting);
                weight_of(key, old.cell.as_ref())
            }
            None => {
                self.waiting.insert(key.to_owned(), waiting);
                0
            }
        };
        self.backlog.replace(before, added);
    }
}

/// What a change costs while it waits: one that takes a cell out has its key to keep.
pub(super) fn weight_of(key: &str, cell: Option<&Cell>) -> u64 {
    cell.map_or(key.len() as u64 + ENTRY_OCTETS, |cell| weight(key, cell))
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
