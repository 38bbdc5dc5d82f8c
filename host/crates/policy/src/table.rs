//! A plugin's table: small values under keys, with a time to live and atomic changes.
//!
//! What an operation does is pure and in one place, [`step`]: the store keeps tables on disk with it, [`MemoryTable`] in
//! memory, and a shadow its scratch layer. An operation and its answer are values, so that
//! they can be recorded and played back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use maitred_mail::Timestamp;
use serde::{Deserialize, Serialize};

/// A value and when it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The value.
    pub value: Bytes,
    /// From then on it is not there. `None`: for ever.
    pub expires: Option<Timestamp>,
}

/// What a plugin asks of its table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableOp {
    /// The value of a key.
    Get(String),
    /// The values of several keys.
    GetMany(Vec<String>),
    /// Keys with a prefix in order, after one of them, at most so many.
    Scan {
        /// With which they begin.
        prefix: String,
        /// Behind this one.
        after: Option<String>,
        /// How many.
        max: u32,
    },
    /// A change of one key.
    Change(String, Change),
}

/// What a plugin does to one key. Atomic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Stores a value; `ttl` in seconds.
    Set {
        /// The value.
        value: Vec<u8>,
        /// Seconds.
        ttl: Option<u32>,
    },
    /// Removes it.
    Delete,
    /// Stores a value unless there is one; answers the one that was there.
    GetOrInsert {
        /// The value.
        value: Vec<u8>,
        /// Seconds.
        ttl: Option<u32>,
    },
    /// Stores (or removes) if the value is this one (or none).
    CompareAndSet {
        /// As it must be.
        old: Option<Vec<u8>>,
        /// As it shall be.
        new: Option<Vec<u8>>,
        /// Seconds.
        ttl: Option<u32>,
    },
    /// Counts; the time to live begins with the first count (a fixed window). Answers the new count.
    Increment {
        /// How much.
        delta: i64,
        /// Seconds.
        ttl: Option<u32>,
    },
    /// Takes from a bucket that fills with time.
    TakeTokens {
        /// The most that is in it.
        capacity: u32,
        /// How many come each second.
        per_second: f32,
        /// How many are taken.
        cost: u32,
    },
}

/// What a table answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableAnswer {
    /// Get, GetOrInsert.
    Value(Option<Vec<u8>>),
    /// GetMany.
    Values(Vec<Option<Vec<u8>>>),
    /// Scan.
    Keys(Vec<String>),
    /// Set, Delete.
    Done,
    /// CompareAndSet: whether it was so.
    Swapped(bool),
    /// Increment.
    Count(i64),
    /// TakeTokens: how many are left.
    Taken(u32),
    /// TakeTokens: not enough; milliseconds until there are.
    Wait(u32),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum TableError {
    /// The plugin's table is full.
    #[error("the table holds {0} octets already")]
    Full(u64),
    /// A key or a value is too large, or a key is empty.
    #[error("a key has 1 to {KEY_OCTETS_MAX} octets, a value up to {VALUE_OCTETS_MAX}")]
    TooLarge,
    /// The value is no counter, no bucket.
    #[error("the value is of another kind")]
    Kind,
    /// The store cannot do it now.
    #[error("the store is not available: {0}")]
    Unavailable(String),
}

/// Octets of a key.
pub const KEY_OCTETS_MAX: usize = 512;
/// Octets of a value.
pub const VALUE_OCTETS_MAX: usize = 64 << 10;
/// Keys of one scan, and values of one `GetMany`.
pub const KEYS_MAX: usize = 1_000;
/// What an entry costs beside its octets.
pub const ENTRY_OCTETS: u64 = 32;

/// Whose table, and how large it may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The plugin's configured name: one table for all its versions.
    pub plugin: Arc<str>,
    /// Octets of keys and values, with [`ENTRY_OCTETS`] each.
    pub octets_max: u64,
}

/// Where plugins keep things. Never waits for the disk: what was changed is on disk a moment later.
pub trait Table: Send + Sync {
    /// Does one thing, atomically.
    ///
    /// # Errors
    /// Why it was not done; nothing has changed then.
    fn apply(&self, space: &Space, op: &TableOp, now: Timestamp) -> Result<TableAnswer, TableError>;
}

/// What a change makes of a cell (`None`: not there, or expired): the answer, and the cell afterwards when it is another.
///
/// # Errors
/// [`TableError::TooLarge`], [`TableError::Kind`].
pub fn step(
    cell: Option<&Cell>,
    change: &Change,
    now: Timestamp,
) -> Result<(TableAnswer, Option<Option<Cell>>), TableError> {
    let cell = cell.filter(|cell| is_alive(cell, now));
    let fresh = |value: &[u8], ttl: &Option<u32>| -> Result<Option<Option<Cell>>, TableError> {
        if value.len() > VALUE_OCTETS_MAX {
            return Err(TableError::TooLarge);
        }
        Ok(Some(Some(Cell { value: Bytes::copy_from_slice(value), expires: ttl.map(|ttl| after(now, ttl)) })))
    };
    Ok(match change {
        Change::Set { value, ttl } => (TableAnswer::Done, fresh(value, ttl)?),
        Change::Delete => (TableAnswer::Done, cell.map(|_| None)),
        Change::GetOrInsert { value, ttl } => match cell {
            Some(cell) => (TableAnswer::Value(Some(cell.value.to_vec())), None),
            None => (TableAnswer::Value(None), fresh(value, ttl)?),
        },
        Change::CompareAndSet { old, new, ttl } => {
            if cell.map(|cell| &*cell.value) != old.as_deref() {
                return Ok((TableAnswer::Swapped(false), None));
            }
            let after = match new {
                Some(new) => fresh(new, ttl)?,
                None => cell.map(|_| None),
            };
            (TableAnswer::Swapped(true), after)
        }
        Change::Increment { delta, ttl } => {
            let (before, expires) = match cell {
                Some(cell) => (count(&cell.value)?, cell.expires),
                None => (0, ttl.map(|ttl| after(now, ttl))),
            };
            let count = before.saturating_add(*delta);
            let value = Bytes::copy_from_slice(count.to_string().as_bytes());
            (TableAnswer::Count(count), Some(Some(Cell { value, expires })))
        }
        Change::TakeTokens { capacity, per_second, cost } => {
            take(cell, (*capacity, *per_second, *cost), now)?
        }
    })
}

