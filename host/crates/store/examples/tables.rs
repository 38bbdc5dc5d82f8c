//! How fast a plugin's table is: operations each second, the slowest of them, and what they cost the log.
//!
//! `cargo run --release -p maitred-store --example tables [DIRECTORY] [SECONDS]`

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use maitred_mail::Timestamp;
use maitred_policy::table::{Change, Space, Table, TableOp};
use maitred_store::{Config, Store, Tables};

type Failure = Box<dyn Error + Send + Sync>;

const KEYS: u64 = 100_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let life = Duration::from_secs(arguments.next().map_or(Ok(2), |seconds| seconds.parse())?);
    let folder = folder.join(format!("maitred-tables-{}", std::process::id()));
    let store = Store::open(&Config { reserve_octets: 0, ..Config::new(&folder) })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!(
        "{:<34} {:>8} {:>12} {:>10} {:>10} {:>10} {:>8}",
        "", "threads", "ops/s", "mean µs", "99.9 % µs", "worst µs", "log B/op"
    );
    let increment = |key| TableOp::Change(key, Change::Increment { delta: 1, ttl: None });
    let one = |_| increment("counter".to_owned());
    let many = |n| increment(format!("counter/{}", n % KEYS));
    let paced = |n| {
        std::thread::sleep(Duration::from_micros(200));
        many(n)
    };
    for threads in [1, 4] {
        measure(&store, "increment, one key", threads, life, one)?;
        measure(&store, "increment, 100,000 keys", threads, life, many)?;
        measure(&store, "the same, some thousands a second", threads, life, paced)?;
    }
    runtime.block_on(store.tables().flush())?;
    let known = |n| TableOp::Get(format!("counter/{}", n % KEYS));
    let unknown = |n| TableOp::Get(format!("none/{}", n % KEYS));
    for threads in [1, 4] {
        measure(&store, "get, there", threads, life, known)?;
        measure(&store, "get, not there", threads, life, unknown)?;
    }
    let greylist = |n| {
        let change = Change::GetOrInsert { value: b"1700000000".to_vec(), ttl: Some(86_400) };
        TableOp::Change(format!("grey/{n:016x}"), change)
    };
    measure(&store, "get-or-insert, always a new key", 1, life, greylist)?;
    let listed = runtime.block_on(store.tables_list())?;
    println!("{listed:?}");
    runtime.block_on(store.close());
    let begin = Instant::now();
    drop(store);
    let store = Store::open(&Config { reserve_octets: 0, ..Config::new(&folder) })?;
    let opened = begin.elapsed();
    apply(&store.tables(), &one(0))?;
    println!("opened in {opened:?}, first change {:?} later", begin.elapsed().saturating_sub(opened));
    drop(store);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn apply(tables: &Tables, op: &TableOp) -> Result<(), Failure> {
    let space = Space { plugin: "bench".into(), octets_max: 1 << 30 };
    tables.apply(&space, op, Timestamp(0))?;
    Ok(())
}

fn measure(
    store: &Store,
    what: &str,
    threads: u64,
    life: Duration,
    op: impl Fn(u64) -> TableOp + Copy + Send,
) -> Result<(), Failure> {
    let before = store.stats().log_octets;
    let end = Instant::now() + life;
    let tables = store.tables();
    let mut nanos = std::thread::scope(|scope| -> Result<Vec<u32>, Failure> {
        let run = |thread: u64| {
            let tables = &tables;
            move || {
                let mut nanos = Vec::new();
                // A step that is prime to the number of keys: neighbours are not met one after the other.
                let mut n = thread * 7_919;
                while Instant::now() < end {
                    let op = op(n);
                    let begin = Instant::now();
                    apply(tables, &op)?;
                    nanos.push(u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX));
                    n += 10_007;
                }
                Ok::<_, Failure>(nanos)
            }
        };
        let started: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        let mut all = Vec::new();
        for thread in started {
            all.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(all)
    })?;
    nanos.sort_unstable();
    let count = nanos.len() as f64;
    let sum: u64 = nanos.iter().map(|n| u64::from(*n)).sum();
    let at = |share: f64| nanos.get((count * share) as usize).or(nanos.last()).map_or(0, |n| n / 1_000);
    println!(
        "{what:<34} {threads:>8} {:>12.0} {:>10.2} {:>10} {:>10} {:>8.1}",
        count / life.as_secs_f64(),
        sum as f64 / count / 1_000.0,
        at(0.999),
        at(1.0),
        (store.stats().log_octets - before) as f64 / count
    );
    Ok(())
}
