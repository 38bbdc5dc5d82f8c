//! How fast the store takes 4 KB messages, beside the least that the disk needs for the same octets: a raw group commit.
//!
//! `cargo run --release -p maitred-store --example groupcommit [DIRECTORY] [SECONDS]`

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{AccountId, Address, Domain, Flags, Timestamp};
use maitred_store::{Batch, Config, Intent, NewBody, Store, Urgency};

type Failure = Box<dyn Error + Send + Sync>;

const OCTETS: usize = 4096;
const ACCOUNTS: usize = 10;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(3), |seconds| seconds.parse())?;
    let folder = folder.join(format!("maitred-groupcommit-{}", std::process::id()));
    println!(
        "{:>8} {:>12} {:>12} {:>7} {:>9} {:>9} {:>9}",
        "writers", "raw/s", "store/s", "ratio", "CPU µs", "log B", "written B"
    );
    for writers in [1, 10, 50, 200] {
        std::fs::create_dir_all(&folder)?;
        let life = Duration::from_secs(seconds);
        let raw = raw(&folder.join("raw"), writers, life)?;
        let store = tokio_run(&folder.join("store"), writers, life)?;
        let ratio = store.rate / raw;
        println!(
            "{writers:>8} {raw:>12.0} {:>12.0} {ratio:>7.2} {:>9.1} {:>9.0} {:>9.0}",
            store.rate, store.cpu_micros, store.log_octets, store.written_octets
        );
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// What one message costs.
struct Cost {
    rate: f64,
    cpu_micros: f64,
    log_octets: f64,
    written_octets: f64,
}

/// Writers hand octets to one thread that writes and syncs whatever has come.
fn raw(path: &Path, writers: usize, life: Duration) -> Result<f64, Failure> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let (requests, waiting) = channel::<Sender<()>>();
    let committer = std::thread::spawn(move || -> std::io::Result<()> {
        let mut at = 0;
        while let Ok(first) = waiting.recv() {
            let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
            let octets = vec![b'x'; OCTETS * group.len()];
            file.write_all_at(&octets, at)?;
            file.sync_data()?;
            at += octets.len() as u64;
            for answer in group {
                // A writer whose time is over does not wait.
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    let count = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + life;
    let threads: Vec<_> = (0..writers)
        .map(|_| {
            let (requests, count) = (requests.clone(), Arc::clone(&count));
            std::thread::spawn(move || {
                while Instant::now() < end {
                    let (answer, done) = channel();
                    if requests.send(answer).is_err() || done.recv().is_err() {
                        return;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    drop(requests);
    for thread in threads {
        thread.join().map_err(|_| "a writer panicked")?;
    }
    committer.join().map_err(|_| "the committer panicked")??;
    Ok(count.load(Ordering::Relaxed) as f64 / life.as_secs_f64())
}

fn tokio_run(path: &Path, writers: usize, life: Duration) -> Result<Cost, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(store(path, writers, life))
}

async fn store(path: &Path, writers: usize, life: Duration) -> Result<Cost, Failure> {
    let store = Store::open(&Config { reserve_octets: 0, ..Config::new(path) })?;
    let mut intents = vec![Intent::AddDomain(Domain::parse("a.test")?)];
    for account in 0..ACCOUNTS {
        let address = Address::parse(&format!("a{account}@a.test"))?;
        intents.push(Intent::AddAccount { address, password_hash: String::new(), quota: None });
    }
    store.commit(Batch { intents, ..Batch::default() }).await?;
    let accounts: Vec<AccountId> = store.directory().accounts.values().copied().collect();
    let (before, log_before, written_before) = (cpu_micros()?, store.stats().log_octets, written_octets()?);
    let end = Instant::now() + life;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| tokio::spawn(write(store.clone(), accounts[writer % accounts.len()], end)))
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    let log_octets = store.stats().log_octets - log_before;
    store.close().await;
    let count = count as f64;
    Ok(Cost {
        rate: count / life.as_secs_f64(),
        cpu_micros: (cpu_micros()? - before) as f64 / count,
        log_octets: log_octets as f64 / count,
        written_octets: (written_octets()? - written_before) as f64 / count,
    })
}

async fn write(store: Store, account: AccountId, end: Instant) -> Result<u64, Failure> {
    let text = vec![b'x'; OCTETS - 200];
    let mut count = 0;
    while Instant::now() < end {
        let mut tail = store.draft();
        tail.write(&text).await?;
        let body = NewBody {
            head: Bytes::from_static(&[b'h'; 200]),
            tail,
            summary: Bytes::from_static(&[b's'; 300]),
            local_head: 0,
        };
        let deliver = Intent::Deliver {
            account,
            mailbox: "INBOX".into(),
            body: 0,
            flags: Flags(0),
            keywords: Vec::new(),
            internal_date: Timestamp(0),
        };
        store.commit(Batch { bodies: vec![body], intents: vec![deliver], urgency: Urgency::Now }).await?;
        count += 1;
    }
    Ok(count)
}

/// User and system time of this process so far (proc(5): ticks of 10 ms).
fn cpu_micros() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let behind = text.rsplit_once(')').ok_or("no stat")?.1;
    let ticks: Vec<u64> =
        behind.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() * 10_000)
}

/// Octets this process gave to the disk so far.
fn written_octets() -> Result<u64, Failure> {
    let text = std::io::read_to_string(File::open("/proc/self/io")?)?;
    let line = text.lines().find_map(|line| line.strip_prefix("wchar: ")).ok_or("no io")?;
    Ok(line.parse()?)
}
