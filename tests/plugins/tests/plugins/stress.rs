//! Many swaps, many bad calls: nothing is lost, nothing is mixed up, nothing is left behind.
//!
//! A tenth of it here; all of it with `MAITRED_SWAPS=50 MAITRED_SWAP_CALLS=100000 MAITRED_BAD_CALLS=100000`.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use maitred_mail::MessageId;
use maitred_plugin_host::{Bundled, PluginConfig, PluginHost};
use maitred_policy::{Chain, Fault, Hook, HookCall, MessageFacts, Plugin, Registry};
use serde_json::json;
use tests_plugins::{EVIL, MISDEEDS};
use tokio::sync::watch;

use crate::faults::is_as_expected;
use crate::world::{Room, build_of_probe, digest_of, granted, message, probe, session, session_with};

/// A number that the environment may say.
fn amount(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
        Err(_) => Ok(otherwise),
    }
}

/// One transaction at four hooks of one chain; answers which version it had.
async fn transaction(chain: &Chain, id: u64) -> Result<String> {
    let facts = MessageFacts { id: MessageId(id), ..message("hello") };
    let session = session_with(&facts);
    let path = &facts.envelope.reverse_path;
    let mut version = None;
    for call in [
        HookCall::Mail(path),
        HookCall::Rcpt(path, &facts.envelope.recipients[0]),
        HookCall::Headers(&facts),
        HookCall::Message(&facts),
    ] {
        let plugin = chain.of(call.hook()).next().context("nobody has that hook")?;
        let called = plugin.call(&session, call).await;
        ensure!(called.answer.is_ok(), "{called:?}");
        let known = version.get_or_insert_with(|| called.version.to_string());
        ensure!(*known == *called.version, "{known} and {} in one transaction", called.version);
    }
    version.context("no version")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_during_calls_of_fifty_tasks_fail_no_call_and_mix_no_versions() -> Result<()> {
    let (swaps, calls) = (amount("MAITRED_SWAPS", 5)?, amount("MAITRED_SWAP_CALLS", 10_000)?);
    let room = Room::new()?;
    let mut plugin = probe(json!({"message": ["tag:a=b"], "rcpt": ["told"]}));
    // How busy the machine is shall fail nothing here.
    plugin.limits.time = Duration::from_secs(30);
    let host = room
        .start(vec![PluginConfig { path: Some(room.file("first", &build_of_probe(0))?), ..plugin }], &[])
        .await?;
    let builds: Vec<Vec<u8>> = (1..=3).map(build_of_probe).collect();
    let made = Arc::new(watch::Sender::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..50)
        .map(|caller| {
            let (host, made, stop) = (Arc::clone(&host), Arc::clone(&made), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut versions = BTreeSet::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let called = transaction(&host.chain(), caller * 1_000_000 + number).await;
                    // Nobody waits for more of those who failed.
                    made.send_modify(|made: &mut u64| {
                        *made = if called.is_ok() { *made + 4 } else { u64::MAX / 2 }
                    });
                    versions.insert(called?);
                }
                anyhow::Ok(versions)
            })
        })
        .collect();
    let mut progress = made.subscribe();
    for swap in 0..swaps {
        // Calls between all of them.
        let target = calls * swap / swaps;
        progress.wait_for(|made| *made >= target).await?;
        let build = &builds[swap as usize % builds.len()];
        let facts = host.load(Some("probe".to_owned()), &room.file("next", build)?).await?;
        ensure!(facts.digest == digest_of(build), "{facts:?}");
    }
    progress.wait_for(|made| *made >= calls).await?;
    stop.store(true, Ordering::Relaxed);
    let mut versions = BTreeSet::new();
    for caller in callers {
        versions.extend(caller.await??);
    }
    // The first, and every one that came after it.
    ensure!(versions.len() as u64 == 1 + swaps.min(3), "{versions:?}");
    Ok(())
}

const BOTH: &[Bundled] = &[
    Bundled { name: "bad", component: EVIL, is_default: false },
    Bundled { name: "good", component: EVIL, is_default: false },
];
/// Says that this process was started to have its memory to itself.
const CHILD: &str = "MAITRED_BAD_CALLS_CHILD";

#[test]
fn bad_calls_of_every_kind_leave_nothing_behind() -> Result<()> {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(bad_calls());
    }
    // What other tests of this process do with memory would be counted, too.
    let mut child = Command::new(std::env::current_exe()?);
    child
        .args(["--exact", "stress::bad_calls_of_every_kind_leave_nothing_behind", "--nocapture"])
        .env(CHILD, "1");
    let output = child.output()?;
    let (told, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success() && told.contains("1 passed"), "{told}\n{why}");
    println!("{why}");
    Ok(())
}

async fn bad_calls() -> Result<()> {
    let calls = amount("MAITRED_BAD_CALLS", 2_000)?;
    let room = Room::new()?;
    let mut bad = PluginConfig { grants: granted(&[]), ..PluginConfig::named("bad") };
    bad.limits.time = Duration::from_millis(50);
    // As much as the longest log takes.
    bad.limits.octets = 26 << 20;
    let mut good = PluginConfig::named("good");
    good.limits.time = Duration::from_secs(30);
    let host = room.start(vec![bad, good], BOTH).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let answering = tokio::spawn(good_calls(Arc::clone(&host), Arc::clone(&stop)));
    // A first fifth makes what is made once; then memory is level.
    some_bad_calls(&host, calls / 5).await?;
    let before = resident()?;
    some_bad_calls(&host, calls - calls / 5).await?;
    let after = resident()?;
    stop.store(true, Ordering::Relaxed);
    let answered = answering.await??;
    eprintln!("{calls} bad calls: {before} KiB, then {after} KiB; {answered} good calls meanwhile");
    ensure!(answered > calls / 100, "{answered} good calls");
    ensure!(after < before + before / 10 + (48 << 10), "{before} KiB became {after} KiB");
    Ok(())
}

/// All kinds by turns, from eight tasks.
async fn some_bad_calls(host: &Arc<PluginHost>, calls: u64) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (host, next) = (Arc::clone(host), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return anyhow::Ok(());
                    }
                    let subject = MISDEEDS[number as usize % MISDEEDS.len()];
                    let fault = call(&host, "bad", subject).await?.err();
                    // Of a busy machine's fifty milliseconds anything may be one too much.
                    let is_late = matches!(fault, Some(Fault::Time(_) | Fault::Busy(_)));
                    ensure!(is_late || is_as_expected(subject, fault.as_ref()), "{subject}: {fault:?}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

async fn good_calls(host: Arc<PluginHost>, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        call(&host, "good", "fine").await??;
        answered += 1;
    }
    Ok(answered)
}

async fn call(
    host: &PluginHost,
    name: &str,
    subject: &str,
) -> Result<std::result::Result<maitred_policy::Answer, Fault>> {
    let chain = host.chain();
    let plugin = chain.of(Hook::Message).find(|plugin| plugin.name() == name).context("it is not there")?;
    Ok(Plugin::call(plugin.as_ref(), &session(), HookCall::Message(&message(subject))).await.answer)
}

/// KiB of this process in memory, as Linux tells it.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
