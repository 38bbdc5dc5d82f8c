//! A segment for one large body: written as it arrives, synced before the commit that refers to it is queued.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::Folder;
use super::record::{HEADER_OCTETS, Kind, SEGMENT_HEADER_OCTETS, Seal, crc_begin, header};

/// A body being written to a segment of its own. Dropped without [`Side::keep`], the file goes.
#[derive(Debug)]
pub(crate) struct Side {
    folder: Arc<Folder>,
    segment: u32,
    seal: Seal,
    file: Arc<File>,
    octets: u64,
    is_kept: bool,
}

impl Side {
    pub(crate) fn begin(folder: &Arc<Folder>) -> io::Result<Self> {
        let (segment, seal, file) = folder.create()?;
        Ok(Self {
            folder: Arc::clone(folder),
            segment,
            seal,
            file: Arc::new(file),
            octets: 0,
            is_kept: false,
        })
    }

    /// Where its payload begins.
    pub(crate) const OFFSET: u64 = SEGMENT_HEADER_OCTETS + HEADER_OCTETS as u64;

    pub(crate) fn segment(&self) -> u32 {
        self.segment
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(crate) fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all_at(octets, Self::OFFSET + self.octets)?;
        self.octets += octets.len() as u64;
        Ok(())
    }

    /// Writes the record's header and makes all of it durable.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let mut crc = crc_begin(self.seal, Kind::Body, self.octets);
        let mut piece = vec![0; 1 << 16];
        let mut read = 0;
        while read < self.octets {
            let want = usize::try_from(self.octets - read).unwrap_or(piece.len()).min(piece.len());
            let part = piece.get_mut(..want).unwrap_or_default();
            self.file.read_exact_at(part, Self::OFFSET + read)?;
            crc = crc32c::crc32c_append(crc, part);
            read += want as u64;
        }
        self.file.write_all_at(&header(self.seal, Kind::Body, self.octets, crc), SEGMENT_HEADER_OCTETS)?;
        self.folder.sync(&self.file)?;
        Ok(())
    }
}

impl Side {
    /// The commit that refers to it is in the log: the file stays.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if !self.is_kept {
            // Nothing that was committed refers to the file. One that cannot be removed costs room, no mail.
            let _ = std::fs::remove_file(self.folder.segment_path(self.segment));
        }
    }
}
