//! Plugins' tables: what they do is what the model in memory does, wherever a cell happens to be.

use std::sync::Arc;

use maitred_mail::Timestamp;
use maitred_policy::table::{
    Change, KEY_OCTETS_MAX, MemoryTable, Space, Table, TableAnswer, TableError, TableOp, VALUE_OCTETS_MAX,
};
use maitred_store::{Config, Store, Tables};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::kit::config;

pub fn space(plugin: &str, octets_max: u64) -> Space {
    Space { plugin: plugin.into(), octets_max }
}

/// Short words for one plugin.
pub struct Plugin<'a>(pub &'a dyn Table, pub Space);

impl<'a> Plugin<'a> {
    pub fn new(table: &'a dyn Table) -> Self {
        Self(table, space("p", 1_000))
    }

    pub fn apply(&self, op: TableOp, now: i64) -> Result<TableAnswer, TableError> {
        self.0.apply(&self.1, &op, Timestamp(now))
    }

    pub fn change(&self, key: &str, change: Change, now: i64) -> Result<TableAnswer, TableError> {
        self.apply(TableOp::Change(key.to_owned(), change), now)
    }

    pub fn set(&self, key: &str, value: &str) {
        assert_eq!(self.change(key, set(value, None), 0), Ok(TableAnswer::Done));
    }

