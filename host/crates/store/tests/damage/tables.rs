//! Plugins' tables after an end, after none, and what they cost the log.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use maitred_mail::Timestamp;
use maitred_policy::table::{Change, Space, Table, TableAnswer, TableOp};
use maitred_store::{Config, Store, Tables};
use tempfile::TempDir;

use crate::kit;
use crate::{copied, segments};

/// Nothing is flushed but by the test itself.
fn config(path: &Path) -> Config {
    Config { soon: Duration::from_secs(3_600), ..kit::config(path) }
}

fn apply(tables: &Tables, op: TableOp) -> TableAnswer {
    tables.apply(&Space { plugin: "p".into(), octets_max: 1 << 30 }, &op, Timestamp(0)).unwrap()
}

fn set(tables: &Tables, key: &str, value: &[u8]) {
    apply(tables, TableOp::Change(key.to_owned(), Change::Set { value: value.to_vec(), ttl: None }));
}

fn increment(tables: &Tables, key: &str) -> i64 {
    match apply(tables, TableOp::Change(key.to_owned(), Change::Increment { delta: 1, ttl: None })) {
        TableAnswer::Count(count) => count,
        other => panic!("{other:?}"),
    }
}

fn get(tables: &Tables, key: &str) -> Option<Vec<u8>> {
    match apply(tables, TableOp::Get(key.to_owned())) {
        TableAnswer::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

fn count(tables: &Tables, key: &str) -> i64 {
    get(tables, key).map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap())
}

#[tokio::test]
async fn after_an_orderly_end_all_is_there() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&config(folder.path())).unwrap();
    for n in 0..50_usize {
        set(&store.tables(), &format!("k{n}"), &vec![n as u8; n * 1_300]);
    }
    store.close().await;
    drop(store);
    for is_index_lost in [false, true] {
        if is_index_lost {
            fs::remove_dir_all(folder.path().join("index")).unwrap();
        }
        let store = Store::open(&config(folder.path())).unwrap();
        assert!(!store.opened().is_after_crash);
        assert_eq!(store.opened().was_rebuilt, is_index_lost);
        for n in 0..50_usize {
            assert_eq!(get(&store.tables(), &format!("k{n}")), Some(vec![n as u8; n * 1_300]), "k{n}");
        }
        assert!(store.check().await.unwrap().damage.is_empty());
    }
}

#[test]
fn a_store_that_is_only_dropped_has_written_what_waited() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&config(folder.path())).unwrap();
    set(&store.tables(), "k", b"v");
    drop(store);
    let store = Store::open(&config(folder.path())).unwrap();
    assert_eq!(get(&store.tables(), "k").as_deref(), Some(&b"v"[..]));
}

#[tokio::test]
async fn without_an_end_what_was_flushed_is_there_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&config(folder.path())).unwrap();
    let tables = store.tables();
    set(&tables, "large", &[1; 50_000]);
    set(&tables, "flushed", b"one");
    set(&tables, "gone", b"v");
    tables.flush().await.unwrap();
    set(&tables, "large", &[2; 100]);
    set(&tables, "flushed", b"two");
    apply(&tables, TableOp::Change("gone".to_owned(), Change::Delete));
    set(&tables, "late", b"v");
    let before = copied(folder.path());
    tables.flush().await.unwrap();
    let after = copied(folder.path());
    let look = |folder: &TempDir| {
        let store = Store::open(&config(folder.path())).unwrap();
        ["large", "flushed", "gone", "late"].map(|key| get(&store.tables(), key))
    };
    let one = [Some(vec![1; 50_000]), Some(b"one".to_vec()), Some(b"v".to_vec()), None];
    let two = [Some(vec![2; 100]), Some(b"two".to_vec()), None, Some(b"v".to_vec())];
    assert_eq!(look(&before), one);
    assert_eq!(look(&after), two);
    fs::remove_dir_all(after.path().join("index")).unwrap();
    assert_eq!(look(&after), two, "and from the log alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_is_killed_each_counter_is_between_the_last_flush_and_now() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    let folder = TempDir::new().unwrap();
    let hasty = Config { soon: Duration::from_millis(2), ..config(folder.path()) };
    let store = Store::open(&hasty).unwrap();
    let tables = store.tables();
    let (is_over, counts) = (AtomicBool::new(false), [const { AtomicI64::new(0) }; 4]);
    let counted = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for (key, last) in KEYS.iter().zip(&counts) {
            let (tables, is_over) = (&tables, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    last.store(increment(tables, key), Ordering::SeqCst);
                }
            });
        }
        let killed = scope.spawn(|| {
            for _ in 0..6 {
                let flushed = counted();
                runtime.block_on(tables.flush()).unwrap();
                let crashed = TempDir::new().unwrap();
                // The files are copied while they change: the log up to some commit, or into the middle of one. The index
                // of the copy would be ahead of it.
                fs::create_dir(crashed.path().join("log")).unwrap();
                for segment in segments(folder.path()) {
                    let name = segment.file_name().unwrap().to_owned();
                    fs::copy(&segment, crashed.path().join("log").join(name)).unwrap();
                }
                let now = counted();
                let found = Store::open(&config(crashed.path())).unwrap();
                assert!(found.opened().is_after_crash && found.opened().damaged == 0);
                for ((key, flushed), now) in KEYS.iter().zip(flushed).zip(now) {
                    let count = count(&found.tables(), key);
                    // A count is noted only after it was answered.
                    assert!((flushed..=now + 1).contains(&count), "{key}: {flushed} ≤ {count} ≤ {now}");
                }
            }
        });
        let ended = killed.join();
        is_over.store(true, Ordering::SeqCst);
        ended.unwrap();
    });
}

#[tokio::test]
async fn a_counter_that_counts_ten_thousand_times_between_two_flushes_costs_one_record() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&config(folder.path())).unwrap();
    let tables = store.tables();
    let before = store.stats();
    for _ in 0..10_000 {
        increment(&tables, "c");
    }
    for n in 0..100 {
        set(&tables, &format!("made {n} and gone"), &[1; 1_000]);
        apply(&tables, TableOp::Change(format!("made {n} and gone"), Change::Delete));
    }
    tables.flush().await.unwrap();
    let after = store.stats();
    assert_eq!(after.commits - before.commits, 1);
    let octets = after.log_octets - before.log_octets;
    assert!((50..250).contains(&octets), "{octets} octets in the log");
    tables.flush().await.unwrap();
    assert_eq!(store.stats().log_octets, after.log_octets, "nothing waits, nothing is written");
    drop(store);
    let store = Store::open(&config(folder.path())).unwrap();
    assert_eq!(count(&store.tables(), "c"), 10_000);
}

#[tokio::test]
async fn much_that_waits_is_written_in_commits_of_bounded_size_and_before_its_time() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&config(folder.path())).unwrap();
    let tables = store.tables();
    for n in 0..200 {
        set(&tables, &format!("k{n}"), &[n as u8; 60_000]);
    }
    // Nobody asks for it.
    while store.stats().commits == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tables.flush().await.unwrap();
    let stats = store.stats();
    assert!(stats.commits >= 11, "a commit has about one MiB of them: {stats:?}");
    assert!((0..200).all(|n| get(&tables, &format!("k{n}")) == Some(vec![n as u8; 60_000])));
}
