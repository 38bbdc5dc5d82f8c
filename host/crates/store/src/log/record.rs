//! How records and segments look on disk. All numbers are little-endian.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// `mark u32 | kind u8 | zero u8×3 | octets u64 | crc32c u32`, then the payload.
pub(crate) const HEADER_OCTETS: usize = 20;
/// `MTRDSEG1 | number u32 | mark u32 | seed u32 | crc32c u32`, twice: one flipped bit must not cost a whole segment.
pub(crate) const SEGMENT_HEADER_OCTETS: u64 = 2 * SEGMENT_HEADER_COPY as u64;

const SEGMENT_HEADER_COPY: usize = 24;
const SEGMENT_MAGIC: [u8; 8] = *b"MTRDSEG1";

/// What the records of one segment have in common, and nobody outside knows: what they begin with, and what their checksums
/// are seeded with. Without it, mail whose content looks like a record could pass for one when a damaged place is
/// searched for the next good record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seal {
    pub(super) mark: [u8; 4],
    seed: [u8; 4],
}

impl Seal {
    /// A new one, by chance.
    pub(super) fn draw() -> io::Result<Self> {
        let mut seal = Self::default();
        getrandom::fill(&mut seal.mark).map_err(io::Error::other)?;
        getrandom::fill(&mut seal.seed).map_err(io::Error::other)?;
        // A mark of zeros would be found wherever nothing was written.
        seal.mark[0] |= 0x80;
        Ok(seal)
    }

    /// That of a segment; `None` when neither copy of its header is good.
    pub(crate) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut copy = [0; SEGMENT_HEADER_COPY];
        for at in [0, SEGMENT_HEADER_COPY as u64] {
            match file.read_exact_at(&mut copy, at) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            let (fields, crc) = copy.split_at(SEGMENT_HEADER_COPY - 4);
            if fields.starts_with(&SEGMENT_MAGIC) && crc == crc32c::crc32c(fields).to_le_bytes() {
                let [.., m0, m1, m2, m3, s0, s1, s2, s3] = *fields else { return Ok(None) };
                return Ok(Some(Self { mark: [m0, m1, m2, m3], seed: [s0, s1, s2, s3] }));
            }
        }
        Ok(None)
    }
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The content of a message.
    Body,
    /// Changes of the index, as one group.
    Changes,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Body => 1,
            Self::Changes => 2,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Body, Self::Changes].into_iter().find(|kind| kind.number() == number)
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) octets: u64,
    pub(crate) crc: u32,
}

/// The first 16 octets of a record header.
fn prefix(seal: Seal, kind: Kind, octets: u64) -> [u8; 16] {
    let mut prefix = [0; 16];
    let (mark, rest) = prefix.split_at_mut(4);
    mark.copy_from_slice(&seal.mark);
    let (kinds, length) = rest.split_at_mut(4);
    kinds.copy_from_slice(&[kind.number(), 0, 0, 0]);
    length.copy_from_slice(&octets.to_le_bytes());
    prefix
}

/// The checksum of a record, begun; add the payload with `crc32c_append`.
pub(crate) fn crc_begin(seal: Seal, kind: Kind, octets: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&seal.seed), &prefix(seal, kind, octets))
}

/// The whole header of a record.
pub(super) fn header(seal: Seal, kind: Kind, octets: u64, crc: u32) -> [u8; HEADER_OCTETS] {
    let mut header = [0; HEADER_OCTETS];
    let (start, end) = header.split_at_mut(16);
    start.copy_from_slice(&prefix(seal, kind, octets));
    end.copy_from_slice(&crc.to_le_bytes());
    header
}

/// Appends a framed record whose payload is these pieces one after the other.
pub(crate) fn frame(seal: Seal, kind: Kind, pieces: &[&[u8]], out: &mut Vec<u8>) {
    let octets = pieces.iter().map(|piece| piece.len() as u64).sum();
    let begun = crc_begin(seal, kind, octets);
    let crc = pieces.iter().fold(begun, |crc, piece| crc32c::crc32c_append(crc, piece));
    out.extend_from_slice(&header(seal, kind, octets, crc));
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Reads a header; `None` when this is none.
pub(crate) fn read_header(seal: Seal, octets: &[u8]) -> Option<Header> {
    let octets: &[u8; HEADER_OCTETS] = octets.get(..HEADER_OCTETS)?.try_into().ok()?;
    let [m0, m1, m2, m3, kind, 0, 0, 0, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *octets else {
        return None;
    };
    if [m0, m1, m2, m3] != seal.mark {
        return None;
    }
    let length = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    Some(Header { kind: Kind::of(kind)?, octets: length, crc: u32::from_le_bytes([c0, c1, c2, c3]) })
}

pub(super) fn segment_header(number: u32, seal: Seal) -> Vec<u8> {
    let mut copy = Vec::with_capacity(2 * SEGMENT_HEADER_COPY);
    copy.extend_from_slice(&SEGMENT_MAGIC);
    copy.extend_from_slice(&number.to_le_bytes());
    copy.extend_from_slice(&seal.mark);
    copy.extend_from_slice(&seal.seed);
    copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
    copy.extend_from_within(..);
    copy
}
