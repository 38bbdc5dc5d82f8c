//! The committer: one thread that turns the commits of many sessions into one write and one sync.
//!
//! It takes whatever has arrived while the last sync ran, plans it, appends bodies and changes to the log in one write, syncs
//! once, makes it visible, answers everybody. The sync in progress is the window in which the next group gathers; only for
//! commits that are announced ([`crate::Coming`]) it waits a moment longer. A group of nothing but [`Urgency::Soon`] is
//! answered without a sync, which follows within [`crate::Config::soon`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{Durable, MailboxId};
use tokio::sync::oneshot;

use crate::body::Contents;
use crate::changes;
use crate::codec::Summary;
use crate::index::Change;
use crate::intent::{Changed, Intent, Receipt, Urgency};
use crate::log::{self, HEADER_OCTETS, Kind, Position, Seal, Writer};
use crate::plan::{Context, Group, Placed};
use crate::record::{BodyRef, Extent};
use crate::shared::{Shared, lock};
use crate::spool::{Finished, disk};
use crate::{Error, keys};

/// A body whose draft is finished.
pub(crate) struct ReadyBody {
    pub(crate) head: Bytes,
    pub(crate) tail: Finished,
    pub(crate) summary: Bytes,
    pub(crate) local_head: u32,
}

/// One commit on its way.
pub(crate) struct Request {
    pub(crate) bodies: Vec<ReadyBody>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) urgency: Urgency,
    pub(crate) answer: oneshot::Sender<Result<Receipt, Error>>,
}

/// What the applier gets.
pub(crate) struct Applied {
    pub(crate) group: u64,
    pub(crate) changes: Vec<Change>,
}

/// Where the log is, or that there is none.
pub(crate) enum Log {
    Disk(Writer),
    /// The memory engine: contents are kept under growing numbers.
    Memory {
        next: u32,
    },
}

/// Where a group begins, and the seal of its segment.
type Start = (Position, Seal);

/// A group is at most so many commits and octets.
const REQUESTS_MAX: usize = 1024;
const OCTETS_MAX: usize = 16 << 20;
/// A group waits so often and so long at a time, half a millisecond in all, for commits that are announced.
const WAITS_MAX: usize = 4;
const WAIT: Duration = Duration::from_micros(125);
/// A summary above this is kept in the log: the index takes no large values.
const SUMMARY_INLINE_MAX: usize = 16 << 10;

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) requests: Receiver<Request>,
    pub(crate) applier: SyncSender<Applied>,
    pub(crate) soon: Duration,
    /// The last run did not end cleanly: mod-sequences skip ahead when first used.
    pub(crate) is_after_crash: bool,
    pub(crate) skipped: HashSet<MailboxId>,
    pub(crate) group: u64,
    pub(crate) unsynced_since: Option<Instant>,
    pub(crate) broken: Option<Error>,
    /// Groups that readers see, and the index does not get before they are synced.
    pub(crate) unapplied: Vec<Applied>,
}

/// A planned request that waits for the group's sync.
struct Waiting {
    answer: oneshot::Sender<Result<Receipt, Error>>,
    changes: Vec<Changed>,
    urgency: Urgency,
    /// Dropped before they are told to stay, their files go.
    bodies: Vec<Finished>,
}

impl Committer {
    /// Works until every sender is gone; then syncs what is left. True when all went well.
    pub(crate) fn run(mut self) -> bool {
        loop {
            match self.next_requests() {
                Some(requests) if requests.is_empty() => self.sync_rest(),
                Some(requests) => self.commit(requests),
                None => break,
            }
        }
        self.sync_rest();
        self.broken.is_none()
    }

