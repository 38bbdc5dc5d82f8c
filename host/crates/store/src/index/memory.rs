//! The index in memory: for tests, and for the engine that keeps nothing.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use super::{Change, Index, Pair};
use crate::Error;

/// A sorted map in memory.
#[derive(Default)]
pub(crate) struct MemoryIndex(RwLock<BTreeMap<Box<[u8]>, Bytes>>);

impl Index for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        Ok(map.range::<[u8], _>(bounds).take(max).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        Ok(())
    }

    fn octets(&self) -> u64 {
        0
    }
}
