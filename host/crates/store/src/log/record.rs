//! How records and segments look on disk. All numbers are little-endian.

/// `magic u32 | kind u8 | zero u8×3 | octets u64 | crc32c u32`, then the payload.
pub(crate) const HEADER_OCTETS: usize = 20;
/// `MTRDSEG1 | number u32 | crc32c u32`.
pub(crate) const SEGMENT_HEADER_OCTETS: u64 = 16;

pub(super) const MAGIC: [u8; 4] = *b"mRec";
const SEGMENT_MAGIC: [u8; 8] = *b"MTRDSEG1";

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
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) octets: u64,
    pub(super) crc: u32,
}

/// The first 16 octets of a record header: what the checksum begins with.
fn prefix(kind: Kind, octets: u64) -> [u8; 16] {
    let mut prefix = [0; 16];
    let (magic, rest) = prefix.split_at_mut(4);
    magic.copy_from_slice(&MAGIC);
    let (kinds, length) = rest.split_at_mut(4);
    kinds.copy_from_slice(&[kind.number(), 0, 0, 0]);
    length.copy_from_slice(&octets.to_le_bytes());
    prefix
}

/// The checksum of a record, begun; add the payload with `crc32c_append`.
pub(super) fn crc_begin(kind: Kind, octets: u64) -> u32 {
    crc32c::crc32c(&prefix(kind, octets))
}

/// The whole header of a record.
pub(super) fn header(kind: Kind, octets: u64, crc: u32) -> [u8; HEADER_OCTETS] {
    let mut header = [0; HEADER_OCTETS];
    let (start, end) = header.split_at_mut(16);
    start.copy_from_slice(&prefix(kind, octets));
    end.copy_from_slice(&crc.to_le_bytes());
    header
}

/// Appends a framed record whose payload is these pieces one after the other.
pub(crate) fn frame(kind: Kind, pieces: &[&[u8]], out: &mut Vec<u8>) {
    let octets = pieces.iter().map(|piece| piece.len() as u64).sum();
    let crc = pieces.iter().fold(crc_begin(kind, octets), |crc, piece| crc32c::crc32c_append(crc, piece));
    out.extend_from_slice(&header(kind, octets, crc));
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Reads a header; `None` when this is none.
pub(super) fn read_header(octets: &[u8]) -> Option<Header> {
    let octets: &[u8; HEADER_OCTETS] = octets.get(..HEADER_OCTETS)?.try_into().ok()?;
    let [m0, m1, m2, m3, kind, 0, 0, 0, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *octets else {
        return None;
    };
    if [m0, m1, m2, m3] != MAGIC {
        return None;
    }
    let length = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    Some(Header { kind: Kind::of(kind)?, octets: length, crc: u32::from_le_bytes([c0, c1, c2, c3]) })
}

pub(super) fn segment_header(number: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let (magic, rest) = header.split_at_mut(8);
    magic.copy_from_slice(&SEGMENT_MAGIC);
    let (digits, crc) = rest.split_at_mut(4);
    digits.copy_from_slice(&number.to_le_bytes());
    crc.copy_from_slice(&crc32c::crc32c(&number.to_le_bytes()).to_le_bytes());
    header
}
