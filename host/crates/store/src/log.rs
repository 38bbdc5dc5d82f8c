//! The segment log: what is acknowledged is here, whatever becomes of the index.
//!
//! A segment is a file `00000001.seg` with a header and records: mark, kind, length, CRC-32C, payload. Records are only
//! ever appended; a group of commits is one write and one fdatasync. A large body has a segment of its own, written and
//! synced before the commit that refers to it is queued.
//!
//! Invariants: nothing is acknowledged before the fdatasync that covers it returned without error; after a failed write
//! or sync that file is never written again; a bad record followed by a good one is damage and is skipped, a bad one
//! followed by nothing good is a torn tail and of no consequence: each run writes segments of its own.

mod record;
mod scan;
mod side;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use record::{HEADER_OCTETS, Kind, SEGMENT_HEADER_OCTETS, Seal, crc_begin, frame, read_header};
pub(crate) use scan::{Found, scan};
pub(crate) use side::Side;

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
}

/// The folder of segments.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The number the next segment gets.
    next: AtomicU32,
    /// The segment that commits are appended to now.
    written: AtomicU32,
    should_sync: bool,
}

impl Folder {
    /// Opens (or makes) the folder; answers the numbers of the segments in it, in order.
    pub(crate) fn open(path: &Path, should_sync: bool) -> io::Result<(Arc<Self>, Vec<u32>)> {
        std::fs::create_dir_all(path)?;
        let mut folder =
            Self { path: path.to_owned(), next: AtomicU32::new(1), written: AtomicU32::new(0), should_sync };
        let numbers = folder.numbers()?;
        folder.next = AtomicU32::new(numbers.last().map_or(1, |last| last + 1));
        folder.sync_entries()?;
        Ok((Arc::new(folder), numbers))
    }

    pub(crate) fn segment_path(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:08}.seg"))
    }

    /// A new segment, its directory entry durable.
    pub(crate) fn create(&self) -> io::Result<(u32, Seal, File)> {
        let (number, seal) = (self.next.fetch_add(1, Ordering::Relaxed), Seal::draw()?);
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.segment_path(number))?;
        file.write_all_at(&record::segment_header(number, seal), 0)?;
        self.sync_entries()?;
        Ok((number, seal, file))
    }

    /// The segment that commits are appended to now.
    pub(crate) fn written(&self) -> u32 {
        self.written.load(Ordering::Relaxed)
    }

    /// The numbers of all segments that are there, in order.
    pub(crate) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            numbers.extend(
                name.to_str().and_then(|n| n.strip_suffix(".seg")).and_then(|n| n.parse::<u32>().ok()),
            );
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// True for a segment in which no record was ever begun: of a run that committed nothing, or of a large body that was
    /// not finished when the process ended. Whatever is acknowledged begins with a record header that was synced.
    pub(crate) fn is_unused(&self, number: u32) -> io::Result<bool> {
        let mut header = [0; HEADER_OCTETS];
        match File::open(self.segment_path(number))?.read_exact_at(&mut header, record::SEGMENT_HEADER_OCTETS)
        {
            Ok(()) => Ok(header == [0; HEADER_OCTETS]),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        if self.should_sync { file.sync_data() } else { Ok(()) }
    }

    fn sync_entries(&self) -> io::Result<()> {
        if self.should_sync { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

/// The segment that is written now.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: Arc<Folder>,
    file: File,
    seal: Seal,
    end: Position,
    /// Up to where it is durable.
    synced: u64,
    segment_octets: u64,
}

impl Writer {
    /// Begins a new segment.
    pub(crate) fn begin(folder: &Arc<Folder>, segment_octets: u64) -> io::Result<Self> {
        let (segment, seal, file) = folder.create()?;
        folder.written.store(segment, Ordering::Relaxed);
        let end = Position { segment, offset: record::SEGMENT_HEADER_OCTETS };
        Ok(Self { folder: Arc::clone(folder), file, seal, end, synced: end.offset, segment_octets })
    }

    /// Where the next record will begin, and the segment's seal. Rolls over to a new segment first, when this one is full.
    pub(crate) fn position(&mut self) -> io::Result<(Position, Seal)> {
        if self.end.offset >= self.segment_octets {
            self.folder.sync(&self.file)?;
            *self = Self::begin(&self.folder, self.segment_octets)?;
        }
        Ok((self.end, self.seal))
    }

    /// Appends framed records at the position that was answered last.
    pub(crate) fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all_at(octets, self.end.offset)?;
        self.end.offset += octets.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed write may have left.
    pub(crate) fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.end.offset)
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.folder.sync(&self.file)?;
        self.synced = self.end.offset;
        Ok(())
    }

    /// Up to where this segment is durable. Those before it are durable whole.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }
}
