//! Cells of plugins' tables.

use super::Plan;
use crate::codec::cell::{FirstPiece, REST_MAX, split};
use crate::intent::{Changed, TableCells};
use crate::view::Read;
use crate::{Error, keys};

impl Plan<'_, '_> {
    pub(super) fn change_table(&mut self, table: &TableCells) -> Result<Changed, Error> {
        let plugin = &*table.plugin;
        for (key, cell) in &table.cells {
            let at = keys::cell(plugin, key);
            let held = self.get(&at)?;
            let is_held = held.is_some();
            // Of one that cannot be read any more, all pieces go.
            let pieces =
                held.map_or(0, |held| FirstPiece::decode(held).map_or(REST_MAX, |first| first.rest()));
            let mut kept = 0;
            match cell {
                Some(cell) => {
                    let (first, rest) = split(cell);
                    self.put(at, first);
                    for (piece, number) in rest.zip(1..=REST_MAX) {
                        self.put(keys::cell_rest(plugin, key, number), piece);
                        kept = number;
                    }
                }
                None if is_held => self.delete(at),
                // Made and gone again before the disk saw it.
                None => {}
            }
            for number in kept.saturating_add(1)..=pieces {
                self.delete(keys::cell_rest(plugin, key, number));
            }
        }
        Ok(Changed::Done)
    }
}
