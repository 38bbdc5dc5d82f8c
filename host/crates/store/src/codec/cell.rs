//! A cell of a plugin's table: when it is gone, how long its value is, and the value, in pieces when it is large.
//!
//! The index takes no large values (see `index/sled.rs`), so that only the first piece stands with the cell; where it ends
//! and how heavy it is can be told without the others.

use bytes::{BufMut, Bytes};
use maitred_mail::Timestamp;
use maitred_policy::table::{Cell, ENTRY_OCTETS};

use super::{Reader, writer};
use crate::Error;

/// What stands with the cell itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstPiece {
    expires: Option<Timestamp>,
    octets: u32,
    piece: Bytes,
}

/// A value is cut into pieces of so many octets: sixteen of them fit into a node of sled with room to spare.
const PIECE_OCTETS: usize = 16 << 10;
/// Pieces behind the first of the largest value.
pub(crate) const REST_MAX: u8 = 3;

const _: () =
    assert!(maitred_policy::table::VALUE_OCTETS_MAX <= PIECE_OCTETS * (REST_MAX as usize + 1), "all fits");

impl FirstPiece {
    pub(crate) fn decode(value: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(value)?;
        let expires = match reader.u8()? {
            0 => None,
            _ => Some(Timestamp(reader.u64()?.cast_signed())),
        };
        Ok(Self { expires, octets: reader.u32()?, piece: reader.0 })
    }

    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// What the cell counts against its table.
    pub(crate) fn weight(&self, key: &str) -> u64 {
        key.len() as u64 + u64::from(self.octets) + ENTRY_OCTETS
    }

    /// How many pieces follow.
    pub(crate) fn rest(&self) -> u8 {
        let behind = (self.octets as usize).saturating_sub(PIECE_OCTETS).div_ceil(PIECE_OCTETS);
        u8::try_from(behind).unwrap_or(REST_MAX).min(REST_MAX)
    }

    /// The whole cell; `rest` reads a piece that follows.
    pub(crate) fn join(
        self,
        mut rest: impl FnMut(u8) -> Result<Option<Bytes>, Error>,
    ) -> Result<Cell, Error> {
        let count = self.rest();
        let Self { expires, octets, piece } = self;
        if count == 0 && piece.len() == octets as usize {
            return Ok(Cell { value: piece, expires });
        }
        let mut value = piece.to_vec();
        for number in 1..=count {
            value.extend_from_slice(&rest(number)?.unwrap_or_default());
        }
        if value.len() == octets as usize {
            Ok(Cell { value: value.into(), expires })
        } else {
            Err(Error::Damaged(format!("a cell of {octets} octets has {}", value.len())))
        }
    }
}

/// The first piece as it is kept, then those that follow.
pub(crate) fn split(cell: &Cell) -> (Bytes, impl Iterator<Item = Bytes>) {
    let (first, rest) = cell.value.split_at(cell.value.len().min(PIECE_OCTETS));
    let mut out = writer(14 + first.len());
    match cell.expires {
        Some(expires) => {
            out.put_u8(1);
            out.put_i64(expires.0);
        }
        None => out.put_u8(0),
    }
    out.put_u32(u32::try_from(cell.value.len()).unwrap_or(u32::MAX));
    out.put_slice(first);
    (out.freeze(), rest.chunks(PIECE_OCTETS).map(Bytes::copy_from_slice))
}

#[cfg(test)]
mod tests {
    use maitred_policy::table::{VALUE_OCTETS_MAX, weight};
    use proptest::prelude::*;

    use super::*;

    fn joined(cell: &Cell) -> (FirstPiece, Vec<Bytes>) {
        let (first, rest) = split(cell);
        (FirstPiece::decode(first).unwrap(), rest.collect())
    }

    proptest! {
        #[test]
        fn joining_undoes_splitting(octets in 0..=VALUE_OCTETS_MAX, expires: Option<i64>, fill: u8) {
            let value: Vec<u8> = (0..octets).map(|at| fill.wrapping_add((at >> 8) as u8)).collect();
            let cell = Cell { value: value.into(), expires: expires.map(Timestamp) };
            let (first, rest) = joined(&cell);
            prop_assert_eq!(usize::from(first.rest()), rest.len());
            prop_assert_eq!(first.weight("key"), weight("key", &cell));
            prop_assert_eq!(first.expires(), cell.expires);
            let whole = first.join(|number| Ok(rest.get(usize::from(number) - 1).cloned())).unwrap();
            prop_assert_eq!(whole, cell);
        }

        #[test]
        fn no_octets_panic(octets: Vec<u8>) {
            let whole = FirstPiece::decode(octets.into()).and_then(|first| first.join(|_| Ok(None)));
            if let Ok(cell) = whole {
                prop_assert!(cell.value.len() <= PIECE_OCTETS);
            }
        }
    }

    #[test]
    fn a_cell_that_lacks_a_piece_is_damaged() {
        let (first, rest) = joined(&Cell { value: vec![7; 40_000].into(), expires: None });
        assert_eq!(rest.len(), 2);
        let lacking = first.join(|number| Ok((number == 1).then(|| rest[0].clone())));
        assert!(matches!(lacking, Err(Error::Damaged(_))), "{lacking:?}");
    }
}
