//! Canaries: a version that is obeyed for a share of the mail, and taken back by itself when it is worse than it may be.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maitred_mail::{Domain, MessageId, ReversePath};
use maitred_plugin_host::{PluginConfig, PluginHost};
use maitred_policy::{
    Budget, Chain, HookCall, MessageFacts, Outcome, Registry, Share, Trial, TrialFacts, Verdict,
};
use serde_json::json;

use crate::world::{
    Fake, PROBES, Room, address, build_of_probe, compared, fault, message, probe, recipient, session,
    session_with, trial, until,
};

fn percent(percent: u8) -> Share {
    Share { percent, ..Share::default() }
}

/// A budget that nothing is over.
fn any() -> Budget {
    Budget { calls: 10, faults: 100.0, shift: 100.0, time: 1_000.0 }
}

/// Build 2 of the probe as a canary beside build 1.
async fn canary(room: &Room, host: &PluginHost, share: Share, budget: Budget) -> Result<()> {
    let file = room.file("some", &build_of_probe(2))?;
    host.try_out(Some("probe".to_owned()), &file, Trial::Canary(share, budget)).await?;
    Ok(())
}

fn message_of(id: u64, subject: &str) -> MessageFacts {
    MessageFacts { id: MessageId(id), ..message(subject) }
}

async fn ask(host: &PluginHost, facts: &MessageFacts) -> Outcome {
    host.chain().ask(&session_with(facts), HookCall::Message(facts)).await
}

/// Which build answered, as its reason tells.
fn build(outcome: &Outcome) -> &str {
    outcome.said.first().and_then(|said| said.reason.as_deref()).unwrap_or("none")
}

/// Which version the only plugin of a chain answers with.
async fn version(chain: &Chain, facts: &MessageFacts, call: HookCall<'_>) -> Result<String> {
    let plugin = chain.of(call.hook()).next().context("nobody has that hook")?;
    Ok(plugin.call(&session_with(facts), call).await.version.to_string())
}

