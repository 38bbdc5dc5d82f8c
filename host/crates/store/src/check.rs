//! Reading everything that is stored, to find what the disk has spoiled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use maitred_mail::{MailboxId, Uid};

use crate::codec::{Message, Summary};
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
    /// Messages whose content is there or elsewhere not whole.
    pub messages: Vec<(MailboxId, Uid)>,
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

/// What is known of the segments: the length of each, and where it is damaged.
type Segments = BTreeMap<u32, (u64, Vec<Damage>)>;

pub(crate) fn check(view: &View, folder: &Folder) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut segments = Segments::new();
    for number in folder.numbers().map_err(disk)? {
        match check_segment(folder, number, &mut checked) {
            Ok(found) => drop(segments.insert(number, found)),
            // A draft that was dropped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk(error)),
        }
    }
    checked.messages = spoiled_messages(view, &segments)?;
    for damage in &checked.damage {
        tracing::error!(segment = damage.segment, offset = damage.offset, octets = damage.octets, "damaged");
    }
    Ok(checked)
}

fn check_segment(folder: &Folder, segment: u32, checked: &mut Checked) -> io::Result<(u64, Vec<Damage>)> {
    let file = File::open(folder.segment_path(segment))?;
    let mut damage = Vec::new();
    let mut records = 0;
    // Asked before it is read: what is added later belongs to messages that are not looked at, or is not looked at itself.
    let is_growing = segment == folder.written() || folder.is_unused(segment)?;
    let end = log::scan(&file, 0, true, |found| {
        match found {
            Found::Record { .. } => records += 1,
            Found::Damage { offset, octets } => damage.push(Damage { segment, offset, octets }),
        }
        Ok(())
    })?;
    // What is being written just now is not whole yet; nor is a large body that still arrives.
    if end.good < end.file && !is_growing {
        damage.push(Damage { segment, offset: end.good, octets: end.file - end.good });
    }
    checked.segments += 1;
    checked.records += records;
    checked.octets += end.file;
    checked.damage.extend(&damage);
    Ok((if is_growing { u64::MAX } else { end.file }, damage))
}

/// The messages that have a part where the log is damaged, or where it is not at all.
fn spoiled_messages(view: &View, segments: &Segments) -> Result<Vec<(MailboxId, Uid)>, Error> {
    let is_spoiled = |part: &Extent| {
        let end = part.offset + part.octets;
        part.octets > 0
            && match segments.get(&part.segment) {
                Some((length, damage)) => {
                    end > *length
                        || damage.iter().any(|d| part.offset < d.offset + d.octets && d.offset < end)
                }
                // One that is newer than all of them was begun meanwhile.
                None => segments.last_key_value().is_some_and(|(last, _)| part.segment < *last),
            }
    };
    let (mut from, to) = (b"m".to_vec(), keys::behind(b"m"));
    let mut messages = Vec::new();
    loop {
        let page = view.range(&from, &to, PAGE)?;
        let is_last = page.len() < PAGE;
        if let Some((last, _)) = page.last() {
            from = last.to_vec();
            from.push(0);
        }
        for (key, value) in page {
            let (Some(mailbox), Some(uid)) = (keys::mailbox_of(&key), keys::uid_of(&key)) else { continue };
            let Message { body, summary, .. } = Message::decode(value)?;
            let summary = if let Summary::InLog(extent) = summary { extent } else { Extent::default() };
            if [body.head, body.tail, summary].iter().any(is_spoiled) {
                messages.push((mailbox, uid));
            }
        }
        if is_last {
            return Ok(messages);
        }
    }
}
