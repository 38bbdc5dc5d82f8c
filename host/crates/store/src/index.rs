//! The index: a sorted map of small values, applied after the log and rebuilt from it. Replacing sled touches one file here.

pub(crate) mod memory;
pub(crate) mod sled;

use bytes::Bytes;

use crate::Error;

/// A change of one key: a new value, or none.
pub(crate) type Change = (Box<[u8]>, Option<Bytes>);
/// A key with its value.
pub(crate) type Pair = (Box<[u8]>, Bytes);

/// A sorted map. `apply` is atomic; what it did is durable only after `checkpoint`.
pub(crate) trait Index: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;
    /// At most `max` pairs from `from` (inclusive) to `to` (exclusive).
    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error>;
    fn apply(&self, changes: &[Change]) -> Result<(), Error>;
    fn checkpoint(&self) -> Result<(), Error>;
    /// Octets on disk.
    fn octets(&self) -> u64;
}
