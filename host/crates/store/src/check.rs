//! Reading everything that is stored, to find what the disk has spoiled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;

use bytes::Bytes;
use maitred_mail::{MailboxId, MessageId, Uid};
use maitred_queue::QueueId;

use crate::codec::{self, Message, Summary};
use crate::log::{self, Folder, Found};
use crate::record::Extent;
use crate::spool::disk;
use crate::view::{Read, View};
use crate::{Error, keys};

/// What [`crate::Store::check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Segments read.
    pub segments: u64,
    /// Good records in them.
    pub records: u64,
    /// Octets read.
    pub octets: u64,
    /// Places that are no good record.
    pub damage: Vec<Damage>,
    /// Octets at the end of segments that are no good record and that nothing refers to: most likely what was being written
    /// when a process ended.
    pub torn_octets: u64,
    /// Messages whose content is not whole.
    pub messages: Vec<(MailboxId, Uid)>,
    /// Queue entries whose content is not whole.
    pub queue: Vec<QueueId>,
}

/// A place in the log that does not match its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// The number of the segment.
    pub segment: u32,
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub octets: u64,
}

/// How many keys are read at once.
const PAGE: usize = 1000;

/// What is known of one segment.
struct Segment {
    octets: u64,
    damage: Vec<Damage>,
    /// Bad octets at its end: a torn tail, unless something refers to it.
    tail: Option<Damage>,
}

pub(crate) fn check(view: &View, folder: &Folder) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut segments = BTreeMap::new();
    for number in folder.numbers().map_err(disk)? {
        match check_segment(folder, number, &mut checked) {
            Ok(found) => drop(segments.insert(number, found)),
            // A draft that was dropped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(error)),
        }
    }
    let mut contents = References { segments: &segments, hit: BTreeSet::new() };
    contents.look_through(view, &mut checked)?;
    let hit = contents.hit;
    for segment in segments.into_values() {
        checked.damage.extend(segment.damage);
        match segment.tail {
            Some(tail) if hit.contains(&tail.segment) => checked.damage.push(tail),
            tail => checked.torn_octets += tail.map_or(0, |tail| tail.octets),
        }
    }
    for damage in &checked.damage {
        tracing::error!(segment = damage.segment, offset = damage.offset, octets = damage.octets, "damaged");
    }
    Ok(checked)
}

fn check_segment(folder: &Folder, segment: u32, checked: &mut Checked) -> io::Result<Segment> {
    let file = File::open(folder.segment_path(segment))?;
    let mut damage = Vec::new();
    let mut records = 0;
    // Asked before it is read: what is added later is not looked at.
    let is_growing = segment == folder.written() || folder.is_unused(segment)?;
    let end = log::scan(&file, 0, true, |found| {
        match found {
            Found::Record { .. } => records += 1,
            Found::Damage { offset, octets } => damage.push(Damage { segment, offset, octets }),
        }
        Ok(())
    })?;
    checked.segments += 1;
    checked.records += records;
    checked.octets += end.file;
    let tail = Damage { segment, offset: end.good, octets: end.file - end.good };
    Ok(Segment {
        octets: if is_growing { u64::MAX } else { end.file },
        damage,
        // What is being written just now is not whole yet; nor is a large body that still arrives.
        tail: (tail.octets > 0 && !is_growing).then_some(tail),
    })
}

/// The parts of the log that something refers to.
struct References<'a> {
    segments: &'a BTreeMap<u32, Segment>,
    /// Segments in which something that is referred to is not whole.
    hit: BTreeSet<u32>,
}

impl References<'_> {
    fn look_through(&mut self, view: &View, checked: &mut Checked) -> Result<(), Error> {
        each(view, b"m", |key, value| {
            let (Some(mailbox), Some(uid)) = (keys::mailbox_of(key), keys::uid_of(key)) else {
                return Ok(());
            };
            let Message { body, summary, .. } = Message::decode(value)?;
            let summary = if let Summary::InLog(extent) = summary { extent } else { Extent::default() };
            if self.is_any_spoiled(&[body.head, body.tail, summary]) {
                checked.messages.push((mailbox, uid));
            }
            Ok(())
        })?;
        each(view, b"q", |key, value| {
            let (_, body) = codec::decode_queue(value)?;
            if self.is_any_spoiled(&[body.head, body.tail]) {
                checked.queue.extend(keys::number_of(key).map(MessageId));
            }
            Ok(())
        })
    }

    fn is_any_spoiled(&mut self, parts: &[Extent]) -> bool {
        let spoiled: Vec<u32> =
            parts.iter().filter(|part| self.is_spoiled(part)).map(|p| p.segment).collect();
        let is_any = !spoiled.is_empty();
        self.hit.extend(spoiled);
        is_any
    }

    fn is_spoiled(&self, part: &Extent) -> bool {
        let end = part.offset + part.octets;
        let is_over = |d: &Damage| part.offset < d.offset + d.octets && d.offset < end;
        part.octets > 0
            && match self.segments.get(&part.segment) {
                Some(found) => end > found.octets || found.damage.iter().chain(&found.tail).any(is_over),
                // One that is newer than all of them was begun meanwhile.
                None => self.segments.last_key_value().is_some_and(|(last, _)| part.segment < *last),
            }
    }
}

/// All pairs whose key begins so.
fn each(
    view: &View,
    prefix: &[u8],
    mut look: impl FnMut(&[u8], Bytes) -> Result<(), Error>,
) -> Result<(), Error> {
    let (mut from, to) = (prefix.to_vec(), keys::behind(prefix));
    loop {
        let page = view.range(&from, &to, PAGE)?;
        let is_last = page.len() < PAGE;
        if let Some((last, _)) = page.last() {
            from = last.to_vec();
            from.push(0);
        }
        for (key, value) in page {
            look(&key, value)?;
        }
        if is_last {
            return Ok(());
        }
    }
}
