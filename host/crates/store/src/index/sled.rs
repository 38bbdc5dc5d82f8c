//! The index in sled 0.34.7, with its pitfalls fenced in.
//!
//! `flush` of sled ends in `sync_file_range` and is no fsync, so a checkpoint also syncs sled's file through a descriptor of
//! our own. A damaged file makes sled panic, so opening it is caught; whoever opens it then rebuilds from the log. A left-over
//! `snap.*.generating` makes it refuse to open, so those go first. Values stay below 32 KiB: larger ones would go to
//! files that sled never syncs.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Change, Index, Pair};
use crate::Error;

/// sled behind our words.
pub(crate) struct SledIndex {
    db: sled::Db,
    file: PathBuf,
}

/// sled applies a batch in memory as a whole: larger ones cost memory out of proportion.
const BATCH_MAX: usize = 1000;

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("index: {error}"))
}

impl SledIndex {
    /// Opens it, or says why it cannot be opened: then move the folder aside and rebuild.
    pub(crate) fn open(folder: &Path, cache_octets: u64) -> Result<Self, Error> {
        remove_unfinished_snapshots(folder).map_err(unavailable)?;
        let open = || {
            let db =
                sled::Config::new().path(folder).cache_capacity(cache_octets).flush_every_ms(None).open()?;
            // A first look at both ends: damage shows here, not in a session.
            let _ends = (db.first()?, db.last()?);
            Ok::<_, sled::Error>(db)
        };
        let db = catch_unwind(AssertUnwindSafe(open))
            .map_err(|_| unavailable("sled panicked while opening"))?
            .map_err(unavailable)?;
        // sled syncs no names: without them a power cut costs a rebuild each time.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unavailable)?;
        Ok(Self { db, file: folder.join("db") })
    }
}

fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.db.get(key).map_err(unavailable)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<Pair>, Error> {
        let pairs = self.db.range(from..to).take(max);
        let owned = pairs.map(|pair| pair.map(|(k, v)| (Box::from(k.as_ref()), Bytes::copy_from_slice(&v))));
        owned.collect::<Result<_, _>>().map_err(unavailable)
    }

    fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        // How far the log is applied stands in one of the last two keys: the last part is a whole one and has it.
        let (first, rest) = changes.split_at(changes.len() % BATCH_MAX);
        for part in std::iter::once(first).chain(rest.chunks(BATCH_MAX)).filter(|part| !part.is_empty()) {
            let mut batch = sled::Batch::default();
            for (key, value) in part {
                match value {
                    Some(value) => batch.insert(key.as_ref(), value.as_ref()),
                    None => batch.remove(key.as_ref()),
                }
            }
            self.db.apply_batch(batch).map_err(unavailable)?;
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Error> {
        self.db.flush().map_err(unavailable)?;
        File::open(&self.file).and_then(|file| file.sync_all()).map_err(unavailable)
    }

    fn octets(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}
