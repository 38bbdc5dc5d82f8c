use maitred_policy::table::{Change, weight};

use super::*;
use crate::index::Change as KeyChange;

fn space() -> Space {
    Space { plugin: "p".into(), octets_max: 1 << 20 }
}

fn set(
    table: &dyn Table,
    key: &str,
    value: &[u8],
    ttl: Option<u32>,
    now: i64,
) -> Result<TableAnswer, TableError> {
    let op = TableOp::Change(key.to_owned(), Change::Set { value: value.to_vec(), ttl });
    table.apply(&space(), &op, Timestamp(now))
}

fn get(table: &dyn Table, key: &str, now: i64) -> Option<Vec<u8>> {
    match table.apply(&space(), &TableOp::Get(key.to_owned()), Timestamp(now)).unwrap() {
        TableAnswer::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_step_of_the_sweep_looks_at_one_page_and_a_round_leaves_no_expired_cell() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    for n in 0..700 {
        // Every seventh stays.
        set(&*tables, &format!("{n:04}"), b"v", (n % 7 > 0).then_some(1), 0).unwrap();
        if n == 400 {
            tables.flush().await.unwrap();
        }
    }
    let cells = tables.cells("p").unwrap();
    let mut cells = lock(&cells);
    let view = &store.tables().shared.view;
    assert!(!cells.is_any_expired(Timestamp(999)) && cells.is_any_expired(Timestamp(1_000)));
    let mut removed = Vec::new();
    while cells.is_any_expired(Timestamp(1_000)) {
        removed.push(cells.sweep(view, Timestamp(1_000)).unwrap());
    }
    assert_eq!(removed.iter().sum::<u64>(), 600);
    assert!(removed.len() > 1, "{removed:?}");
    let sums = cells.load(view).unwrap();
    assert_eq!((sums.keys, sums.octets), (100, 100 * (4 + 1 + 32)));
    cells.forget_sums();
    assert_eq!(cells.load(view).unwrap(), sums, "counted anew");
}

#[tokio::test]
async fn what_is_taken_out_while_a_table_is_counted_is_counted_once_or_not_at_all() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    for n in 0..600 {
        set(&*tables, &format!("{n:04}"), b"v", None, 0).unwrap();
    }
    tables.flush().await.unwrap();
    let cells = tables.cells("p").unwrap();
    let view = &store.tables().shared.view;
    lock(&cells).forget_sums();
    lock(&cells).count_page(view).unwrap(); // a page of three
    for key in ["0000", "0255", "0256", "0599"] {
        tables.apply(&space(), &TableOp::Change(key.to_owned(), Change::Delete), Timestamp(0)).unwrap();
    }
    let sums = lock(&cells).load(view).unwrap();
    assert_eq!((sums.keys, sums.octets), (596, 596 * (4 + 1 + 32)));
}

#[tokio::test]
async fn the_flusher_sweeps_what_is_expired_when_a_table_was_used_last() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    set(&*tables, "gone", b"v", Some(1), 0).unwrap();
    set(&*tables, "stays", b"v", Some(9), 0).unwrap();
    tables.sweep();
    assert_eq!(store.tables_list().await.unwrap()[0].keys, 2);
    assert_eq!(get(&*tables, "gone", 5_000), None);
    assert_eq!(store.tables_list().await.unwrap()[0].keys, 2, "counted until it is swept");
    tables.sweep();
    assert_eq!(store.tables_list().await.unwrap()[0].keys, 1);
    tables.flush().await.unwrap();
    assert_eq!(store.tables_list().await.unwrap()[0].keys, 1);
}

#[tokio::test]
async fn a_cell_changed_while_its_last_version_is_written_goes_on_waiting() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    set(&*tables, "k", b"one", None, 0).unwrap();
    let cells = tables.cells("p").unwrap();
    let version = |cells: &Cells| cells.waiting("").0.iter().map(|cell| cell.2).collect::<Vec<_>>();
    // Nothing is flushed while this lock is held.
    let committer = lock(&tables.committer);
    let first = version(&lock(&cells));
    set(&*tables, "k", b"two", None, 0).unwrap();
    lock(&cells).settle("k", first.first().copied().unwrap_or(0));
    let second = version(&lock(&cells));
    assert!(second.len() == 1 && second != first);
    assert_eq!(get(&*tables, "k", 0).as_deref(), Some(&b"two"[..]));
    drop(committer);
    tables.flush().await.unwrap();
    assert!(version(&lock(&cells)).is_empty());
    assert_eq!(get(&*tables, "k", 0).as_deref(), Some(&b"two"[..]), "from the store");
}

#[tokio::test]
async fn what_waits_is_counted_until_it_is_written() {
    let (store, faults) = Store::memory().unwrap();
    let tables = store.tables();
    let waiting = || tables.backlog.octets();
    let committer = lock(&tables.committer);
    set(&*tables, "k", &[1; 100], None, 0).unwrap();
    set(&*tables, "k", &[1; 40], None, 0).unwrap();
    set(&*tables, "l", &[1; 10], None, 0).unwrap();
    tables.apply(&space(), &TableOp::Change("l".to_owned(), Change::Delete), Timestamp(0)).unwrap();
    assert_eq!(waiting(), (1 + 40 + 32) + (1 + 32));
    // Planned while nothing can be committed, so that the first commit is the one that fails.
    faults.fail_after(0, Error::Full);
    drop(committer);
    while waiting() > 0 {
        // The flusher may come first and meet the fault in our place.
        match tables.flush().await {
            Ok(()) => assert_eq!(waiting(), 0),
            Err(error) => assert!(matches!(error, Error::Full) && waiting() == 106, "{error}"),
        }
    }
    assert_eq!(get(&*tables, "k", 0), Some(vec![1; 40]));
    assert_eq!(get(&*tables, "l", 0), None);
}

#[tokio::test]
async fn a_cell_that_cannot_be_read_is_none_and_can_be_made_anew() {
    let (store, _) = Store::memory().unwrap();
    let tables = store.tables();
    set(&*tables, "k", &[7; 60_000], None, 0).unwrap();
    tables.flush().await.unwrap();
    assert_eq!(get(&*tables, "k", 0), Some(vec![7; 60_000]));
    let spoil: Vec<KeyChange> = vec![(keys::cell_rest("p", "k", 2), None)];
    store.tables().shared.view.publish(u64::MAX, &spoil);
    assert_eq!(get(&*tables, "k", 0), None);
    set(&*tables, "k", &[8; 10], None, 0).unwrap();
    tables.flush().await.unwrap();
    assert_eq!(get(&*tables, "k", 0), Some(vec![8; 10]));
    let rests = tables.shared.view.range(b"r", b"s", 10).unwrap();
    assert!(rests.is_empty(), "no piece is left over: {rests:?}");
}

#[test]
fn a_change_that_takes_a_cell_out_weighs_its_key() {
    let cell = maitred_policy::table::Cell { value: vec![1; 10].into(), expires: None };
    assert_eq!(cells::weight_of("key", Some(&cell)), weight("key", &cell));
    assert_eq!(cells::weight_of("key", None), 35);
}