    pub fn get(&self, key: &str, now: i64) -> Option<String> {
        match self.apply(TableOp::Get(key.to_owned()), now) {
            Ok(TableAnswer::Value(value)) => value.map(|value| String::from_utf8(value).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    pub fn increment(&self, key: &str, ttl: Option<u32>, now: i64) -> i64 {
        match self.change(key, Change::Increment { delta: 1, ttl }, now) {
            Ok(TableAnswer::Count(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    pub fn scan(&self, prefix: &str, after: Option<&str>, max: u32) -> Vec<String> {
        let op = TableOp::Scan { prefix: prefix.to_owned(), after: after.map(str::to_owned), max };
        match self.apply(op, 0) {
            Ok(TableAnswer::Keys(keys)) => keys,
            other => panic!("{other:?}"),
        }
    }
}

pub fn set(value: &str, ttl: Option<u32>) -> Change {
    Change::Set { value: value.as_bytes().to_vec(), ttl }
}

/// Brings every change to the log before the next one.
struct Flushed(Arc<Tables>, Runtime);

impl Table for Flushed {
    fn apply(&self, space: &Space, op: &TableOp, now: Timestamp) -> Result<TableAnswer, TableError> {
        let answer = self.0.apply(space, op, now);
        self.1.block_on(self.0.flush()).unwrap();
        answer
    }
}

/// The same check on the model and on each engine, with cells in memory and with cells in the index.
fn on_all(check: impl Fn(&dyn Table)) {
    check(&MemoryTable::default());
    let folder = TempDir::new().unwrap();
    let stores = [
        Store::memory().unwrap().0,
        Store::open(&config(&folder.path().join("a"))).unwrap(),
        Store::memory().unwrap().0,
        Store::open(&config(&folder.path().join("b"))).unwrap(),
    ];
    for (at, store) in stores.into_iter().enumerate() {
        if at < 2 {
            check(&*store.tables());
        } else {
            check(&Flushed(store.tables(), Runtime::new().unwrap()));
        }
    }
}

#[test]
fn a_value_is_gone_when_its_time_is_up() {
    on_all(|table| {
        let p = Plugin::new(table);
        p.change("k", set("v", Some(2)), 0).unwrap();
        assert_eq!(p.get("k", 1_999).as_deref(), Some("v"));
        assert_eq!(p.get("k", 2_000), None);
        let seen = Change::GetOrInsert { value: b"new".to_vec(), ttl: None };
        assert_eq!(p.change("k", seen.clone(), 2_000), Ok(TableAnswer::Value(None)));
        assert_eq!(p.change("k", seen, 2_001), Ok(TableAnswer::Value(Some(b"new".to_vec()))));
        p.change("k", set("gone at once", Some(0)), 2_002).unwrap();
        assert_eq!(p.get("k", 2_002), None);
    });
}

#[test]
fn a_counter_has_a_fixed_window() {
    on_all(|table| {
        let p = Plugin::new(table);
        let counts = [0, 9_999, 10_000].map(|now| p.increment("c", Some(10), now));
        assert_eq!(counts, [1, 2, 1]);
        p.set("text", "abc");
        let wrong = p.change("text", Change::Increment { delta: 1, ttl: None }, 0);
        assert_eq!((wrong, p.get("text", 0).as_deref()), (Err(TableError::Kind), Some("abc")));
    });
}

#[test]
fn a_bucket_fills_with_time_and_says_when_to_come_back() {
    on_all(|table| {
        let p = Plugin::new(table);
        let take =
            |now| p.change("b", Change::TakeTokens { capacity: 2, per_second: 0.5, cost: 1 }, now).unwrap();
        assert_eq!(
            [take(0), take(0), take(0)],
            [TableAnswer::Taken(1), TableAnswer::Taken(0), TableAnswer::Wait(2_000)]
        );
        assert_eq!([take(1_000), take(2_000)], [TableAnswer::Wait(1_000), TableAnswer::Taken(0)]);
        assert_eq!(take(1_900), TableAnswer::Wait(2_000), "a clock that goes back fills nothing");
    });
}

#[test]
fn compare_and_set_changes_only_what_is_as_expected() {
    on_all(|table| {
        let p = Plugin::new(table);
        let swap = |old: Option<&str>, new: Option<&str>| {
            let octets = |text: &str| text.as_bytes().to_vec();
            let swap = Change::CompareAndSet { old: old.map(octets), new: new.map(octets), ttl: None };
            p.change("k", swap, 0).unwrap() == TableAnswer::Swapped(true)
        };
        assert!(!swap(Some("a"), Some("b")));
        assert!(swap(None, Some("a")) && swap(Some("a"), Some("b")) && !swap(None, Some("c")));
        assert!(swap(Some("b"), None));
        assert_eq!(p.get("k", 0), None);
    });
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    on_all(|table| {
        let p = Plugin::new(table);
        let large = "x".repeat(600);
        p.set("a", &large);
        assert_eq!(p.change("b", set(&large, None), 0), Err(TableError::Full(633)));
        assert_eq!(p.get("b", 0), None);
        p.set("a", "small");
        p.set("b", &large);
        assert_eq!(p.change("a", Change::Delete, 0), Ok(TableAnswer::Done));
        p.set("c", &"x".repeat(1_000 - 633 - 33));
        assert_eq!(p.change("d", set("", None), 0), Err(TableError::Full(1_000)));
    });
}

#[test]
fn keys_and_values_have_a_size() {
    on_all(|table| {
        let p = Plugin(table, space("p", 1 << 20));
        let longest = "k".repeat(KEY_OCTETS_MAX);
        for key in ["", &format!("{longest}k")] {
            assert_eq!(p.change(key, set("v", None), 0), Err(TableError::TooLarge));
            assert_eq!(p.get(key, 0), None);
        }
        for octets in [0, 1, 16 << 10, (16 << 10) + 1, 48 << 10, VALUE_OCTETS_MAX, 20_000, 3] {
            let value = "v".repeat(octets);
            p.set(&longest, &value);
            assert_eq!(p.get(&longest, 0), Some(value));
        }
        let over = set(&"v".repeat(VALUE_OCTETS_MAX + 1), None);
        assert_eq!(p.change(&longest, over, 0), Err(TableError::TooLarge));
        assert_eq!(p.get(&longest, 0).as_deref(), Some("vvv"));
    });
}

#[test]
fn a_scan_goes_on_behind_its_cursor() {
    on_all(|table| {
        let p = Plugin::new(table);
        for key in ["a", "p/1", "p/2", "p/3", "q"] {
            p.set(key, "v");
        }
        p.change("p/25", set("expired", Some(0)), 0).unwrap();
        p.change("p/1", Change::Delete, 0).unwrap();
        p.set("p/1", "v");
        assert_eq!(p.scan("p/", None, 2), ["p/1", "p/2"]);
        assert_eq!(p.scan("p/", Some("p/2"), 9), ["p/3"]);
        assert_eq!(p.scan("p/", Some("a"), 1), ["p/1"]);
        assert_eq!(p.scan("p/", Some("p/0"), 1), ["p/1"]);
        assert_eq!(p.scan("p/", Some("q"), 9), [""; 0]);
        assert_eq!(p.scan("p/", None, 0), [""; 0]);
        assert_eq!(p.scan("", None, 9), ["a", "p/1", "p/2", "p/3", "q"]);
    });
}

#[test]
fn a_scan_of_many_keys_misses_none() {
    on_all(|table| {
        let p = Plugin(table, space("p", 1 << 20));
        let keys: Vec<String> = (0..600).map(|n| format!("k{n:03}")).collect();
        for key in &keys {
            p.set(key, "v");
        }
        for key in keys.iter().skip(300) {
            p.change(key, Change::Delete, 0).unwrap();
        }
        for key in keys.iter().skip(590) {
            p.set(key, "again");
        }
        let expected: Vec<_> = keys.iter().take(300).chain(keys.iter().skip(590)).cloned().collect();
        assert_eq!(p.scan("k", None, 1_000), expected);
        assert_eq!(p.scan("k", Some("k254"), 3), ["k255", "k256", "k257"]);
    });
}

#[test]
fn a_plugin_reaches_no_other_plugins_keys() {
    on_all(|table| {
        let of = |plugin: &str| Plugin(table, space(plugin, 1_000));
        of("a").set("key", "a's");
        of("ab").set("key", "ab's");
        of("a").set("b\0key", "a's too");
        for key in ["key", "b\0key", "\0key", "\0ab\0key", "bkey", "b\u{1}key"] {
            let own = ["key", "b\0key"].contains(&key);
            assert_eq!(of("a").get(key, 0).is_some(), own, "{key:?}");
            assert_eq!(of("ab").get(key, 0).is_some(), key == "key", "{key:?}");
            assert_eq!(of("b").get(key, 0), None, "{key:?}");
        }
        assert_eq!(of("a").scan("", None, 9), ["b\0key", "key"]);
        assert_eq!(of("ab").scan("", None, 9), ["key"]);
        assert_eq!(of("ab").scan("", Some("\0"), 9), ["key"]);
    });
}

#[test]
fn a_plugin_whose_name_reaches_into_another_is_refused() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    Plugin::new(&*tables).set("k", "v");
    for name in ["p\0", "p\0k", "\0", ""] {
        let other = Plugin(&*tables, space(name, 1_000));
        for op in [TableOp::Get("k".to_owned()), TableOp::Change("k".to_owned(), set("v", None))] {
            assert!(matches!(other.apply(op, 0), Err(TableError::Unavailable(_))), "{name:?}");
        }
    }
}

/// Nothing is flushed but by the test itself.
pub fn unhurried(config: Config) -> Config {
    Config { soon: std::time::Duration::from_secs(3_600), ..config }
}
