//! What policy costs, side by side in one run: `cargo run --release --example bench -p tests-plugins`.
//!
//! Calls of plugins on messages of 4 and 100 KiB, alone and from 16 tasks: each in a fresh instance, as mail has it, and in one that
//! is kept, which no mail has; so the difference is what it costs that nothing lasts from call to call; and an answer that still holds, for
//! which there is no call. Beside them a milter-shaped
//! conversation and an HTTP hook that carries the message, both over loopback with a server that does nothing else; how soon a
//! runaway plugin is stopped; what a swap from the cache takes, and what calls take meanwhile. Each is measured in turns with the
//! others, so that what else the machine does falls on all of them.

mod elsewhere;
mod table;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use maitred_mail::mime::{Limits, StructureBuilder};
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_plugin_host::{Bundled, Config, Kept, Nowhere, PluginConfig, PluginHost};
use maitred_policy::{Chain, Direction, HookCall, MessageFacts, Peer, Registry, SessionFacts};
use tests_plugins::{EVIL, LIGHT};

use crate::elsewhere::{Http, Milter, http_server, milter_server, serve};
use crate::table::{Row, Target};

const ROUNDS: usize = 40;
const CALLS: usize = 100;
const SWAPS: usize = 50;
const LINE: &[u8] = b"Some words of a letter that nobody has to read.\r\n";
const BEYOND_ASCII: &str = "Einige Wörter eines Briefs, die niemand lesen muß.\r\n";

type Facts = Arc<(SessionFacts, MessageFacts)>;

/// A plugin that is measured.
struct Case {
    name: &'static str,
    plugin: &'static str,
    host: Arc<PluginHost>,
    /// Of the median on the small message, and of messages a second.
    targets: [Option<Target>; 2],
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cases = cases(folder.path()).await?;
    println!("{ROUNDS} rounds of {CALLS} calls, in turns");
    for octets in [4 << 10, 100 << 10] {
        calls(&cases, octets).await?;
    }
    runaway(folder.path()).await?;
    swap(folder.path()).await
}

async fn cases(folder: &Path) -> Result<Vec<Case>> {
    let real = serde_json::json!({"rules": [
        {"name": "a", "when": {"subject": r"regex:(?i)\b(casino|lottery|viagra)\b"}, "action": "refuse"},
        {"name": "b", "when": {"content": r"regex:(?i)wire\s+transfer|urgent\s+reply"}, "action": "quarantine"},
        {"name": "c", "when": {"sender": r"regex:^bounce-[0-9]+@", "larger": 1_000_000}, "action": "tag"},
    ]});
    let rules = component("rules")?;
    let of = [
        ("empty plugin", "light", LIGHT, serde_json::json!({}), [None, None]),
        (
            "small plugin, three calls of the host",
            "light",
            LIGHT,
            serde_json::json!({"asks": true}),
            [Some(Target::AtMost(30.0)), Some(Target::AtLeast(15_000.0))],
        ),
        ("rules, built-in", "rules", rules, serde_json::json!({}), [None, None]),
        ("rules, regular expressions", "rules", rules, real, [Some(Target::AtMost(90.0)), None]),
    ];
    let mut cases = Vec::new();
    for (name, plugin, component, config, targets) in of {
        cases.push(Case { name, plugin, host: host(folder, plugin, component, config).await?, targets });
    }
    Ok(cases)
}

