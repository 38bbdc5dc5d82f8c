//! Reading a segment from some point to its end: at start, at rebuild, and to check it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::{HEADER_OCTETS, Kind, SEGMENT_HEADER_OCTETS, Seal, crc_begin, read_header};

/// What a scan came upon.
#[derive(Debug)]
pub(crate) enum Found {
    /// A good record: where its payload begins, and the payload (of bodies none).
    Record { kind: Kind, offset: u64, payload: Vec<u8> },
    /// Octets that are no good record, before a good one.
    Damage { offset: u64, octets: u64 },
}

/// Where a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Behind the last good record.
    pub(crate) good: u64,
    /// The length of the file.
    pub(crate) file: u64,
}

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Reads the records from `offset` on (0: from the first) and gives each to `take`. The payload of a body is read to
/// check it only when `deep`; a record that reaches beyond the end of the file is never good.
pub(crate) fn scan(
    file: &File,
    offset: u64,
    deep: bool,
    mut take: impl FnMut(Found) -> io::Result<()>,
) -> io::Result<End> {
    let length = file.metadata()?.len();
    let Some(seal) = Seal::read(file)? else {
        // Both copies of the header are bad: nothing can be told from noise here.
        if length > SEGMENT_HEADER_OCTETS {
            take(Found::Damage { offset: 0, octets: length })?;
        }
        return Ok(End { good: length, file: length });
    };
    let mut at = offset.max(SEGMENT_HEADER_OCTETS);
    let mut good = at.min(length);
    let mut damage = None;
    while at + HEADER_OCTETS as u64 <= length {
        match read_record(file, seal, at, length, deep)? {
            Some((kind, octets, payload)) => {
                if let Some(from) = damage.take() {
                    take(Found::Damage { offset: from, octets: at - from })?;
                }
                take(Found::Record { kind, offset: at + HEADER_OCTETS as u64, payload })?;
                at += HEADER_OCTETS as u64 + octets;
                good = at;
            }
            None => {
                damage.get_or_insert(at);
                match next_mark(file, seal, at + 1, length)? {
                    Some(next) => at = next,
                    None => break,
                }
            }
        }
    }
    Ok(End { good, file: length })
}

/// The record at `at`, if it is good.
fn read_record(
    file: &File,
    seal: Seal,
    at: u64,
    length: u64,
    deep: bool,
) -> io::Result<Option<(Kind, u64, Vec<u8>)>> {
    let mut head = [0; HEADER_OCTETS];
    file.read_exact_at(&mut head, at)?;
    let Some(header) = read_header(seal, &head) else { return Ok(None) };
    let from = at + HEADER_OCTETS as u64;
    if header.octets > length - from {
        return Ok(None);
    }
    // A body is passed over by its length alone only when a record (or the end) stands where it says.
    if header.kind == Kind::Body && !deep && is_boundary(file, seal, from + header.octets, length)? {
        return Ok(Some((header.kind, header.octets, Vec::new())));
    }
    let mut crc = crc_begin(seal, header.kind, header.octets);
    let mut payload = Vec::new();
    let mut piece = vec![0; PIECE.min(usize::try_from(header.octets).unwrap_or(PIECE))];
    let mut read = 0;
    while read < header.octets {
        let want = usize::try_from(header.octets - read).unwrap_or(PIECE).min(PIECE);
        let part = piece.get_mut(..want).unwrap_or_default();
        file.read_exact_at(part, from + read)?;
        crc = crc32c::crc32c_append(crc, part);
        if header.kind == Kind::Changes {
            payload.extend_from_slice(part);
        }
        read += want as u64;
    }
    Ok((crc == header.crc).then_some((header.kind, header.octets, payload)))
}

fn is_boundary(file: &File, seal: Seal, at: u64, length: u64) -> io::Result<bool> {
    if at + HEADER_OCTETS as u64 > length {
        return Ok(at == length);
    }
    let mut mark = [0; 4];
    file.read_exact_at(&mut mark, at)?;
    Ok(mark == seal.mark)
}

/// The next place from `at` on where a record may begin.
fn next_mark(file: &File, seal: Seal, mut at: u64, length: u64) -> io::Result<Option<u64>> {
    let mut piece = vec![0; PIECE];
    while at + HEADER_OCTETS as u64 <= length {
        let want = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
        let part = piece.get_mut(..want).unwrap_or_default();
        file.read_exact_at(part, at)?;
        if let Some(found) = memchr::memmem::find(part, &seal.mark) {
            return Ok(Some(at + found as u64));
        }
        // A mark may be cut by the end of the piece.
        at += (want.saturating_sub(seal.mark.len() - 1)).max(1) as u64;
    }
    Ok(None)
}
