//! How much room the disk has.

use std::path::Path;

/// Octets that an unprivileged process can still write where this folder is; `None` when the system does not say.
pub(crate) fn free_octets(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