/// One at a time, then from 16 tasks.
async fn calls(cases: &[Case], octets: usize) -> Result<()> {
    let facts = Arc::new((session(), message(octets, LINE)?));
    let beyond = Arc::new((session(), message(octets, BEYOND_ASCII.as_bytes())?));
    let whole = Arc::new((session(), taken_apart(message(octets, LINE)?).await?));
    let is_small = octets <= 4 << 10;
    let mut rows = Vec::new();
    for case in cases {
        rows.push(Row::new(case.name).with(case.targets[0].filter(|_| is_small)));
        rows.push(Row::new("  the same, in an instance that is kept"));
    }
    let last = rows.len();
    rows.extend(
        [
            "  the same, a text beyond ASCII",
            "rules, built-in, whose answer holds",
            "milter-shaped conversation",
            "HTTP hook",
        ]
        .map(Row::new),
    );
    let (mut milter, mut http) =
        (Milter::connect(serve(milter_server)?)?, Http::connect(serve(http_server)?)?);
    let mut kept = Vec::new();
    for case in cases {
        kept.push(Kept::of(&case.host, case.plugin).await.map_err(anyhow::Error::msg)?);
    }
    for _ in 0..ROUNDS {
        for (at, (case, kept)) in cases.iter().zip(&mut kept).enumerate() {
            let chain = case.host.chain();
            for _ in 0..CALLS {
                rows[2 * at].times.push(timed(ask(&chain, &facts)).await?);
            }
            for _ in 0..CALLS {
                rows[2 * at + 1].times.push(timed(ask_kept(kept, &facts)).await?);
            }
        }
        let chain = cases.last().context("a case")?.host.chain();
        for _ in 0..CALLS {
            rows[last].times.push(timed(ask(&chain, &beyond)).await?);
        }
        let chain = cases.get(2).context("a case")?.host.chain();
        for _ in 0..CALLS {
            rows[last + 1].times.push(timed(ask(&chain, &whole)).await?);
        }
        for _ in 0..CALLS / 5 {
            let text = body(octets, LINE);
            rows[last + 2].times.push(timed(async { milter.message(&facts.1.head, &text) }).await?);
            rows[last + 3].times.push(timed(async { http.message(&facts.1.head, &text) }).await?);
        }
    }
    table::print(&format!("message of {} KiB, one at a time", octets >> 10), &mut rows);
    let mut rows = Vec::new();
    for case in cases {
        rows.push(from_tasks(&case.host, &facts, 16, Row::new(case.name).with(case.targets[1])).await?);
    }
    table::print(&format!("message of {} KiB, from 16 tasks", octets >> 10), &mut rows);
    Ok(())
}

/// As a message is that came by SMTP. Without that no answer of `rules` holds: the others are calls, each of them.
async fn taken_apart(message: MessageFacts) -> Result<MessageFacts> {
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(&message.head);
    builder.push(b"\r\n");
    builder.push(&message.body.read(0, usize::MAX).await?);
    Ok(MessageFacts { structure: Some(Arc::new(builder.finish())), ..message })
}

async fn ask(chain: &Chain, facts: &(SessionFacts, MessageFacts)) -> Result<()> {
    let outcome = chain.ask(&facts.0, HookCall::Message(&facts.1)).await;
    ensure!(outcome.said.iter().all(|said| said.fault.is_none()), "{:?}", outcome.said);
    Ok(())
}

async fn ask_kept(kept: &mut Kept, facts: &(SessionFacts, MessageFacts)) -> Result<()> {
    kept.ask(&facts.0, HookCall::Message(&facts.1)).await.map(drop).map_err(anyhow::Error::msg)
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed())
}

