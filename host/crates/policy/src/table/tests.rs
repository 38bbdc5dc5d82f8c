use super::*;

fn space() -> Space {
    Space { plugin: "p".into(), octets_max: 1_000 }
}

fn change(table: &dyn Table, key: &str, change: Change, now: i64) -> Result<TableAnswer, TableError> {
    table.apply(&space(), &TableOp::Change(key.to_owned(), change), Timestamp(now))
}

fn get(table: &dyn Table, key: &str, now: i64) -> Option<Vec<u8>> {
    match table.apply(&space(), &TableOp::Get(key.to_owned()), Timestamp(now)).unwrap() {
        TableAnswer::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

fn set(value: &str, ttl: Option<u32>) -> Change {
    Change::Set { value: value.as_bytes().to_vec(), ttl }
}

#[test]
fn a_value_is_gone_when_its_time_is_up() {
    let table = MemoryTable::default();
    change(&table, "k", set("v", Some(2)), 0).unwrap();
    assert_eq!(get(&table, "k", 1_999).as_deref(), Some(&b"v"[..]));
    assert_eq!(get(&table, "k", 2_000), None);
    let seen = Change::GetOrInsert { value: b"new".to_vec(), ttl: None };
    assert_eq!(change(&table, "k", seen.clone(), 2_000).unwrap(), TableAnswer::Value(None));
    assert_eq!(change(&table, "k", seen, 2_001).unwrap(), TableAnswer::Value(Some(b"new".to_vec())));
}

#[test]
fn a_counter_has_a_fixed_window() {
    let table = MemoryTable::default();
    let count = |now| change(&table, "c", Change::Increment { delta: 1, ttl: Some(10) }, now).unwrap();
    assert_eq!(
        [count(0), count(9_999), count(10_000)].map(|answer| answer),
        [TableAnswer::Count(1), TableAnswer::Count(2), TableAnswer::Count(1)]
    );
    change(&table, "text", set("abc", None), 0).unwrap();
    let wrong = change(&table, "text", Change::Increment { delta: 1, ttl: None }, 0);
    assert_eq!(wrong, Err(TableError::Kind));
}

#[test]
fn a_bucket_fills_with_time_and_says_when_to_come_back() {
    let table = MemoryTable::default();
    let take =
        |now| change(&table, "b", Change::TakeTokens { capacity: 2, per_second: 0.5, cost: 1 }, now).unwrap();
    assert_eq!(
        [take(0), take(0), take(0)],
        [TableAnswer::Taken(1), TableAnswer::Taken(0), TableAnswer::Wait(2_000)]
    );
    assert_eq!(take(1_000), TableAnswer::Wait(1_000));
    assert_eq!(take(2_000), TableAnswer::Taken(0));
    // A clock that goes back neither fills nor breaks it.
    assert_eq!(take(-5_000), TableAnswer::Wait(2_000));
    let never = change(&table, "b", Change::TakeTokens { capacity: 1, per_second: 0.0, cost: 1 }, 0);
    assert_eq!(never, Err(TableError::Kind));
}

#[test]
fn compare_and_set_changes_only_what_is_as_expected() {
    let table = MemoryTable::default();
    let cas = |old: Option<&str>, new: Option<&str>| {
        let octets = |text: &str| text.as_bytes().to_vec();
        let swap = Change::CompareAndSet { old: old.map(octets), new: new.map(octets), ttl: None };
        change(&table, "k", swap, 0).unwrap() == TableAnswer::Swapped(true)
    };
    assert!(!cas(Some("a"), Some("b")));
    assert!(cas(None, Some("a")) && cas(Some("a"), Some("b")) && !cas(None, Some("c")));
    assert!(cas(Some("b"), None));
    assert_eq!(get(&table, "k", 0), None);
}

#[test]
fn a_full_table_refuses_and_keeps_what_it_has() {
    let table = MemoryTable::default();
    change(&table, "a", set(&"x".repeat(600), None), 0).unwrap();
    assert_eq!(change(&table, "b", set(&"x".repeat(600), None), 0), Err(TableError::Full(633)));
    assert_eq!(get(&table, "b", 0), None);
    change(&table, "a", set("small", None), 0).unwrap();
    change(&table, "b", set(&"x".repeat(600), None), 0).unwrap();
    assert_eq!(change(&table, &"k".repeat(513), set("v", None), 0), Err(TableError::TooLarge));
    assert_eq!(change(&table, "", set("v", None), 0), Err(TableError::TooLarge));
    assert_eq!(
        change(&table, "v", set(&"x".repeat(VALUE_OCTETS_MAX + 1), None), 0),
        Err(TableError::TooLarge)
    );
}

#[test]
fn in_a_full_table_what_is_expired_goes_first() {
    let table = MemoryTable::default();
    change(&table, "old", set(&"x".repeat(900), Some(1)), 0).unwrap();
    let large = set(&"x".repeat(600), None);
    assert_eq!(change(&table, "new", large.clone(), 999), Err(TableError::Full(935)));
    assert_eq!(change(&table, "new", large, 1_000), Ok(TableAnswer::Done));
    assert_eq!(get(&table, "old", 0), None, "it is swept");
}

#[test]
fn a_scan_goes_on_behind_its_cursor() {
    let table = MemoryTable::default();
    for key in ["a", "p/1", "p/2", "p/3", "q"] {
        change(&table, key, set("v", None), 0).unwrap();
    }
    let scan = |after: Option<&str>, max| {
        let op = TableOp::Scan { prefix: "p/".to_owned(), after: after.map(str::to_owned), max };
        match table.apply(&space(), &op, Timestamp(0)).unwrap() {
            TableAnswer::Keys(keys) => keys,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scan(None, 2), ["p/1", "p/2"]);
    assert_eq!(scan(Some("p/2"), 9), ["p/3"]);
    assert_eq!(scan(Some("a"), 1), ["p/1"]);
}
