//! Killed and powerless: a writer commits to a store until its process ends without warning, and whoever opens the store
//! after it must find all that was acknowledged.
//!
//! `src/bin/crash-writer.rs` writes and says on its standard output what was acknowledged; [`ledger::Ledger`] keeps that;
//! [`verify`] compares it with what the store holds. The tests are in `tests/crash`.

pub mod ledger;
pub mod letter;
pub mod served;
pub mod verify;

use std::path::Path;

use maitred_store::Config;

/// How many accounts the writer delivers to.
pub const ACCOUNTS: u64 = 4;

/// Small segments and a small inline limit, so that a short run passes all ways of storing.
pub fn config(directory: &Path) -> Config {
    Config {
        segment_octets: 2 << 20,
        inline_octets_max: 64 << 10,
        reserve_octets: 0,
        cache_octets: 8 << 20,
        ..Config::new(directory)
    }
}

/// Numbers by chance from a seed (splitmix64), so that a failed run can be repeated.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
