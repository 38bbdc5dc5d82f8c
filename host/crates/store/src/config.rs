//! How the store behaves.

use std::path::PathBuf;
use std::time::Duration;

/// Settings, already checked by their types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where log and index are kept.
    pub directory: PathBuf,
    /// False: nothing is synced, and a power cut may lose what was acknowledged. For throw-away tests only. Default true.
    pub should_sync: bool,
    /// What sled may keep in memory. Default 32 MiB.
    pub cache_octets: u64,
    /// When a segment is full. Default 64 MiB.
    pub segment_octets: u64,
    /// A body above this gets a segment of its own, written as it arrives. Default 1 MiB.
    pub inline_octets_max: usize,
    /// Flag changes are durable at most so much later. Default 100 ms.
    pub soon: Duration,
    /// Below this much free room on the disk nothing is taken any more. Default 64 MiB.
    pub reserve_octets: u64,
    /// Mailboxes whose numbers stay in memory though nobody watches them. Default 256.
    pub snapshots_max: usize,
}

impl Config {
    /// The defaults, kept in this folder.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            should_sync: true,
            cache_octets: 32 << 20,
            segment_octets: 64 << 20,
            inline_octets_max: 1 << 20,
            soon: Duration::from_millis(100),
            reserve_octets: 64 << 20,
            snapshots_max: 256,
        }
    }
}
