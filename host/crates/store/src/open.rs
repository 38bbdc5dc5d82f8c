//! Opening the store: replay what the index has not applied, rebuild it from the log when it does not open, cut a torn tail.
//!
//! All of it without a person. What could not be read is logged and counted, never guessed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::commit::decode_position;
use crate::index::Index;
use crate::index::sled::SledIndex;
use crate::log::{self, Folder, Found, Kind, Position};
use crate::spool::disk;
use crate::{Config, Error, changes, keys};

/// What opening came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// Groups that the index had not applied yet.
    pub replayed: u64,
    /// The index did not open and was built anew from the log.
    pub was_rebuilt: bool,
    /// Octets of a torn tail that were cut off: nobody was told of them.
    pub torn_octets: u64,
    /// Damaged places in the log that were passed over.
    pub damaged: u64,
    /// The last run did not end cleanly.
    pub is_after_crash: bool,
}

/// The parts of an opened store.
pub(crate) struct Parts {
    pub(crate) index: Arc<dyn Index>,
    pub(crate) folder: Arc<Folder>,
    pub(crate) lock: File,
    pub(crate) opened: Opened,
}

/// Groups between two checkpoints while many are replayed.
const CHECKPOINT_EVERY: u64 = 5_000;
const CLEAN_MARK: &str = "clean";

pub(crate) fn open(config: &Config) -> Result<Parts, Error> {
    fs::create_dir_all(&config.directory).map_err(disk)?;
    let lock = lock(&config.directory)?;
    let (folder, segments) = Folder::open(&config.directory.join("log"), config.should_sync).map_err(disk)?;
    let mut opened = Opened {
        is_after_crash: !segments.is_empty() && !take_clean_mark(&config.directory).map_err(disk)?,
        ..Opened::default()
    };
    let path = config.directory.join("index");
    let is_new = !path.exists();
    let index = match SledIndex::open(&path, config.cache_octets) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!(error = %error, "index does not open, building it anew from the log");
            set_aside(&path).map_err(disk)?;
            opened.was_rebuilt = true;
            SledIndex::open(&path, config.cache_octets)?
        }
    };
    opened.was_rebuilt |= is_new && !segments.is_empty();
    let from = index.get(&keys::applied())?.and_then(|value| decode_position(&value)).unwrap_or_default();
    replay(&folder, &segments, from, &index, &mut opened)?;
    index.checkpoint()?;
    if opened != Opened::default() {
        tracing::info!(
            replayed = opened.replayed,
            was_rebuilt = opened.was_rebuilt,
            torn_octets = opened.torn_octets,
            damaged = opened.damaged,
            "store recovered"
        );
    }
    Ok(Parts { index: Arc::new(index), folder, lock, opened })
}

/// One process only: two would write over each other.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::Unavailable(format!("{} is in use by another process", directory.display())))
        }
        Err(fs::TryLockError::Error(error)) => Err(disk(error)),
    }
}

/// True when the last run ended cleanly; the mark is gone then.
fn take_clean_mark(directory: &Path) -> io::Result<bool> {
    match fs::remove_file(directory.join(CLEAN_MARK)) {
        Ok(()) => {
            File::open(directory)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Everything is synced and applied: the next start need not skip ahead.
pub(crate) fn put_clean_mark(directory: &Path) -> io::Result<()> {
    File::create(directory.join(CLEAN_MARK))?.sync_all()?;
    File::open(directory)?.sync_all()
}

/// Keeps a damaged index for whoever wants to look at it; an older one of these goes.
fn set_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_extension("damaged");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(path, aside)
}

/// Applies every group from `from` on.
fn replay(
    folder: &Folder,
    segments: &[u32],
    from: Position,
    index: &SledIndex,
    opened: &mut Opened,
) -> Result<(), Error> {
    for (nth, number) in segments.iter().enumerate().filter(|(_, number)| **number >= from.segment) {
        let offset = if *number == from.segment { from.offset } else { 0 };
        let file =
            OpenOptions::new().read(true).write(true).open(folder.segment_path(*number)).map_err(disk)?;
        let mut failure = None;
        let end = log::scan(&file, offset, false, |found| {
            if failure.is_none()
                && let Err(error) = take(found, *number, index, opened)
            {
                failure = Some(error);
            }
            Ok(())
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let end = end.map_err(disk)?;
        let is_last = nth + 1 == segments.len();
        if end.good < end.file {
            // Behind the last good record there is only what no acknowledgement covers. It stays in older segments
            // (a later one was begun after it), and goes from the last one.
            opened.torn_octets += end.file - end.good;
            if is_last {
                file.set_len(end.good).and_then(|()| folder.sync(&file)).map_err(disk)?;
            }
        }
    }
    Ok(())
}

fn take(found: Found, segment: u32, index: &SledIndex, opened: &mut Opened) -> Result<(), Error> {
    match found {
        Found::Record { kind: Kind::Body, .. } => Ok(()),
        Found::Record { kind: Kind::Changes, payload, offset, .. } => {
            let Some(changes) = changes::decode(payload) else {
                tracing::error!(segment, offset, "a good record holds no changes");
                opened.damaged += 1;
                return Ok(());
            };
            index.apply(&changes)?;
            opened.replayed += 1;
            if opened.replayed.is_multiple_of(CHECKPOINT_EVERY) {
                index.checkpoint()?;
                tracing::info!(replayed = opened.replayed, "replaying the log");
            }
            Ok(())
        }
        Found::Damage { offset, octets } => {
            tracing::error!(segment, offset, octets, "the log is damaged here, what follows is read");
            opened.damaged += 1;
            Ok(())
        }
    }
}
