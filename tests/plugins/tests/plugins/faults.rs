//! Faults: what a plugin does wrong costs that call, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use maitred_plugin_host::PluginConfig;
use maitred_policy::{Fault, HookCall, OnError, Outcome, Registry, Verdict};
use serde_json::json;
use tests_plugins::MISDEEDS;

use crate::world::{
    EVIL_ONE, Fake, PROBES, Room, ask, ask_from_afar, build_of_probe, fault, probe, until_async,
};

/// Whether that fault belongs to this misdeed.
pub fn is_as_expected(subject: &str, fault: Option<&Fault>) -> bool {
    match subject {
        "trap" | "stack" | "utf-8" | "length" => matches!(fault, Some(Fault::Trap(_))),
        "loop" => matches!(fault, Some(Fault::Time(_))),
        "memory" => matches!(fault, Some(Fault::Memory(_))),
        "host-calls" | "octets" | "notes" | "names" => matches!(fault, Some(Fault::Budget(_))),
        "class" | "address" | "edits" | "score" => matches!(fault, Some(Fault::Answer(_))),
        // Too long a text is cut, a text of several lines is made one, too many lines for the log are dropped: none is a fault.
        _ => fault.is_none(),
    }
}

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
    for subject in MISDEEDS {
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

/// A plugin that counts its calls outside, then fails as the subject says.
fn failing() -> PluginConfig {
    let plugin = probe(json!({
        "message:bad": ["increment:calls", "trap"], "message": ["increment:calls"], "rcpt": ["increment:calls"],
    }));
    PluginConfig { on_error: Some(OnError::Quarantine), ..plugin }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_fails_too_often_is_not_asked_and_on_error_holds() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::new();
    let host = room.start_in(vec![failing()], PROBES, world.clone()).await?;
    let is_held = |outcome: &Outcome| matches!(outcome.verdict, Verdict::Quarantine(_));
    for number in 1..=20 {
        ensure!(!host.list()[0].is_broken, "it is given up after {} calls", number - 1);
        let outcome = ask_from_afar(&host, number, "bad").await;
        ensure!(matches!(fault(&outcome), Some(Fault::Trap(_))) && is_held(&outcome), "{outcome:?}");
    }
    ensure!(host.list()[0].is_broken && host.list()[0].faults == 20, "{:?}", host.list());
    for number in 1..=10 {
        let outcome = ask_from_afar(&host, number, "fine").await;
        ensure!(fault(&outcome) == Some(&Fault::Broken) && is_held(&outcome), "{outcome:?}");
    }
    // That it was not called it tells itself.
    ensure!(world.effects().len() == 20, "{} calls", world.effects().len());
    let stats = host.stats();
    let [message] = stats.as_slice() else { bail!("{stats:?}") };
    let wanted = [("fault:breaker".to_owned(), 10), ("fault:trap".to_owned(), 20)];
    ensure!(message.calls == 30 && message.verdicts == wanted.into(), "{message:?}");
    // Where it did not fail it is asked.
    let facts = crate::world::message("hello");
    let call = HookCall::Rcpt(&facts.envelope.reverse_path, &facts.envelope.recipients[0]);
    let rcpt = host.chain().ask(&crate::world::session(), call).await;
    ensure!(fault(&rcpt).is_none() && world.effects().len() == 21, "{rcpt:?}");
    // After its pause one call is tried, and it is asked again.
    let mut asked = 0;
    until_async(async || {
        asked += 1;
        let outcome = ask_from_afar(&host, 1, "fine").await;
        fault(&outcome).is_none().then_some(())
    })
    .await?;
    ensure!(asked > 1 && !host.list()[0].is_broken, "{asked} calls, {:?}", host.list());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_is_asked_though_the_one_before_failed() -> Result<()> {
    let room = Room::new()?;
    let host = room.start_in(vec![failing()], PROBES, Fake::new()).await?;
    for number in 1..=20 {
        ask_from_afar(&host, number, "bad").await;
    }
    ensure!(host.list()[0].is_broken, "{:?}", host.list());
    host.load(Some("probe".to_owned()), &room.file("some", &build_of_probe(2))?).await?;
    ensure!(!host.list()[0].is_broken && fault(&ask(&host, "fine").await).is_none(), "{:?}", host.list());
    // And going back to what failed is going back to its pause.
    host.rollback("probe", None).await?;
    ensure!(host.list()[0].is_broken && fault(&ask(&host, "fine").await) == Some(&Fault::Broken));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_cannot_switch_a_plugin_off() -> Result<()> {
    let room = Room::new()?;
    let host = room.start_in(vec![failing()], PROBES, Fake::new()).await?;
    for _ in 0..60 {
        let outcome = ask(&host, "bad").await;
        ensure!(matches!(fault(&outcome), Some(Fault::Trap(_))), "{outcome:?}");
    }
    ensure!(!host.list()[0].is_broken && fault(&ask(&host, "fine").await).is_none(), "{:?}", host.list());
    Ok(())
}