/// What an entry counts against the size of its table.
pub fn weight(key: &str, cell: &Cell) -> u64 {
    (key.len() + cell.value.len()) as u64 + ENTRY_OCTETS
}

/// Whether a cell is still there.
pub fn is_alive(cell: &Cell, now: Timestamp) -> bool {
    cell.expires.is_none_or(|expires| now < expires)
}

/// # Errors
/// [`TableError::TooLarge`] for a key that cannot be one.
pub fn check_key(key: &str) -> Result<(), TableError> {
    let is_legal = (1..=KEY_OCTETS_MAX).contains(&key.len());
    if is_legal { Ok(()) } else { Err(TableError::TooLarge) }
}

fn after(now: Timestamp, ttl: u32) -> Timestamp {
    Timestamp(now.0.saturating_add(i64::from(ttl).saturating_mul(1000)))
}

/// A counter is its digits: a plugin that reads it sees a number, and one that sets it writes one.
fn count(value: &[u8]) -> Result<i64, TableError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(TableError::Kind)
}

/// A bucket is "tokens milliseconds": how many there were, and when.
fn take(
    cell: Option<&Cell>,
    (capacity, per_second, cost): (u32, f32, u32),
    now: Timestamp,
) -> Result<(TableAnswer, Option<Option<Cell>>), TableError> {
    let rate = f64::from(per_second);
    if !rate.is_finite() || rate <= 0.0 || capacity == 0 || cost > capacity {
        return Err(TableError::Kind);
    }
    let full = f64::from(capacity);
    let have = match cell {
        Some(cell) => {
            let (tokens, at) = bucket(&cell.value).ok_or(TableError::Kind)?;
            let elapsed = now.0.saturating_sub(at).max(0);
            // A clock that went back fills nothing; precision beyond a millisecond is not needed.
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of at most some days count here")]
            let filled = tokens + elapsed as f64 / 1000.0 * rate;
            filled.clamp(0.0, full)
        }
        None => full,
    };
    let left = have - f64::from(cost);
    if left < 0.0 {
        return Ok((TableAnswer::Wait(whole(-left / rate * 1000.0)), None));
    }
    let value = Bytes::from(format!("{left:.3} {}", now.0));
    // A full bucket is the same as none.
    let expires = Some(after(now, whole(full / rate).saturating_add(1)));
    Ok((TableAnswer::Taken(whole(left.floor())), Some(Some(Cell { value, expires }))))
}

fn bucket(value: &[u8]) -> Option<(f64, i64)> {
    let (tokens, at) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let tokens: f64 = tokens.parse().ok()?;
    Some((tokens, at.parse().ok()?)).filter(|(tokens, _)| tokens.is_finite())
}

/// Rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u32 holds")]
fn whole(number: f64) -> u32 {
    number.ceil().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// Tables in memory: for tests, fixtures and replays.
#[derive(Default)]
pub struct MemoryTable {
    spaces: Mutex<BTreeMap<Arc<str>, BTreeMap<String, Cell>>>,
}

impl Table for MemoryTable {
    fn apply(&self, space: &Space, op: &TableOp, now: Timestamp) -> Result<TableAnswer, TableError> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let cells = spaces.entry(Arc::clone(&space.plugin)).or_default();
        let alive = |key: &String| cells.get(key).filter(|cell| is_alive(cell, now));
        Ok(match op {
            TableOp::Get(key) => TableAnswer::Value(alive(key).map(|cell| cell.value.to_vec())),
            TableOp::GetMany(keys) => TableAnswer::Values(
                keys.iter().take(KEYS_MAX).map(|key| alive(key).map(|cell| cell.value.to_vec())).collect(),
            ),
            TableOp::Scan { prefix, after, max } => {
                let from = after.as_ref().unwrap_or(prefix).clone();
                let keys = cells.range(from..).filter(|(_, cell)| is_alive(cell, now));
                let keys = keys.map(|(key, _)| key).filter(|key| after.as_ref() != Some(*key));
                let keys = keys.skip_while(|key| *key < prefix).take_while(|key| key.starts_with(prefix));
                TableAnswer::Keys(keys.take((*max as usize).min(KEYS_MAX)).cloned().collect())
            }
            TableOp::Change(key, change) => {
                check_key(key)?;
                let (answer, cell) = step(cells.get(key), change, now)?;
                match cell {
                    Some(Some(cell)) => {
                        let others = |cells: &BTreeMap<String, Cell>| -> u64 {
                            cells.iter().filter(|(k, _)| *k != key).map(|(k, c)| weight(k, c)).sum()
                        };
                        let is_full =
                            |others: u64| others.saturating_add(weight(key, &cell)) > space.octets_max;
                        if is_full(others(cells)) {
                            // As on disk: what is expired goes first, and then it is tried again.
                            cells.retain(|_, cell| is_alive(cell, now));
                        }
                        let others = others(cells);
                        if is_full(others) {
                            return Err(TableError::Full(others));
                        }
                        cells.insert(key.clone(), cell);
                    }
                    Some(None) => drop(cells.remove(key)),
                    None => {}
                }
                answer
            }
        })
    }
}

#[cfg(test)]
mod tests;
