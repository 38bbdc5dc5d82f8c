//! Stored contents, read by range.
//!
//! A read is one `pread`: recently stored mail is in the page cache, so it is done where it is asked for rather than handed
//! to another thread, which would cost more than the read.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use maitred_mail::{Body, BodyError};

use crate::log::{Folder, HEADER_OCTETS, Seal, crc_begin, read_header};
use crate::record::{BodyRef, Extent};
use crate::spool::FilePart;

/// How many segments stay open for reading.
const OPEN_MAX: usize = 256;
/// What may lie behind a content in its record.
const SUMMARY_OCTETS_MAX: u64 = 64 << 20;

/// A segment open for reading; without a good header there is no seal, and nothing can be verified.
#[derive(Clone)]
pub(crate) struct Segment {
    file: Arc<File>,
    seal: Option<Seal>,
}

/// Where contents are read from.
pub(crate) enum Contents {
    /// Segments.
    Disk { folder: Arc<Folder>, open: Mutex<HashMap<u32, Segment>> },
    /// The memory engine: contents by their number, kept as "segments".
    Memory(Mutex<HashMap<u32, Bytes>>),
}

impl Contents {
    pub(crate) fn disk(folder: Arc<Folder>) -> Self {
        Self::Disk { folder, open: Mutex::default() }
    }

    fn is_on_disk(&self) -> bool {
        matches!(self, Self::Disk { .. })
    }

    fn part(&self, extent: Extent) -> Result<Arc<dyn Body>, BodyError> {
        match self {
            Self::Disk { folder, open } => {
                let Segment { file, .. } = segment(folder, open, extent.segment).map_err(unreadable)?;
                Ok(Arc::new(FilePart { file, offset: extent.offset, octets: extent.octets }))
            }
            Self::Memory(held) => {
                let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                let whole =
                    held.get(&extent.segment).ok_or_else(|| BodyError("the content is gone".to_owned()))?;
                let from = usize::try_from(extent.offset).unwrap_or(usize::MAX);
                let to = usize::try_from(extent.offset + extent.octets).unwrap_or(usize::MAX);
                let slice =
                    if to <= whole.len() && from <= to { whole.slice(from..to) } else { Bytes::new() };
                Ok(Arc::new(slice))
            }
        }
    }

    /// The `octets` that a body record begins with, held against its checksum.
    fn read_verified(&self, first: Extent, octets: u64) -> Result<Bytes, BodyError> {
        let Self::Disk { folder, open } = self else { return Err(damaged()) };
        let Segment { file, seal } = segment(folder, open, first.segment).map_err(unreadable)?;
        let seal = seal.ok_or_else(damaged)?;
        let offset = first.offset.checked_sub(HEADER_OCTETS as u64).ok_or_else(damaged)?;
        let part = FilePart { file, offset, octets: octets + HEADER_OCTETS as u64 };
        let mut record = part.read_now(0, usize::MAX).map_err(unreadable)?;
        let header = read_header(seal, &record).ok_or_else(damaged)?;
        record.advance(HEADER_OCTETS);
        let mut crc = crc32c::crc32c_append(crc_begin(seal, header.kind, header.octets), &record);
        if let Some(behind @ 1..=SUMMARY_OCTETS_MAX) = header.octets.checked_sub(octets) {
            // A large summary shares the record.
            let rest = FilePart { file: part.file, offset: first.offset + octets, octets: behind };
            crc = crc32c::crc32c_append(crc, &rest.read_now(0, usize::MAX).map_err(unreadable)?);
        }
        if crc == header.crc { Ok(record) } else { Err(damaged()) }
    }

    /// A whole extent, at once.
    pub(crate) async fn read_all(&self, extent: Extent) -> Result<Bytes, BodyError> {
        self.part(extent)?.read(0, usize::try_from(extent.octets).unwrap_or(usize::MAX)).await
    }
}

fn segment(folder: &Folder, open: &Mutex<HashMap<u32, Segment>>, number: u32) -> io::Result<Segment> {
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(segment) = open.get(&number) {
        return Ok(segment.clone());
    }
    let file = File::open(folder.segment_path(number))
        .map_err(|error| io::Error::new(error.kind(), format!("segment {number}: {error}")))?;
    let file = Arc::new(file);
    let segment = Segment { seal: Seal::read(&file)?, file };
    if open.len() >= OPEN_MAX {
        open.clear();
    }
    open.insert(number, segment.clone());
    Ok(segment)
}

fn unreadable(error: io::Error) -> BodyError {
    BodyError(format!("the content cannot be read: {error}"))
}

fn damaged() -> BodyError {
    BodyError("the content does not match its checksum".to_owned())
}

/// A content without its first `from` octets.
pub(crate) struct StoredBody {
    pub(crate) contents: Arc<Contents>,
    pub(crate) body: BodyRef,
    pub(crate) from: u64,
}

impl Body for StoredBody {
    fn octets(&self) -> u64 {
        (self.body.head.octets + self.body.tail.octets).saturating_sub(self.from)
    }

    fn read(
        &self,
        offset: u64,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        Box::pin(async move {
            let at = offset.saturating_add(self.from);
            let want = (max as u64).min(self.octets().saturating_sub(offset));
            let (head, tail) = (self.body.head, self.body.tail);
            let from_head = cut(head, at, want);
            let from_tail = cut(tail, at.saturating_sub(head.octets), want - from_head.octets);
            let is_adjacent =
                head.segment == tail.segment && from_head.offset + from_head.octets == from_tail.offset;
            if is_adjacent {
                // Head and tail lie side by side: one read; and one that asks for all of it is verified.
                let whole = head.octets + tail.octets;
                if at == self.from && want == self.octets() && self.contents.is_on_disk() {
                    let mut content = self.contents.read_verified(head, whole)?;
                    content.advance(usize::try_from(self.from).unwrap_or(usize::MAX).min(content.len()));
                    return Ok(content);
                }
                let both = Extent { octets: from_head.octets + from_tail.octets, ..from_head };
                return self.contents.read_all(both).await;
            }
            match (from_head.octets, from_tail.octets) {
                (0, 0) => Ok(Bytes::new()),
                (_, 0) => self.contents.read_all(from_head).await,
                (0, _) => self.contents.read_all(from_tail).await,
                _ => {
                    let mut both = BytesMut::from(self.contents.read_all(from_head).await?.as_ref());
                    both.extend_from_slice(&self.contents.read_all(from_tail).await?);
                    Ok(both.freeze())
                }
            }
        })
    }
}

/// At most `max` octets of an extent, from `at` on.
fn cut(extent: Extent, at: u64, max: u64) -> Extent {
    let at = at.min(extent.octets);
    Extent { segment: extent.segment, offset: extent.offset + at, octets: (extent.octets - at).min(max) }
}