    /// Whatever has arrived; nothing when a sync is due; `None` at the end.
    fn next_requests(&self) -> Option<Vec<Request>> {
        let first = match self.unsynced_since {
            Some(since) => match self.requests.recv_timeout(self.soon.saturating_sub(since.elapsed())) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) => return Some(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => return None,
            },
            None => self.requests.recv().ok()?,
        };
        let mut octets = first.octets();
        let mut requests = vec![first];
        let mut waits = 0;
        while requests.len() < REQUESTS_MAX && octets < OCTETS_MAX {
            match self.requests.try_recv() {
                Ok(request) => {
                    octets += request.octets();
                    requests.push(request);
                }
                Err(TryRecvError::Empty) if waits < WAITS_MAX && self.shared.coming.is_near() => {
                    // Asleep and not at the queue: there each arrival would wake this thread.
                    std::thread::sleep(WAIT);
                    waits += 1;
                }
                Err(_) => break,
            }
        }
        Some(requests)
    }

    fn commit(&mut self, requests: Vec<Request>) {
        if let Some(error) = self.broken.clone().or_else(|| self.shared.refuse_when_full().err()) {
            for request in requests {
                // Whoever asked may be gone; then nobody needs the answer.
                let _ = request.answer.send(Err(error.clone()));
            }
            return;
        }
        let start = match self.start() {
            Ok(start) => start,
            Err(error) => return self.fail(&error, requests.into_iter().map(|r| r.answer)),
        };
        let shared = Arc::clone(&self.shared);
        let mut group = Group::new(&shared.view);
        let directory = shared.directory.load_full();
        let clock_seconds = Shared::unix_seconds();
        let mut octets = Vec::new();
        let mut waiting = Vec::new();
        let recent = |id: MailboxId| lock(&shared.recent).get(&id).copied();
        for request in requests {
            let Request { bodies, intents, urgency, answer } = request;
            let before = octets.len();
            let (placed, kept) = self.place(bodies, start, &mut octets);
            let must_skip = |id: MailboxId| self.is_after_crash && !self.skipped.contains(&id);
            let context =
                Context { directory: &directory, must_skip: &must_skip, recent: &recent, clock_seconds };
            match group.plan(&intents, &placed, &context) {
                Ok(changes) => waiting.push(Waiting { answer, changes, urgency, bodies: kept }),
                Err(error) => {
                    octets.truncate(before);
                    drop(kept); // the files of large bodies go before anybody is told
                    let _ = answer.send(Err(error)); // as above
                }
            }
        }
        if waiting.is_empty() {
            return;
        }
        self.write(group, octets, start, waiting);
    }

    /// Appends and syncs a planned group, makes it visible, answers.
    fn write(
        &mut self,
        mut group: Group<'_>,
        mut octets: Vec<u8>,
        (position, seal): Start,
        waiting: Vec<Waiting>,
    ) {
        let is_urgent = waiting.iter().any(|w| w.urgency == Urgency::Now);
        if !group.writes.is_empty() {
            let mut encoded = Vec::with_capacity(4096);
            // How far the index is when it has applied this group: replay begins here.
            group.writes.insert(keys::applied(), Some(encode_position(position)));
            let synced = if let Log::Disk(writer) = &self.log { writer.synced() } else { 0 };
            changes::encode(synced, &group.writes, &mut encoded);
            log::frame(seal, Kind::Changes, &[&encoded], &mut octets);
            if let Err(error) = self.append(&octets) {
                return self.fail(&error, waiting.into_iter().map(|w| w.answer));
            }
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        if is_urgent && let Err(error) = self.sync() {
            // The group may be on the disk all the same, and then the next start finds it: what it refers to stays.
            let answers = waiting.into_iter().map(|Waiting { answer, bodies, .. }| {
                bodies.into_iter().for_each(Finished::keep);
                answer
            });
            return self.fail(&error, answers);
        }
        self.skipped.extend(group.skipped.iter().copied());
        self.group += 1;
        let writes = std::mem::take(&mut group.writes);
        let changes: Vec<Change> = writes.into_iter().collect();
        let Group { told, directory, new_passwords, is_queue_changed, .. } = group;
        self.shared.publish(self.group, &changes, told, directory);
        self.shared.counts.committed(waiting.len(), octets.len());
        self.shared.tell(&new_passwords, is_queue_changed);
        for Waiting { answer, changes, urgency, bodies } in waiting {
            bodies.into_iter().for_each(Finished::keep);
            let durable = (urgency == Urgency::Now).then(Durable::after_sync);
            let _ = answer.send(Ok(Receipt { changes, durable })); // as above
        }
        if !changes.is_empty() {
            self.unapplied.push(Applied { group: self.group, changes });
        }
        self.hand_on();
    }

    /// Gives the applier what is durable: the index is never ahead of the log, whatever order the disk writes in.
    fn hand_on(&mut self) {
        if self.unsynced_since.is_some() || self.broken.is_some() {
            return;
        }
        for applied in self.unapplied.drain(..) {
            if self.applier.send(applied).is_err() {
                self.broken = Some(Error::Unavailable("the index has stopped".to_owned()));
                return;
            }
        }
    }

    /// Gives each body its place and appends its record.
    fn place(
        &mut self,
        bodies: Vec<ReadyBody>,
        start: Start,
        octets: &mut Vec<u8>,
    ) -> (Vec<Placed>, Vec<Finished>) {
        let mut kept = Vec::new();
        let placed = bodies
            .into_iter()
            .map(|body| {
                let placed = match &mut self.log {
                    Log::Disk(_) => place_on_disk(&body, start, octets),
                    Log::Memory { next } => place_in_memory(&body, next, &self.shared.contents),
                };
                kept.push(body.tail);
                placed
            })
            .collect();
        (placed, kept)
    }

    fn start(&mut self) -> Result<Start, Error> {
        match &mut self.log {
            Log::Disk(writer) => writer.position().map_err(disk),
            Log::Memory { .. } => Ok(Start::default()),
        }
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), Error> {
        match &mut self.log {
            Log::Disk(writer) => writer.append(octets).map_err(|error| {
                // What was written of it goes; if that fails too, a scan finds no good record there.
                let _ = writer.cut();
                disk(error)
            }),
            Log::Memory { .. } => self.shared.faults.next(),
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        if self.unsynced_since.take().is_some()
            && let Log::Disk(writer) = &mut self.log
        {
            self.shared.counts.synced();
            if let Err(error) = writer.sync() {
                // What the disk holds now is unknown, and a second sync would lie about it: nothing more is taken.
                let broken = Error::Unavailable(format!("the log cannot be synced: {error}"));
                tracing::error!(error = %error, "log sync failed, the store takes no more until restarted");
                self.broken = Some(broken.clone());
                return Err(broken);
            }
        }
        Ok(())
    }

    fn sync_rest(&mut self) {
        // A failure is logged and remembered by `sync`.
        let _ = self.sync();
        self.hand_on();
    }

    fn fail(
        &mut self,
        error: &Error,
        answers: impl Iterator<Item = oneshot::Sender<Result<Receipt, Error>>>,
    ) {
        tracing::warn!(error = %error, "commit failed");
        for answer in answers {
            let _ = answer.send(Err(error.clone())); // as above
        }
    }
}

impl Request {
    fn octets(&self) -> usize {
        self.bodies.iter().map(|body| body.head.len() + body.tail.memory().len() + body.summary.len()).sum()
    }
}

impl Finished {
    /// What it is referred to from is in the log.
    fn keep(self) {
        if let Self::Side(mut side) = self {
            side.keep();
        }
    }

    /// What is in memory of it.
    fn memory(&self) -> &[u8] {
        match self {
            Self::Memory(octets) => octets,
            Self::Side(_) => &[],
        }
    }
}

/// A record of head, tail (when it is not in a segment of its own) and summary (when it is large).
fn place_on_disk(body: &ReadyBody, (position, seal): Start, octets: &mut Vec<u8>) -> Placed {
    let tail = body.tail.memory();
    let large_summary: &[u8] = if body.summary.len() > SUMMARY_INLINE_MAX { &body.summary } else { &[] };
    let offset = position.offset + (octets.len() + HEADER_OCTETS) as u64;
    log::frame(seal, Kind::Body, &[&body.head, tail, large_summary], octets);
    let extent = |offset, octets: usize| Extent { segment: position.segment, offset, octets: octets as u64 };
    let head = extent(offset, body.head.len());
    let behind = offset + head.octets;
    let tail = match &body.tail {
        Finished::Memory(tail) => extent(behind, tail.len()),
        Finished::Side(side) => {
            Extent { segment: side.segment(), offset: log::Side::OFFSET, octets: side.octets() }
        }
    };
    let summary = if large_summary.is_empty() {
        Summary::Inline(body.summary.clone())
    } else {
        Summary::InLog(extent(behind + body.tail.memory().len() as u64, large_summary.len()))
    };
    placed(body, head, tail, summary)
}

fn place_in_memory(body: &ReadyBody, next: &mut u32, contents: &Contents) -> Placed {
    let mut whole = body.head.to_vec();
    whole.extend_from_slice(body.tail.memory());
    let segment = *next;
    *next += 1;
    let head = Extent { segment, offset: 0, octets: body.head.len() as u64 };
    let tail = Extent { segment, offset: head.octets, octets: whole.len() as u64 - head.octets };
    if let Contents::Memory(held) = contents {
        held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(segment, whole.into());
    }
    placed(body, head, tail, Summary::Inline(body.summary.clone()))
}

fn placed(body: &ReadyBody, head: Extent, tail: Extent, summary: Summary) -> Placed {
    let body = BodyRef { head, tail, local_head: body.local_head };
    Placed { octets: head.octets + tail.octets, body, summary }
}

pub(crate) fn encode_position(position: Position) -> Bytes {
    let mut octets = Vec::with_capacity(12);
    octets.extend_from_slice(&position.segment.to_be_bytes());
    octets.extend_from_slice(&position.offset.to_be_bytes());
    octets.into()
}

pub(crate) fn decode_position(value: &[u8]) -> Option<Position> {
    let (segment, offset) = value.split_at_checked(4)?;
    Some(Position {
        segment: u32::from_be_bytes(segment.try_into().ok()?),
        offset: u64::from_be_bytes(offset.try_into().ok()?),
    })
}
