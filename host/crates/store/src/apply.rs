//! The applier: one thread that brings durable groups into the index, off the way of acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::commit::Applied;
use crate::shared::Shared;

/// An index that was changed is made durable at least so often. The log is the truth: this only shortens the replay after
/// a power cut, and keeps sled from being torn by one.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// And when nothing came for so long.
const CHECKPOINT_IDLE: Duration = Duration::from_millis(200);

/// How long groups gather before the index gets them as one: nobody waits for it, readers see them over the index.
const GATHER: Duration = Duration::from_millis(4);
/// Groups are gathered up to so many keys.
const KEYS_MAX: usize = 500;

/// Works until the committer is gone; then makes the index durable. True when all went well. `has_room` is asked now and
/// then whether the disk has room left.
pub(crate) fn run(shared: &Arc<Shared>, groups: &Receiver<Applied>, has_room: &dyn Fn() -> bool) -> bool {
    let mut dirty: Option<Instant> = None;
    let mut is_well = true;
    loop {
        let next = match dirty {
            Some(_) => groups.recv_timeout(CHECKPOINT_IDLE),
            None => groups.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let is_idle = match next {
            Ok(group) => {
                std::thread::sleep(GATHER);
                if !apply(shared, &gather(group, groups)) {
                    // A later group would carry the mark of how far the index is past the one it did not take, and
                    // the next start would not replay it. So the store takes no more.
                    return false;
                }
                dirty.get_or_insert_with(Instant::now);
                false
            }
            Err(RecvTimeoutError::Timeout) => true,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if is_idle || dirty.is_some_and(|since| since.elapsed() >= CHECKPOINT_EVERY) {
            is_well &= checkpoint(shared);
            shared.is_full.store(!has_room(), Ordering::Relaxed);
            dirty = None;
        }
    }
    checkpoint(shared) && is_well
}

/// A group with those that wait behind it: of a key that several changed, as heads are, the index gets the last value only.
fn gather(first: Applied, groups: &Receiver<Applied>) -> Applied {
    let Applied { mut group, changes } = first;
    let mut changes: BTreeMap<_, _> = changes.into_iter().collect();
    while changes.len() < KEYS_MAX
        && let Ok(next) = groups.try_recv()
    {
        group = next.group;
        changes.extend(next.changes);
    }
    Applied { group, changes: changes.into_iter().collect() }
}

fn apply(shared: &Shared, Applied { group, changes }: &Applied) -> bool {
    match shared.view.index().apply(changes) {
        Ok(()) => {
            shared.view.settle(*group, changes);
            true
        }
        Err(error) => {
            // The changes stay over the index, where readers find them, and in the log, from which the next start
            // replays them.
            tracing::error!(error = %error, "the index does not take changes");
            false
        }
    }
}

fn checkpoint(shared: &Shared) -> bool {
    let done = shared.view.index().checkpoint();
    if let Err(error) = &done {
        tracing::error!(error = %error, "the index cannot be made durable");
    }
    done.is_ok()
}
