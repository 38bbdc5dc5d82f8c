//! Many threads at one table, full tables, full disks, and what an operator sees and takes away.

use std::sync::Arc;

use maitred_policy::table::{Change, Table, TableAnswer, TableError, VALUE_OCTETS_MAX};
use maitred_store::{Config, Error, Store, TableRecord};
use tempfile::TempDir;

use crate::kit::config;
use crate::tables::{Plugin, set, space, unhurried};

fn record(plugin: &str, octets: u64, keys: u64) -> TableRecord {
    TableRecord { plugin: plugin.to_owned(), octets, keys }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_of_many_threads_lose_nothing() {
    let folder = TempDir::new().unwrap();
    // Flushed all the time, while they count.
    let hasty = Config { soon: std::time::Duration::from_millis(1), ..config(folder.path()) };
    let store = Store::open(&hasty).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let tables = store.tables();
            std::thread::spawn(move || {
                let p = Plugin(&*tables, space("p", 1 << 20));
                let mut seen = Vec::new();
                for n in 0..2_000 {
                    seen.push(p.increment("all", None, 0));
                    p.increment(&format!("of {thread}"), None, 0);
                    p.increment(&format!("{}", n % 40), None, 0);
                }
                assert!(seen.is_sorted_by(|a, b| a < b), "no count comes twice");
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let look = |store: &Store| {
        let tables = store.tables();
        let p = Plugin(&*tables, space("p", 1 << 20));
        assert_eq!(p.get("all", 0).as_deref(), Some("16000"));
        assert!((0..8).all(|thread| p.get(&format!("of {thread}"), 0).as_deref() == Some("2000")));
        assert!((0..40).all(|n| p.get(&format!("{n}"), 0).as_deref() == Some("400")));
    };
    look(&store);
    store.close().await;
    look(&store);
    drop(store);
    look(&Store::open(&hasty).unwrap());
}

#[tokio::test]
async fn in_a_full_table_what_is_expired_makes_room() {
    for is_flushed in [false, true] {
        let (store, _) = Store::memory().unwrap();
        let tables = store.tables();
        // Each of these counts 1 + 50 + 32.
        let p = Plugin(&*tables, space("p", 83 * 10));
        let value = "v".repeat(50);
        for n in 0..10 {
            p.change(&n.to_string(), set(&value, (n % 2 == 0).then_some(1)), 0).unwrap();
        }
        if is_flushed {
            tables.flush().await.unwrap();
        }
        assert_eq!(p.change("a", set(&value, None), 999), Err(TableError::Full(830)));
        for key in ["a", "b", "c", "d", "e"] {
            p.change(key, set(&value, None), 1_000).unwrap();
        }
        assert_eq!(p.change("f", set(&value, None), 1_000), Err(TableError::Full(830)));
        assert_eq!(store.tables_list().await.unwrap(), [record("p", 830, 10)]);
        assert_eq!(p.scan("", None, 99), ["1", "3", "5", "7", "9", "a", "b", "c", "d", "e"]);
    }
}

#[tokio::test]
async fn an_expired_key_is_written_anew_in_a_full_table() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    let p = Plugin(&*tables, space("p", 100));
    p.change("k", set(&"v".repeat(60), Some(1)), 0).unwrap();
    p.change("k", set(&"w".repeat(67), None), 1_000).unwrap();
    assert_eq!(p.change("k", set(&"w".repeat(68), None), 1_000), Err(TableError::Full(0)));
    assert_eq!(store.tables_list().await.unwrap(), [record("p", 100, 1)]);
}

#[tokio::test]
async fn while_the_disk_is_full_changes_wait_up_to_a_limit_and_nothing_read_is_lost() {
    let folder = TempDir::new().unwrap();
    let full = unhurried(Config { reserve_octets: u64::MAX, ..config(folder.path()) });
    let store = Store::open(&full).unwrap();
    let tables = store.tables();
    let p = Plugin(&*tables, space("p", 1 << 30));
    p.set("first", "v");
    assert!(matches!(tables.flush().await, Err(Error::Full)));
    let value = "v".repeat(VALUE_OCTETS_MAX);
    let refused = (0..1_000).find(|n| match p.change(&n.to_string(), set(&value, None), 0) {
        Ok(TableAnswer::Done) => false,
        Err(TableError::Unavailable(why)) => why.contains("wait for the disk"),
        other => panic!("{other:?}"),
    });
    let waiting = refused.unwrap() * VALUE_OCTETS_MAX;
    assert!((8 << 20..9 << 20).contains(&waiting), "{waiting} octets were taken");
    assert_eq!(p.get("first", 0).as_deref(), Some("v"));
    assert_eq!(p.get("0", 0), Some(value));
    // What changes nothing is answered all the same.
    assert_eq!(p.change("none", Change::Delete, 0), Ok(TableAnswer::Done));
    assert!(matches!(tables.flush().await, Err(Error::Full)), "and it is tried again");
}

#[tokio::test]
async fn what_failed_is_written_when_it_can_be() {
    let (store, faults) = Store::memory().unwrap();
    let tables = store.tables();
    let p = Plugin::new(&*tables);
    for n in 0..20 {
        faults.fail_after(0, Error::Full);
        assert_eq!(p.increment("c", None, 0), n + 1);
        // Whoever comes first meets the fault: this flush or the flusher.
        while tables.flush().await.is_err() {}
    }
    assert_eq!(p.get("c", 0).as_deref(), Some("20"));
}

#[tokio::test]
async fn tables_are_listed_and_taken_away() {
    let folder = TempDir::new().unwrap();
    let config = unhurried(config(folder.path()));
    let store = Store::open(&config).unwrap();
    let tables = store.tables();
    let of = |plugin| Plugin(&*tables, space(plugin, 1 << 20));
    for n in 0..1_500 {
        of("greylist").set(&format!("k{n:04}"), "v");
    }
    of("greylist").set("large", &"v".repeat(40_000));
    of("rules").set("k", "v");
    of("rules-2").set("k", "v");
    tables.flush().await.unwrap();
    of("greylist").set("waits", "v");
    of("new").set("k", "v");
    let listed = [
        record("greylist", 1_500 * 38 + 40_037 + 38, 1_502),
        record("new", 34, 1),
        record("rules", 34, 1),
        record("rules-2", 34, 1),
    ];
    assert_eq!(store.tables_list().await.unwrap(), listed);
    assert_eq!(store.remove_table("greylist").await.unwrap(), 1_502);
    assert_eq!(store.remove_table("rules").await.unwrap(), 1);
    assert_eq!(store.remove_table("nobody").await.unwrap(), 0);
    assert!(matches!(store.remove_table("rules\0").await, Err(Error::BadName(_))));
    assert_eq!(of("greylist").get("waits", 0), None);
    assert_eq!(of("greylist").get("large", 0), None);
    assert_eq!(of("greylist").increment("anew", None, 0), 1);
    let left = [record("greylist", 37, 1), record("new", 34, 1), record("rules-2", 34, 1)];
    assert_eq!(store.tables_list().await.unwrap(), left);
    store.close().await;
    drop((store, tables));
    assert_eq!(Store::open(&config).unwrap().tables_list().await.unwrap(), left);
}

#[tokio::test]
async fn after_the_end_nothing_is_changed() {
    let (store, _) = Store::memory().unwrap();
    let tables: Arc<dyn Table> = store.tables();
    let p = Plugin::new(&*tables);
    p.set("k", "v");
    store.close().await;
    drop(store);
    assert_eq!(p.get("k", 0).as_deref(), Some("v"));
    assert!(matches!(p.change("k", set("w", None), 0), Err(TableError::Unavailable(_))));
    assert_eq!(p.get("k", 0).as_deref(), Some("v"));
}
