//! Opening the store: replay what the index has not applied, rebuild it from the log when it does not open, cut a torn tail.
//!
//! All of it without a person. What could not be read is logged and counted, never guessed.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
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

/// The folder, for its owner only, whoever made it: everybody's mail and password hashes are in it.
fn make_private(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

pub(crate) fn open(config: &Config) -> Result<Parts, Error> {
    make_private(&config.directory).map_err(disk)?;
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
/// One with octets behind a beginning of zeros is left by a crash only; without one it lost its beginning, and is kept.
pub(crate) fn remove_unused(folder: &Folder, segments: &[u32], is_after_crash: bool) -> io::Result<()> {
    for number in segments {
        let path = folder.segment_path(*number);
        let may_go = is_after_crash || fs::metadata(&path)?.len() <= log::Side::OFFSET;
        if may_go && folder.is_unused(*number)? {
            fs::remove_file(path)?;
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
    let mut replay = Replay {
        from,
        index,
        opened,
        synced: Position::default(),
        held: VecDeque::new(),
        damage: Vec::new(),
    };
    for number in segments.iter().filter(|number| **number >= from.segment) {
        let begin = if *number == from.segment { from.offset } else { log::SEGMENT_HEADER_OCTETS };
        let file = File::open(folder.segment_path(*number)).map_err(disk)?;
        if replay.opened.is_after_crash && folder.is_unused(*number).map_err(disk)? {
            // A large body that was not finished: its pages reach the disk in any order, and nobody was told of it.
            let octets = file.metadata().map_err(disk)?.len();
            replay.opened.torn_octets += octets.saturating_sub(log::Side::OFFSET);
            continue;
        }
        let mut failure = None;
        let end = log::scan(&file, begin, false, |found| {
            if failure.is_none()
                && let Err(error) = replay.take(*number, found)
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
struct LoggedGroup {
    begin: Position,
    end: Position,
    changes: Vec<Change>,
}

struct Replay<'a> {
    /// How far the index is: the beginning of the last group it applied.
    from: Position,
    index: &'a SledIndex,
    opened: &'a mut Opened,
    /// Up to where the log was durable when the newest group that was found was written.
    synced: Position,
    /// Groups behind that. What was on its way to the disk when the power went may have arrived in part, in any order.
    held: VecDeque<LoggedGroup>,
    damage: Vec<Position>,
}

impl Replay<'_> {
    fn take(&mut self, segment: u32, found: Found) -> Result<(), Error> {
        match found {
            Found::Record { kind: Kind::Body, .. } => Ok(()),
            Found::Record { kind: Kind::Changes, payload, offset } => {
                let end = Position { segment, offset: offset + payload.len() as u64 };
                let decoded = changes::decode(payload)
                    .and_then(|(synced, changes)| Some((own_begin(&changes)?, synced, changes)));
                let Some((begin, synced, changes)) = decoded else {
                    tracing::error!(segment, offset, "a good record holds no changes");
                    self.opened.damaged += 1;
                    return Ok(());
                };
                self.synced = Position { segment, offset: synced };
                while let Some(group) = self.held.pop_front_if(|group| group.begin < self.synced) {
                    self.apply(&group)?;
                }
                self.held.push_back(LoggedGroup { begin, end, changes });
                Ok(())
            }
            Found::Damage { offset, octets } => {
                tracing::error!(segment, offset, octets, "no good record, what follows is read");
                self.damage.push(Position { segment, offset });
                Ok(())
            }
        }
    }

    fn apply(&mut self, group: &LoggedGroup) -> Result<(), Error> {
        self.index.apply(&group.changes)?;
        self.opened.replayed += u64::from(group.begin != self.from);
        if (self.opened.replayed + 1).is_multiple_of(CHECKPOINT_EVERY) {
            self.index.checkpoint()?;
            tracing::info!(replayed = self.opened.replayed, "replaying the log");
        }
        Ok(())
    }

    /// Applies what is whole of the groups that nobody may have synced. From the first that is not, nobody was told of
    /// any: they go for good.
    fn finish(mut self, folder: &Folder) -> Result<(), Error> {
        let (mut cut, mut good) = (None, 0);
        if self.opened.is_after_crash
            && let Some(last) = self.held.back()
        {
            let segment = last.begin.segment;
            let from = if self.from.segment == segment { self.from.offset } else { 0 };
            if let Some((bad, end)) = first_bad(folder, segment, self.synced.offset.max(from))? {
                good = end;
                cut = match self.held.iter().find(|group| group.end.offset > bad) {
                    // The index has it, so it was synced: this is damage.
                    Some(group) if group.begin <= self.from => None,
                    Some(group) => Some(Position { segment, offset: group.begin.offset.min(bad) }),
                    None => Some(Position { segment, offset: bad }),
                };
            }
        }
        if let Some(cut) = cut {
            let (segment, offset) = (cut.segment, cut.offset);
            let file = OpenOptions::new().write(true).open(folder.segment_path(segment)).map_err(disk)?;
            let length = file.metadata().map_err(disk)?.len();
            tracing::warn!(
                segment,
                offset,
                octets = length - offset,
                "commits that were not synced are cut off"
            );
            file.set_len(offset).and_then(|()| folder.sync(&file)).map_err(disk)?;
            // What is behind the last good record was counted when it was found.
            self.opened.torn_octets += good.saturating_sub(offset);
        }
        let is_kept = |at: &Position| cut.is_none_or(|cut| *at < cut);
        self.opened.damaged += self.damage.iter().filter(|at| is_kept(at)).count() as u64;
        for group in std::mem::take(&mut self.held).iter().filter(|group| is_kept(&group.begin)) {
            self.apply(group)?;
        }
        Ok(())
    }
}

/// Where a group begins says the mark that it leaves in the index.
fn own_begin(changes: &[Change]) -> Option<Position> {
    let mark = keys::applied();
    let (_, value) = changes.iter().find(|(key, _)| *key == mark)?;
    decode_position(value.as_ref()?)
}

/// Where the first octet stands, from `from` on, that belongs to no good record, and where the last good record ends.
fn first_bad(folder: &Folder, segment: u32, from: u64) -> Result<Option<(u64, u64)>, Error> {
    let file = File::open(folder.segment_path(segment)).map_err(disk)?;
    let mut bad = None;
    let end = log::scan(&file, from, true, |found| {
        if let Found::Damage { offset, .. } = found {
            bad.get_or_insert(offset);
        }
        Ok(())
    });
    let end = end.map_err(disk)?;
    Ok(bad.or((end.good < end.file).then_some(end.good)).map(|bad| (bad, end.good)))
}
