//! Answers that hold for a while: who gets them without a call, and who does not.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use maitred_mail::ReversePath;
use maitred_plugin_host::PluginHost;
use maitred_policy::{Answer, Hook, HookCall, HookStats, Outcome, Registry, Trial};
use serde_json::json;

use crate::world::{
    PROBES, Room, address, ask, ask_from_afar, build_of_probe, compared, found, message, probe, recipient,
    session,
};

fn stats(host: &PluginHost, hook: Hook) -> Result<HookStats> {
    host.stats().into_iter().find(|stats| stats.hook == hook && stats.mode == "enforce").context("no calls")
}

/// Calls, and answers without one.
fn counted(host: &PluginHost) -> Result<(u64, u64)> {
    stats(host, Hook::Message).map(|stats| (stats.calls, stats.fresh))
}

/// By its answer one tells whether it was asked.
async fn start(room: &Room, terms: &[&str], script: &[&str]) -> Result<Arc<PluginHost>> {
    let terms: Vec<String> = terms.iter().map(|term| format!("term:{term}")).collect();
    let script = [&["random"], script].concat();
    let scripts = json!({ "freshness": terms, "message": script });
    room.start(vec![probe(scripts)], PROBES).await
}

fn is_same(one: &Outcome, other: &Outcome) -> bool {
    !found(one).is_empty() && found(one) == found(other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_the_same_in_what_it_was_made_of_gets_an_answer_without_a_call() -> Result<()> {
    let room = Room::new()?;
    let host = start(
        &room,
        &["60=remote-network 8 8,header Subject"],
        &["by-term:0", "header:X-A=b", "quarantine:odd"],
    )
    .await?;
    let first = ask(&host, "one").await;
    let again = ask(&host, "one").await;
    ensure!(is_same(&first, &again) && first.verdict == again.verdict, "{first:?} {again:?}");
    ensure!(first.edits == again.edits && first.edits.len() == 3, "{first:?} {again:?}");
    ensure!(again.said.iter().all(|said| said.plugin == "probe" && said.fault.is_none()), "{again:?}");
    for other in [ask(&host, "two").await, ask_from_afar(&host, 7, "one").await] {
        ensure!(!is_same(&first, &other), "{other:?}");
    }
    ensure!(counted(&host)? == (3, 1), "{:?}", host.stats());
    // What is rehearsed is asked.
    let chain = host.chain();
    let plugin = chain.of(Hook::Message).next().context("no plugin")?;
    let (session, facts) = (session(), message("one"));
    let rehearsed = plugin.rehearse(&session, HookCall::Message(&facts)).await.answer?;
    let Answer::Filter(rehearsed) = rehearsed else { bail!("{rehearsed:?}") };
    ensure!(rehearsed.edits.len() == first.edits.len() && rehearsed.edits != first.edits, "{rehearsed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_which_nothing_was_said_holds_for_one_call() -> Result<()> {
    for (terms, script) in [
        (&["60=header Subject"][..], &["tag:a=b"][..]),
        (&["0=header Subject"], &["by-term:0"]),
        (&["60=header Subject"], &["by-term:1"]),
        (&["60=header Subject"], &["by-term:0", "by-term:7"]),
        (&[], &["by-term:0"]),
    ] {
        let room = Room::new()?;
        let host = start(&room, terms, script).await?;
        let (first, again) = (ask(&host, "one").await, ask(&host, "one").await);
        ensure!(!is_same(&first, &again), "{terms:?} {script:?}: {again:?}");
        ensure!(counted(&host)? == (2, 0), "{terms:?} {script:?}: {:?}", host.stats());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_recipient_is_a_question_of_its_own() -> Result<()> {
    let room = Room::new()?;
    let scripts = json!({
        "freshness": ["term:1=helo", "term:60=remote-network 24 64,sender,recipients"], "rcpt": ["random", "by-term:1"],
    });
    let host = room.start(vec![probe(scripts)], PROBES).await?;
    let rcpt = async |ip: [u8; 4], from: &str, to: &str| {
        let mut session = session();
        session.peer.remote.set_ip(ip.into());
        let path = ReversePath::Address(address(from));
        host.chain().ask(&session, HookCall::Rcpt(&path, &recipient(to))).await
    };
    let first = rcpt([192, 0, 2, 1], "alice@b.test", "bob@a.test").await;
    ensure!(
        is_same(&first, &rcpt([192, 0, 2, 9], "alice@b.test", "bob@a.test").await),
        "its neighbour is asked about"
    );
    for (ip, from, to) in [
        ([192, 0, 3, 1], "alice@b.test", "bob@a.test"),
        ([192, 0, 2, 1], "eve@b.test", "bob@a.test"),
        ([192, 0, 2, 1], "alice@b.test", "carol@a.test"),
    ] {
        ensure!(!is_same(&first, &rcpt(ip, from, to).await), "{ip:?} {from} {to}");
    }
    ensure!(stats(&host, Hook::Rcpt)?.fresh == 1, "{:?}", host.stats());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_answers_for_itself() -> Result<()> {
    let room = Room::new()?;
    let host = start(&room, &["60=header Subject"], &["by-term:0"]).await?;
    let first = ask(&host, "one").await;
    host.load(Some("probe".to_owned()), &room.file("next", &build_of_probe(2))?).await?;
    let second = ask(&host, "one").await;
    ensure!(!is_same(&first, &second), "{second:?}");
    ensure!(is_same(&second, &ask(&host, "one").await), "the new version is asked again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_recorded_or_tried_out_is_asked_each_time() -> Result<()> {
    let room = Room::new()?;
    let host = start(&room, &["60=header Subject"], &["by-term:0"]).await?;
    let first = ask(&host, "one").await;
    host.record("probe", Some(1 << 20)).await?;
    ensure!(!is_same(&first, &ask(&host, "one").await), "it is recorded, and not asked");
    host.record("probe", None).await?;
    ensure!(is_same(&first, &ask(&host, "one").await), "it is recorded no longer");
    let file = room.file("some", &build_of_probe(2))?;
    host.try_out(Some("probe".to_owned()), &file, Trial::Shadow).await?;
    for number in 1..=3 {
        ensure!(!is_same(&first, &ask(&host, "one").await), "it has a shadow, and is not asked");
        compared(&host, "probe", number).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_has_no_others_refused_or_filed_away() -> Result<()> {
    for (script, is_kept) in [
        (&["accept", "header:X-A=b", "tag:a=b"][..], true),
        (&["reject:no"], false),
        (&["quarantine:odd"], false),
        (&["symbol:S=9.5"], false),
    ] {
        for (facts, is_of_client) in [("sender", false), ("sender,remote-ip", true)] {
            let room = Room::new()?;
            let host = start(&room, &[&format!("60={facts}")], &[&["by-term:0"], script].concat()).await?;
            ask(&host, "one").await;
            ask(&host, "one").await;
            let fresh = u64::from(is_kept || is_of_client);
            ensure!(counted(&host)? == (2 - fresh, fresh), "{script:?} {facts}: {:?}", host.stats());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_without_end_stop_the_load() -> Result<()> {
    let room = Room::new()?;
    let refused = async |terms: Vec<String>| {
        let scripts = json!({ "freshness": terms, "message": ["by-term:0"] });
        let outcome = room.start(vec![probe(scripts)], PROBES).await;
        outcome.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let many = vec!["term:60=helo".to_owned(); 17];
    let facts = vec![format!("term:60={}", vec!["helo"; 65].join(","))];
    let long = vec![format!("term:60=header {}", "x".repeat(1_025))];
    for (terms, told) in
        [(many, "17 terms, where 16"), (facts, "65 facts, where 64"), (long, "1025 octets, where 1024")]
    {
        let said = refused(terms).await;
        ensure!(said.contains("freshness: ") && said.contains(told), "{said}");
    }
    ensure!(refused(vec!["term:60=helo".to_owned(); 16]).await.is_empty(), "16 are too many");
    Ok(())
}
