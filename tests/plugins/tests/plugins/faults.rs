//! Faults: what a plugin does wrong costs that call, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use maitred_plugin_host::PluginConfig;
use maitred_policy::{Fault, OnError, Verdict};

use crate::world::{EVIL_ONE, Room, ask, fault};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_does_wrong_costs_that_call_only() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = PluginConfig { on_error: Some(OnError::Tempfail), ..PluginConfig::named("evil") };
    plugin.limits.time = Duration::from_millis(300);
    let host = room.start(vec![plugin], EVIL_ONE).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..8)
        .map(|_| {
            let (host, stop) = (Arc::clone(&host), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Ordering::Relaxed) {
                    let outcome = ask(&host, "fine").await;
                    ensure!(fault(&outcome).is_none() && outcome.edits.len() == 1, "{outcome:?}");
                    answers += 1;
                }
                Ok(answers)
            })
        })
        .collect();
    let is_as_expected = |subject: &str, fault: Option<&Fault>| match subject {
        "trap" | "stack" => matches!(fault, Some(Fault::Trap(_))),
        "loop" => matches!(fault, Some(Fault::Time(_))),
        "memory" => matches!(fault, Some(Fault::Memory(_))),
        "host-calls" | "octets" | "notes" | "names" => matches!(fault, Some(Fault::Budget(_))),
        "header" | "control" | "class" | "address" | "edits" | "score" => {
            matches!(fault, Some(Fault::Answer(_)))
        }
        // Too long a text is cut, too many lines are dropped: neither is a fault.
        _ => fault.is_none(),
    };
    for subject in [
        "trap",
        "loop",
        "memory",
        "string",
        "stack",
        "host-calls",
        "octets",
        "log",
        "notes",
        "names",
        "header",
        "control",
        "class",
        "address",
        "edits",
        "score",
    ] {
        let outcome = ask(&host, subject).await;
        ensure!(is_as_expected(subject, fault(&outcome)), "{subject}: {outcome:?}");
        if fault(&outcome).is_some() {
            ensure!(
                matches!(outcome.verdict, Verdict::Tempfail(_)) && outcome.edits.is_empty(),
                "{subject}: {outcome:?}"
            );
        }
        let next = ask(&host, "fine").await;
        ensure!(fault(&next).is_none() && next.edits.len() == 1, "after {subject}: {next:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for other in others {
        ensure!(other.await?? > 100, "the others were kept waiting");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_runs_away_the_others_are_answered() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = PluginConfig::named("evil");
    plugin.limits.time = Duration::from_secs(2);
    let host = room.start(vec![plugin], EVIL_ONE).await?;
    let spinning: Vec<_> = (0..4)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { ask(&host, "loop").await })
        })
        .collect();
    // Four endless loops on two workers: these still come through, between their ticks.
    for _ in 0..50 {
        let outcome = ask(&host, "fine").await;
        ensure!(fault(&outcome).is_none(), "{outcome:?}");
    }
    ensure!(
        spinning.iter().any(|task| !task.is_finished()),
        "the loops ended before the others were answered"
    );
    for task in spinning {
        ensure!(matches!(fault(&task.await?), Some(Fault::Time(_))), "a loop did not run into its time");
    }
    Ok(())
}