/// `0.1.0@` and the beginning of its digest.
fn version_of(digit: u8) -> String {
    format!("0.1.0@{}", &crate::world::digest_of(&build_of_probe(digit))[..8])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_transactions_is_the_canarys_and_always_the_same() -> Result<()> {
    let room = Room::new()?;
    let host = room
        .start(vec![probe(json!({"message@1": ["discard:1"], "message@2": ["discard:2"]}))], PROBES)
        .await?;
    canary(&room, &host, percent(25), any()).await?;
    let mut takes = Vec::new();
    for id in 1..=2_000 {
        takes.push(build(&ask(&host, &message_of(id, "hello")).await) == "2");
    }
    let count = takes.iter().filter(|is_canarys| **is_canarys).count();
    ensure!((400..=600).contains(&count), "{count} of 2,000");
    for (id, was) in (1..).zip(&takes).take(300) {
        ensure!((build(&ask(&host, &message_of(id, "hello")).await) == "2") == *was, "{id} is another's now");
    }
    // Whoever was obeyed: what is in service stands on one side, what is tried out on the other.
    let facts =
        until(|| trial(&host, "probe").ok().filter(|facts| facts.compared + facts.skipped == 2_300)).await?;
    ensure!(facts.differences.len() == 1 && facts.differing == facts.compared, "{facts:?}");
    let seen = &facts.differences[0];
    ensure!(seen.was == "discard 1" && seen.would == "discard 2" && seen.count == facts.compared, "{seen:?}");
    for (share, wanted) in [(0, "1"), (100, "2")] {
        canary(&room, &host, percent(share), any()).await?;
        for id in 1..=50 {
            let outcome = ask(&host, &message_of(id, "hello")).await;
            ensure!(build(&outcome) == wanted, "{share} %: {outcome:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_has_one_version_at_all_its_hooks() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(vec![probe(json!({}))], PROBES).await?;
    canary(&room, &host, percent(50), any()).await?;
    let chain = host.chain();
    let mut seen = [0, 0];
    for id in 1..=60 {
        let facts = message_of(id, "hello");
        let path = &facts.envelope.reverse_path;
        let to = &facts.envelope.recipients[0];
        let domain = Domain::parse("b.test")?;
        let mut versions = Vec::new();
        for call in [
            HookCall::Mail(path),
            HookCall::Resolve(path, &to.address),
            HookCall::Rcpt(path, to),
            HookCall::Headers(&facts),
            HookCall::Message(&facts),
            HookCall::Deliver(&facts, to, &to.address),
            HookCall::Route(&facts, &domain, &[]),
        ] {
            versions.push(version(&chain, &facts, call).await?);
        }
        // An attempt later has no session of that transaction any more.
        let plugin = chain.of(maitred_policy::Hook::Route).next().context("no route hook")?;
        let later = plugin.call(&session(), HookCall::Route(&facts, &domain, &[])).await;
        versions.push(later.version.to_string());
        ensure!(versions.iter().all(|version| *version == versions[0]), "{id}: {versions:?}");
        seen[usize::from(versions[0] == version_of(2))] += 1;
    }
    ensure!(seen.iter().all(|count| *count > 10), "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_domains_and_accounts_are_the_canarys_and_nobody_else() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(vec![probe(json!({}))], PROBES).await?;
    let share =
        Share { percent: 0, domains: vec!["c.test".to_owned()], accounts: vec!["carol@a.test".to_owned()] };
    canary(&room, &host, share, any()).await?;
    let chain = host.chain();
    for (id, (from, to, is_canarys)) in (1..).zip([
        ("alice@b.test", "bob@a.test", false),
        ("alice@c.test", "bob@a.test", true),
        ("Alice@C.Test", "bob@a.test", true),
        ("alice@b.test", "x@c.test", true),
        ("alice@sub.c.test", "bob@a.test", false),
        ("alice@b.test", "carol@a.test", true),
        ("Carol@a.test", "bob@a.test", true),
        ("carol@b.test", "bob@a.test", false),
        ("", "bob@a.test", false),
        ("", "carol@a.test", true),
    ]) {
        let mut facts = message_of(id, "hello");
        let envelope = Arc::make_mut(&mut facts.envelope);
        envelope.reverse_path =
            if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
        envelope.recipients = vec![recipient("dave@a.test"), recipient(to)];
        let wanted = version_of(if is_canarys { 2 } else { 1 });
        let path = &facts.envelope.reverse_path;
        for call in [
            HookCall::Rcpt(path, &facts.envelope.recipients[1]),
            HookCall::Headers(&facts),
            HookCall::Message(&facts),
            HookCall::Route(&facts, &Domain::parse("d.test")?, &[]),
        ] {
            let hook = call.hook();
            let is = version(&chain, &facts, call).await?;
            ensure!(is == wanted, "{from} to {to} at {hook:?}: {is}, not {wanted}");
        }
    }
    Ok(())
}

/// Asks about messages one after the other until the canary is taken back; answers after how many, and what is told of it.
async fn taken_back(
    host: &PluginHost,
    subject: impl Fn(u64) -> &'static str,
) -> Result<(u64, TrialFacts, Vec<Outcome>)> {
    let mut outcomes = Vec::new();
    for id in 1..=200 {
        outcomes.push(ask(host, &message_of(id, subject(id))).await);
        // A canary that failed is not compared.
        let facts = until(|| {
            let facts = trial(host, "probe").ok()?;
            (facts.compared + facts.faults >= id || facts.ended.is_some()).then_some(facts)
        })
        .await?;
        if facts.ended.is_some() {
            return Ok((id, facts, outcomes));
        }
    }
    bail!("it was not taken back: {:?}", trial(host, "probe")?)
}

/// From now on the version in service is obeyed, after a restart, too.
async fn is_back(room: &Room, host: Arc<PluginHost>, plugin: PluginConfig, why: &str) -> Result<()> {
    for id in 300..320 {
        let outcome = ask(&host, &message_of(id, "plain")).await;
        ensure!(build(&outcome) == "1", "it is still obeyed: {outcome:?}");
    }
    drop(host);
    let host = room.start(vec![plugin], PROBES).await?;
    let outcome = ask(&host, &message_of(1, "plain")).await;
    ensure!(build(&outcome) == "1", "it is obeyed again after a restart: {outcome:?}");
    let facts = trial(&host, "probe")?;
    ensure!(facts.ended.as_deref() == Some(why), "{facts:?}");
    // Who wants it tried again says so.
    canary(room, &host, percent(100), any()).await?;
    let outcome = ask(&host, &message_of(1, "plain")).await;
    ensure!(build(&outcome) == "2", "it is not tried again: {outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_shifts_verdicts_is_taken_back_at_its_20th_call() -> Result<()> {
    let room = Room::new()?;
    let plugin = probe(json!({
        "message@1": ["discard:1"], "message@2": ["discard:2"], "message:same": ["discard:1"],
    }));
    let host = room.start(vec![plugin.clone()], PROBES).await?;
    // Two of 19 would be too many already, but fewer than 20 say nothing.
    canary(&room, &host, percent(100), Budget { calls: 20, shift: 10.0, ..any() }).await?;
    let shifted = |id| if [3, 9, 17].contains(&id) { "plain" } else { "same" };
    let (calls, facts, _) = taken_back(&host, shifted).await?;
    ensure!(calls == 20 && (facts.compared, facts.differing) == (20, 3), "after {calls}: {facts:?}");
    let why = facts.ended.context("why")?;
    ensure!(why == "3 of 20 verdicts are others, more than 10 %", "{why}");
    is_back(&room, host, plugin, &why).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_shifts_as_much_as_it_may_is_kept_and_one_more_is_too_much() -> Result<()> {
    let room = Room::new()?;
    let plugin =
        probe(json!({"message@1": ["discard:1"], "message@2": ["discard:2"], "message:same": ["discard:1"]}));
    let host = room.start(vec![plugin], PROBES).await?;
    canary(&room, &host, percent(100), Budget { calls: 20, shift: 10.0, ..any() }).await?;
    // Two of 20 is as much as it may; the third is one of 23.
    let shifted = |id| if [3, 9, 23].contains(&id) { "plain" } else { "same" };
    let (calls, facts, _) = taken_back(&host, shifted).await?;
    ensure!(calls == 23 && (facts.compared, facts.differing) == (23, 3), "after {calls}: {facts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_is_taken_back_at_its_20th_call_and_no_verdict_is_lost() -> Result<()> {
    let room = Room::new()?;
    let plugin = PluginConfig {
        on_error: Some(maitred_policy::OnError::Reject),
        ..probe(json!({"message": ["discard:1"], "message:bad@2": ["trap"]}))
    };
    let host = room.start(vec![plugin.clone()], PROBES).await?;
    canary(&room, &host, percent(100), Budget { calls: 20, faults: 2.0, ..any() }).await?;
    let (calls, facts, outcomes) = taken_back(&host, |id| if id == 7 { "bad" } else { "plain" }).await?;
    ensure!(calls == 20 && facts.faults == 1, "after {calls}: {facts:?}");
    let why = facts.ended.context("why")?;
    ensure!(why == "1 of 20 calls failed, more than 2 %", "{why}");
    for (id, outcome) in (1..).zip(&outcomes) {
        ensure!(outcome.verdict == Verdict::Discard("1".to_owned()), "{id}: {outcome:?}");
        ensure!(fault(outcome).is_none(), "{id}: {outcome:?}");
        let wanted = version_of(if id == 7 { 1 } else { 2 });
        ensure!(*outcome.said[0].version == *wanted, "{id}: {outcome:?}");
    }
    drop(host);
    let host = room.start(vec![plugin], PROBES).await?;
    let outcome = ask(&host, &message_of(1, "plain")).await;
    ensure!(*outcome.said[0].version == *version_of(1), "it is obeyed again after a restart: {outcome:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_is_slow_is_taken_back_at_its_20th_call() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = probe(json!({"message@1": ["discard:1"], "message@2": ["work:40000", "discard:1"]}));
    plugin.limits.time = Duration::from_secs(10);
    let host = room.start(vec![plugin], PROBES).await?;
    canary(&room, &host, percent(100), Budget { calls: 20, time: 3.0, ..any() }).await?;
    let (calls, facts, _) = taken_back(&host, |_| "plain").await?;
    ensure!(calls == 20 && (facts.differing, facts.faults) == (0, 0), "after {calls}: {facts:?}");
    let why = facts.ended.context("why")?;
    ensure!(why.starts_with("half of its calls take"), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_canary_fails_and_is_taken_back_every_call_has_its_verdict() -> Result<()> {
    let room = Room::new()?;
    let host = room
        .start(vec![probe(json!({"message@1": ["discard:1"], "message@2": ["work:200", "trap"]}))], PROBES)
        .await?;
    for _ in 0..5 {
        canary(&room, &host, percent(100), Budget { calls: 10, faults: 2.0, ..any() }).await?;
        let callers: Vec<_> = (0..16)
            .map(|caller| {
                let host = Arc::clone(&host);
                tokio::spawn(async move {
                    for number in 0..25 {
                        let outcome = ask(&host, &message_of(caller * 100 + number, "hello")).await;
                        ensure!(build(&outcome) == "1" && fault(&outcome).is_none(), "{outcome:?}");
                    }
                    Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        let facts = trial(&host, "probe")?;
        ensure!(facts.ended.is_some() && facts.faults >= 10, "{facts:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_canary_changes_counts_and_what_is_compared_with_it_is_void() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::new();
    let scripts = json!({"message@1": ["increment:one"], "message@2": ["increment:two"]});
    let host = room.start_in(vec![probe(scripts)], PROBES, world.clone()).await?;
    canary(&room, &host, percent(100), any()).await?;
    for id in 1..=10 {
        ask(&host, &message_of(id, "hello")).await;
    }
    let facts = compared(&host, "probe", 10).await?;
    ensure!(world.value("probe", "two")?.as_deref() == Some("10"), "{:?}", world.asked());
    ensure!(world.value("probe", "one")?.is_none(), "{:?}", world.asked());
    ensure!(world.effects().len() == 10, "{:?}", world.effects());
    ensure!(facts.ended.is_none(), "{facts:?}");
    Ok(())
}
