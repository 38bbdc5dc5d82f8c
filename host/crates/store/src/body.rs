//! Stored contents, read by range.
//!
//! A read is one `pread`: recently stored mail is in the page cache, so it is done where it is asked for rather than handed
//! to another thread, which would cost more than the read.

use std::collections::HashMap;
use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use maitred_mail::{Body, BodyError};

use crate::log::Folder;
use crate::record::{BodyRef, Extent};
use crate::spool::FilePart;

/// How many segments stay open for reading.
const OPEN_MAX: usize = 256;

/// Where contents are read from.
pub(crate) enum Contents {
    /// Segments.
    Disk { folder: Arc<Folder>, open: Mutex<HashMap<u32, Arc<File>>> },
    /// The memory engine: contents by their number, kept as "segments".
    Memory(Mutex<HashMap<u32, Bytes>>),
}

impl Contents {
    pub(crate) fn disk(folder: Arc<Folder>) -> Self {
        Self::Disk { folder, open: Mutex::default() }
    }

    fn part(&self, extent: Extent) -> Result<Arc<dyn Body>, BodyError> {
        match self {
            Self::Disk { folder, open } => {
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                let file = match open.get(&extent.segment) {
                    Some(file) => Arc::clone(file),
                    None => {
                        let path = folder.segment_path(extent.segment);
                        let file = Arc::new(File::open(path).map_err(|error| BodyError(error.to_string()))?);
                        if open.len() >= OPEN_MAX {
                            open.clear();
                        }
                        open.insert(extent.segment, Arc::clone(&file));
                        file
                    }
                };
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

    /// A whole extent, at once.
    pub(crate) async fn read_all(&self, extent: Extent) -> Result<Bytes, BodyError> {
        self.part(extent)?.read(0, usize::try_from(extent.octets).unwrap_or(usize::MAX)).await
    }
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
                // Head and tail lie side by side: one read.
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
