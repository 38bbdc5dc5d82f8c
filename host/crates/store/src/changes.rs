//! A group of changes as the log keeps it: how far its segment was synced before, count, then key and value of each.

use bytes::{Buf, BufMut, Bytes};

use crate::index::Change;
use crate::plan::Writes;

/// A deleted key has this as the length of its value.
const DELETED: u32 = u32::MAX;

pub(crate) fn encode(synced: u64, writes: &Writes, out: &mut Vec<u8>) {
    let short = |length: usize| u32::try_from(length).unwrap_or(DELETED - 1);
    out.put_u64_le(synced);
    out.put_u32_le(short(writes.len()));
    for (key, value) in writes {
        out.put_u32_le(short(key.len()));
        out.put_slice(key);
        match value {
            Some(value) => {
                out.put_u32_le(short(value.len()));
                out.put_slice(value);
            }
            None => out.put_u32_le(DELETED),
        }
    }
}

/// `None` when it is not what `encode` made.
pub(crate) fn decode(payload: Vec<u8>) -> Option<(u64, Vec<Change>)> {
    let mut rest = Bytes::from(payload);
    let synced = (rest.remaining() >= 8).then(|| rest.get_u64_le())?;
    let length = |rest: &mut Bytes| (rest.remaining() >= 4).then(|| rest.get_u32_le());
    let piece = |rest: &mut Bytes, octets: u32| {
        let octets = octets as usize;
        (rest.remaining() >= octets).then(|| rest.split_to(octets))
    };
    let count = length(&mut rest)?;
    let mut changes = Vec::new();
    for _ in 0..count {
        let octets = length(&mut rest)?;
        let key = piece(&mut rest, octets)?;
        let value = match length(&mut rest)? {
            DELETED => None,
            octets => Some(piece(&mut rest, octets)?),
        };
        changes.push((Box::from(key.as_ref()), value));
    }
    rest.is_empty().then_some((synced, changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn decoding_undoes_encoding(writes: std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
            let writes: Writes = writes.into_iter().map(|(k, v)| (k.into_boxed_slice(), v.map(Bytes::from))).collect();
            let mut octets = Vec::new();
            encode(7, &writes, &mut octets);
            let expected: Vec<Change> = writes.into_iter().collect();
            proptest::prop_assert_eq!(decode(octets), Some((7, expected)));
        }

        #[test]
        fn no_octets_panic(octets: Vec<u8>) {
            let _ = decode(octets); // only that it does not panic
        }
    }
}
