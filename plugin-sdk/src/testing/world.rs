//! What a plugin finds outside when it is tested as plain Rust: a small world for each test thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::authentication::MethodResult;
use crate::http::{Request, Response};
use crate::store::StoreError;

/// What a plugin finds outside: each test thread has its own, empty at first.
#[derive(Debug, Default)]
pub struct World {
    /// The clock, Unix milliseconds.
    pub now_ms: u64,
    /// The plugin's table: value, and when it is gone.
    pub table: BTreeMap<String, (Vec<u8>, Option<u64>)>,
    /// What the table answers instead, to everything.
    pub table_trouble: Option<StoreError>,
    /// A and AAAA records by name; an empty list is a name without such records, a name that is not here does not exist.
    pub ips: BTreeMap<String, Vec<String>>,
    /// TXT records by name.
    pub txts: BTreeMap<String, Vec<String>>,
    /// MX records by name.
    pub mxs: BTreeMap<String, Vec<(u16, String)>>,
    /// PTR records by address.
    pub ptrs: BTreeMap<String, Vec<String>>,
    /// Names whose questions fail for now.
    pub dns_troubles: Vec<String>,
    /// Domains that are ours.
    pub domains: Vec<String>,
    /// Accounts that are ours.
    pub accounts: Vec<String>,
    /// What the servers of others answer, by URL.
    pub responses: BTreeMap<String, Response>,
    /// Requests that were sent.
    pub requests: Vec<Request>,
    /// Messages that were submitted: sender, recipients, octets.
    pub submitted: Vec<(String, Vec<String>, Vec<u8>)>,
    /// What is found of where mail comes from.
    pub authentication: Vec<MethodResult>,
    /// Counters and gauges: name with labels, value.
    pub metrics: BTreeMap<String, f64>,
    /// By which of its terms the last answer holds that does.
    pub held: Option<u32>,
    /// What chance gives next.
    pub chance: u64,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

/// Looks at this thread's world, or changes it.
pub fn world<T>(look: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(look)
}

/// Sets the clock, Unix milliseconds.
pub fn set_now_ms(now_ms: u64) {
    world(|world| world.now_ms = now_ms);
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn now_ms() -> u64 {
    world(|world| world.now_ms)
}
