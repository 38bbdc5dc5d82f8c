//! Opening the store: replay what the index has not applied, rebuild it from the log when it does not open, cut a torn tail.
//!
//! All of it without a person. What could not be read is logged and counted, never guessed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::commit::decode_position;
use crate::index::sled::SledIndex;
use crate::index::{Change, Index};
use crate::log::{self, Folder, Found, Kind, Position};
use crate::spool::disk;
use crate::{Config, Error, changes, keys};

/// What opening came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// Groups that the index had not applied yet.
    pub replayed: u64,
    /// The index did not open, or was empty, and was built anew from the log.
    pub was_rebuilt: bool,
    /// Octets behind the last good record of a segment: what was being written when the process ended, and nobody was
    /// told of.
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
    /// Those that were there before.
    pub(crate) segments: Vec<u32>,
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
    if segments.is_empty() && config.should_sync {
        sync_names(&config.directory).map_err(disk)?;
    }
    let mut opened = Opened {
        is_after_crash: !segments.is_empty() && !take_clean_mark(&config.directory).map_err(disk)?,
        ..Opened::default()
    };
    let path = config.directory.join("index");
    let index = match SledIndex::open(&path, config.cache_octets) {
        Ok(index) => index,
        Err(error) => {
            tracing::warn!(error = %error, "index does not open, building it anew from the log");
            set_aside(&path).map_err(disk)?;
            opened.was_rebuilt = true;
            SledIndex::open(&path, config.cache_octets)?
        }
    };
    let from = index.get(&keys::applied())?.and_then(|value| decode_position(&value)).unwrap_or_default();
    replay(&folder, &segments, from, &index, &mut opened)?;
    // sled takes a file that it cannot read at all for a new one.
    opened.was_rebuilt |= from == Position::default() && opened.replayed > 0;
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
    Ok(Parts { index: Arc::new(index), folder, segments, lock, opened })
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

/// A folder that was just made lasts only when the folders it stands in are synced.
fn sync_names(directory: &Path) -> io::Result<()> {
    let whole = directory.canonicalize()?;
    whole.ancestors().take(3).try_for_each(|folder| match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        // Folders above ours need not be readable for us; then they are not ours to make either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    })
}

/// Removes segments that nothing was committed to. Call it when the next segment is begun, so that no number comes again.
pub(crate) fn remove_unused(folder: &Folder, segments: &[u32]) -> io::Result<()> {
    for number in segments {
        if folder.is_unused(*number)? {
            fs::remove_file(folder.segment_path(*number))?;
        }
    }
    Ok(())
}

/// Applies every group from `from` on.
fn replay(
    folder: &Folder,
    segments: &[u32],
    from: Position,
    index: &SledIndex,
    opened: &mut Opened,
) -> Result<(), Error> {
    let mut replay = Replay { from, index, opened, last: None };
    for number in segments.iter().filter(|number| **number >= from.segment) {
        let begin = if *number == from.segment { from.offset } else { log::SEGMENT_HEADER_OCTETS };
        let file = File::open(folder.segment_path(*number)).map_err(disk)?;
        let (mut failure, mut group_begin) = (None, Position { segment: *number, offset: begin });
        let end = log::scan(&file, begin, false, |found| {
            if failure.is_none()
                && let Err(error) = replay.take(found, &mut group_begin)
            {
                failure = Some(error);
            }
            Ok(())
        });
        failure.map_or(Ok(()), Err)?;
        let end = end.map_err(disk)?;
        replay.opened.torn_octets += end.file - end.good;
    }
    replay.finish(folder)
}

/// A group as the log has it.
struct LastGroup {
    begin: Position,
    changes: Vec<Change>,
}

struct Replay<'a> {
    /// How far the index is: the beginning of the last group it applied.
    from: Position,
    index: &'a SledIndex,
    opened: &'a mut Opened,
    /// Not applied before the next one is found: of the very last it must be known that its bodies are there too.
    last: Option<LastGroup>,
}

impl Replay<'_> {
    fn take(&mut self, found: Found, group_begin: &mut Position) -> Result<(), Error> {
        let segment = group_begin.segment;
        match found {
            Found::Record { kind: Kind::Body, .. } => Ok(()),
            Found::Record { kind: Kind::Changes, payload, offset } => {
                let end = Position { segment, offset: offset + payload.len() as u64 };
                let begin = std::mem::replace(group_begin, end);
                let Some(changes) = changes::decode(payload) else {
                    tracing::error!(segment, offset, "a good record holds no changes");
                    self.opened.damaged += 1;
                    return Ok(());
                };
                let before = self.last.replace(LastGroup { begin, changes });
                before.map_or(Ok(()), |group| self.apply(&group))
            }
            Found::Damage { offset, octets } => {
                tracing::error!(segment, offset, octets, "the log is damaged here, what follows is read");
                self.opened.damaged += 1;
                Ok(())
            }
        }
    }

    fn apply(&mut self, group: &LastGroup) -> Result<(), Error> {
        self.index.apply(&group.changes)?;
        self.opened.replayed += u64::from(group.begin != self.from);
        if (self.opened.replayed + 1).is_multiple_of(CHECKPOINT_EVERY) {
            self.index.checkpoint()?;
            tracing::info!(replayed = self.opened.replayed, "replaying the log");
        }
        Ok(())
    }

    /// The last group may have been on its way to the disk when the power went: its changes may have arrived and its
    /// bodies not. Then nobody was told of it, and it goes. One that the index has was synced before it got there.
    fn finish(mut self, folder: &Folder) -> Result<(), Error> {
        let Some(group) = self.last.take() else { return Ok(()) };
        if self.opened.is_after_crash && group.begin > self.from {
            let path = folder.segment_path(group.begin.segment);
            let file = OpenOptions::new().read(true).write(true).open(path).map_err(disk)?;
            let mut is_whole = true;
            let end = log::scan(&file, group.begin.offset, true, |found| {
                is_whole &= matches!(found, Found::Record { .. });
                Ok(())
            })
            .map_err(disk)?;
            if !is_whole {
                let segment = group.begin.segment;
                tracing::warn!(
                    segment,
                    offset = group.begin.offset,
                    "a group that was not synced is cut off"
                );
                self.opened.torn_octets += end.good.saturating_sub(group.begin.offset);
                return file.set_len(group.begin.offset).and_then(|()| folder.sync(&file)).map_err(disk);
            }
        }
        self.apply(&group)
    }
}
