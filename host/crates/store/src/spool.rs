//! Message contents on their way in: small ones in memory, large ones straight into a segment of their own.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use maitred_mail::{Body, BodyError};

use crate::Error;
use crate::log::{Folder, Side};

/// A body being received. Dropped without a commit, it is gone.
#[derive(Debug)]
pub struct Draft {
    kept: Kept,
    folder: Option<Arc<Folder>>,
    inline_octets_max: usize,
}

#[derive(Debug)]
enum Kept {
    Memory(BytesMut),
    /// Complete, and shared with whoever reads it.
    Shared(Bytes),
    Side(Side),
}

/// A draft that is complete and, if it is large, already durable.
#[derive(Debug)]
pub(crate) enum Finished {
    Memory(Bytes),
    Side(Side),
}

impl Draft {
    /// Without a folder everything stays in memory.
    pub(crate) fn new(folder: Option<Arc<Folder>>, inline_octets_max: usize) -> Self {
        Self { kept: Kept::Memory(BytesMut::new()), folder, inline_octets_max }
    }

    /// Adds what came.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Unavailable`] when it cannot be kept.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        if let (Kept::Memory(held), Some(folder)) = (&self.kept, &self.folder)
            && held.len() + octets.len() > self.inline_octets_max
        {
            let mut side = Side::begin(folder).map_err(disk)?;
            side.append(held).map_err(disk)?;
            self.kept = Kept::Side(side);
        }
        if let Kept::Shared(whole) = &self.kept {
            self.kept = Kept::Memory(BytesMut::from(whole.as_ref()));
        }
        match &mut self.kept {
            Kept::Memory(held) => held.extend_from_slice(octets),
            Kept::Shared(_) => {}
            Kept::Side(side) => side.append(octets).map_err(disk)?,
        }
        Ok(())
    }

    /// How much there is.
    pub fn octets(&self) -> u64 {
        match &self.kept {
            Kept::Memory(held) => held.len() as u64,
            Kept::Shared(whole) => whole.len() as u64,
            Kept::Side(side) => side.octets(),
        }
    }

    /// What is there so far, to be read before it is committed. Nothing is copied.
    pub fn as_body(&mut self) -> Arc<dyn Body> {
        if let Kept::Memory(held) = &mut self.kept {
            self.kept = Kept::Shared(std::mem::take(held).freeze());
        }
        match &self.kept {
            Kept::Memory(_) => Arc::new(Bytes::new()),
            Kept::Shared(whole) => Arc::new(whole.clone()),
            Kept::Side(side) => Arc::new(FilePart {
                file: Arc::clone(side.file()),
                offset: Side::OFFSET,
                octets: side.octets(),
            }),
        }
    }

    /// Nothing more comes; a large one becomes durable here, so that the group commit does not wait for it.
    pub(crate) async fn finish(self) -> Result<Finished, Error> {
        match self.kept {
            Kept::Memory(held) => Ok(Finished::Memory(held.freeze())),
            Kept::Shared(whole) => Ok(Finished::Memory(whole)),
            Kept::Side(mut side) => {
                let done = tokio::task::spawn_blocking(move || side.finish().map(|()| side)).await;
                let side = done.map_err(|error| Error::Unavailable(error.to_string()))?.map_err(disk)?;
                Ok(Finished::Side(side))
            }
        }
    }
}

/// What a failing disk means.
pub(crate) fn disk(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full,
        _ => Error::Unavailable(error.to_string()),
    }
}

/// A range of a file as a body.
pub(crate) struct FilePart {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) octets: u64,
}

impl FilePart {
    pub(crate) fn read_now(&self, offset: u64, max: usize) -> std::io::Result<Bytes> {
        let left = self.octets.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(max).min(max);
        let mut piece = vec![0; want];
        self.file.read_exact_at(&mut piece, self.offset + offset)?;
        Ok(Bytes::from(piece))
    }
}

impl Body for FilePart {
    fn octets(&self) -> u64 {
        self.octets
    }

    fn read(
        &self,
        offset: u64,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        Box::pin(async move { self.read_now(offset, max).map_err(|error| BodyError(error.to_string())) })
    }
}