async fn from_tasks(host: &Arc<PluginHost>, facts: &Facts, tasks: usize, mut row: Row) -> Result<Row> {
    let began = Instant::now();
    let calls: Vec<_> = (0..tasks)
        .map(|_| {
            let (host, facts) = (Arc::clone(host), Arc::clone(facts));
            tokio::spawn(async move {
                let chain = host.chain();
                let mut times = Vec::new();
                for _ in 0..ROUNDS * CALLS / 4 {
                    times.push(timed(ask(&chain, &facts)).await?);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    for call in calls {
        row.times.extend(call.await??);
    }
    row.rate = Some(row.times.len() as f64 / began.elapsed().as_secs_f64());
    Ok(row)
}

/// A plugin that never ends, with 50 ms.
async fn runaway(folder: &Path) -> Result<()> {
    let mut plugin = PluginConfig::named("evil");
    plugin.limits.time = Duration::from_millis(50);
    // Loaded anew for each call: one that fails so often is not asked any more.
    let mut late = Row::new("a runaway plugin, after its 50 ms");
    for _ in 0..15 {
        let host = start(folder, vec![plugin.clone()], Box::leak(Box::new([bundled("evil", EVIL)]))).await?;
        let looping =
            MessageFacts { head: Bytes::from_static(b"Subject: loop\r\n"), ..message(1 << 10, LINE)? };
        let began = Instant::now();
        let outcome = host.chain().ask(&session(), HookCall::Message(&looping)).await;
        let fault = outcome.said.first().and_then(|said| said.fault.clone());
        ensure!(matches!(fault, Some(maitred_policy::Fault::Time(_))), "{fault:?}");
        late.times.push(began.elapsed().saturating_sub(Duration::from_millis(50)));
    }
    table::print("stopping", &mut [late]);
    Ok(())
}

/// From one version to the other and back, both compiled before; and what calls take meanwhile, beside as many without.
async fn swap(folder: &Path) -> Result<()> {
    let state = folder.join("swaps");
    let config = Config { directory: Some(state.join("plugins")), state: state.clone(), plugins: Vec::new() };
    let host = PluginHost::start(config, &[], Arc::new(Nowhere)).await?;
    let mut files = Vec::new();
    for (name, octets) in [("one", component("demo-filter")?), ("other", LIGHT)] {
        let file = folder.join(name).with_extension("wasm");
        std::fs::write(&file, octets)?;
        host.load(Some("filter".to_owned()), &file).await?;
        files.push(file);
    }
    let facts = (session(), message(4 << 10, LINE)?);
    let [mut swaps, mut rollbacks, mut during, mut without] = [
        "a swap from the cache, synced to disk",
        "a rollback, synced to disk",
        "a call while versions are swapped",
        "a call while they are not",
    ]
    .map(Row::new);
    for round in 0..SWAPS {
        let (swapped, file) = (Arc::clone(&host), files.get(round % 2).context("a file")?.clone());
        let swap = tokio::spawn(async move {
            let began = Instant::now();
            swapped.load(Some("filter".to_owned()), &file).await?;
            anyhow::Ok(began.elapsed())
        });
        let before = during.times.len();
        while !swap.is_finished() {
            during.times.push(timed(ask(&host.chain(), &facts)).await?);
        }
        for _ in before..during.times.len() {
            without.times.push(timed(ask(&host.chain(), &facts)).await?);
        }
        swaps.times.push(swap.await??);
    }
    for _ in 0..SWAPS {
        let began = Instant::now();
        host.rollback("filter", None).await?;
        rollbacks.times.push(began.elapsed());
    }
    table::print(&format!("{SWAPS} swaps while mail flows"), &mut [swaps, rollbacks, during, without]);
    Ok(())
}

fn bundled(name: &'static str, component: &'static [u8]) -> Bundled {
    Bundled { name, component, is_default: true }
}

fn component(name: &str) -> Result<&'static [u8]> {
    let mut all = maitred_bundled::PLUGINS.iter().chain(maitred_bundled::DEMO);
    Ok(all.find(|component| component.name == name).context("a bundled component")?.octets)
}

async fn host(
    folder: &Path,
    name: &'static str,
    component: &'static [u8],
    config: serde_json::Value,
) -> Result<Arc<PluginHost>> {
    let plugin = PluginConfig { config, ..PluginConfig::named(name) };
    start(folder, vec![plugin], Box::leak(Box::new([bundled(name, component)]))).await
}

async fn start(
    folder: &Path,
    plugins: Vec<PluginConfig>,
    bundled: &'static [Bundled],
) -> Result<Arc<PluginHost>> {
    let config = Config { directory: None, state: folder.join("state"), plugins };
    Ok(PluginHost::start(config, bundled, Arc::new(Nowhere)).await?)
}

fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("client.example".to_owned()),
        ..SessionFacts::internal(Timestamp(0))
    }
}

fn body(octets: usize, line: &[u8]) -> Vec<u8> {
    line.iter().copied().cycle().take(octets).collect()
}

/// With a text of so many octets.
fn message(octets: usize, line: &[u8]) -> Result<MessageFacts> {
    let recipients = vec![Recipient { address: Address::parse("bob@a.test")?, original: None }];
    let reverse_path = ReversePath::Address(Address::parse("alice@b.test")?);
    let mut head = "Received: from a by b; Thu, 01 Jan 1970 00:00:00 +0000\r\nSubject: lunch\r\nFrom: a@b.test\r\nTo: bob@a.test\r\n".to_owned();
    for number in 0..16 {
        head.push_str(&format!("X-Field-{number}: a value as fields have\r\n"));
    }
    Ok(MessageFacts {
        id: MessageId(1),
        envelope: Arc::new(Envelope { reverse_path, parameters: MailParameters::default(), recipients }),
        head: head.into(),
        body: Arc::new(Bytes::from(body(octets, line))),
        structure: None,
        original: None,
        symbols: Vec::new(),
        tags: Vec::new(),
    })
}
