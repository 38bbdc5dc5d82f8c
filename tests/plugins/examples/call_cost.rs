//! What the bundled filter costs: `cargo run --release --example call_cost -p tests-plugins`.
//!
//! Prints the time of a start with an empty and with a warm cache (with a folder as argument: the cache that is there), and of
//! calls on a message of 4 KiB, each in a fresh instance.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_plugin_host::{Bundled, Config, Nowhere, PluginHost};
use maitred_policy::{Direction, HookCall, MessageFacts, Peer, Registry, SessionFacts, Verdict};

const BUNDLED: &[Bundled] = &[Bundled {
    name: maitred_bundled::PLUGINS[0].name,
    component: maitred_bundled::PLUGINS[0].octets,
    is_default: true,
}];
const CALLS: usize = 10_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // A folder that was given before has a warm cache, so that what compiling leaves in memory is not counted.
    let given = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    let state = given.unwrap_or_else(|| folder.path().join("cache"));
    let config = || Config { state: state.clone(), ..Config::default() };
    println!("before: {}", resident());
    for cache in ["first", "second"] {
        let began = Instant::now();
        let host = PluginHost::start(config(), BUNDLED, Arc::new(Nowhere)).await?;
        println!("{cache} start: {:?}, {}", began.elapsed(), resident());
        drop(host);
    }
    let host = PluginHost::start(config(), BUNDLED, Arc::new(Nowhere)).await?;
    let facts = Arc::new((session(), message()?));
    for tasks in [1, 2, 16] {
        let began = Instant::now();
        let calls: Vec<_> = (0..tasks)
            .map(|_| tokio::spawn(some_calls(Arc::clone(&host), Arc::clone(&facts), CALLS / tasks)))
            .collect();
        let mut times = Vec::with_capacity(CALLS);
        for call in calls {
            times.extend(call.await??);
        }
        times.sort();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        let rate = times.len() as f64 / began.elapsed().as_secs_f64();
        println!(
            "{tasks} tasks: p10 {:?}, median {:?}, p99 {:?}, {rate:.0} calls/s, {}",
            at(10),
            at(50),
            at(99),
            resident()
        );
    }
    Ok(())
}

async fn some_calls(
    host: Arc<PluginHost>,
    facts: Arc<(SessionFacts, MessageFacts)>,
    count: usize,
) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let outcome = host.chain().ask(&facts.0, HookCall::Message(&facts.1)).await;
        times.push(began.elapsed());
        ensure!(outcome.verdict == Verdict::Next && outcome.said.iter().all(|said| said.fault.is_none()));
    }
    Ok(times)
}

fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("client.example".to_owned()),
        tls: None,
        login: None,
        may_relay: false,
        transaction: None,
        started: Timestamp(0),
        notes: Arc::default(),
    }
}

fn message() -> Result<MessageFacts> {
    let recipients = vec![Recipient { address: Address::parse("bob@a.test")?, original: None }];
    let reverse_path = ReversePath::Address(Address::parse("alice@b.test")?);
    Ok(MessageFacts {
        id: MessageId(1),
        envelope: Envelope { reverse_path, parameters: MailParameters::default(), recipients },
        head: Bytes::from_static(
            b"Received: from a by b\r\nSubject: lunch\r\nFrom: a@b.test\r\nTo: bob@a.test\r\n",
        ),
        body: Arc::new(Bytes::from("Some words of a letter that nobody has to read.\r\n".repeat(82))),
        symbols: Vec::new(),
        tags: Vec::new(),
    })
}

/// As Linux tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
