//! What is told afterwards to whoever listens, and what is only rehearsed.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use maitred_mail::{EnhancedStatus, MessageId, ReversePath, Timestamp};
use maitred_plugin_host::{PluginConfig, PluginHerald};
use maitred_policy::{
    Answer, Ask, Change, Herald, Hook, HookCall, MailboxChange, MailboxFacts, OutcomeFacts, OutcomeKind,
    Registry, TableOp,
};
use serde_json::json;

use crate::world::{Asked, Fake, PROBES, Room, address, message, probe, session, until};

fn outcome(id: u64) -> OutcomeFacts {
    OutcomeFacts {
        kind: OutcomeKind::Stored,
        id: MessageId(id),
        reverse_path: ReversePath::Null,
        recipient: address("bob@a.test"),
        remote: None,
        status: EnhancedStatus::OK,
        text: String::new(),
        attempts: 1,
        at: Timestamp(1),
    }
}

fn event(uid: u32) -> MailboxFacts {
    MailboxFacts {
        account: address("bob@a.test"),
        mailbox: "INBOX".to_owned(),
        uids: vec![uid],
        uid_validity: 1,
        change: MailboxChange::Appended,
    }
}

/// What a plugin wrote under a key, one call after the other.
fn written(asked: &[Asked], plugin: &str, key: &str) -> Vec<String> {
    let of = |asked: &Asked| match &asked.ask {
        Ask::Table(TableOp::Change(known, Change::Set { value, .. }))
            if known == key && asked.plugin == plugin =>
        {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        _ => None,
    };
    asked.iter().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_told_to_all_in_order_some_at_a_time_whatever_one_of_them_does() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::new();
    let failing = probe(json!({"outcome": ["set:outcome=", "trap"], "mailbox": ["set:mailbox=", "trap"]}));
    let listening =
        probe(json!({"outcome": ["told", "set:outcome=%"], "mailbox": ["told", "set:mailbox=%"]}));
    let listening = PluginConfig { name: "other".to_owned(), order: 60, ..listening };
    let host = room.start_in(vec![failing, listening], PROBES, world.clone()).await?;
    let herald = PluginHerald::new(&host);
    herald.outcomes(Vec::new());
    // At most 256 at a time: 300 are told in two calls, 3 in one.
    herald.outcomes((1..=300).map(outcome).collect());
    herald.mailboxes((1..=3).map(event).collect());
    let told = until(|| {
        let told = written(&world.asked(), "other", "mailbox");
        (!told.is_empty()).then_some(told)
    })
    .await?;
    ensure!(told.len() == 1 && told[0].matches("MailboxEvent {").count() == 3, "{told:?}");
    let place = |uid: u32| told[0].find(&format!("uids: [{uid}]"));
    ensure!(place(1) < place(2) && place(2) < place(3) && place(1).is_some(), "{told:?}");
    let asked = world.asked();
    let told = written(&asked, "other", "outcome");
    let counts: Vec<usize> = told.iter().map(|told| told.matches("Outcome {").count()).collect();
    ensure!(counts == [256, 44], "{counts:?}");
    let all = told.concat();
    let places: Vec<_> = (1..=300).map(|id| all.find(&format!("{:?}", MessageId(id).to_string()))).collect();
    ensure!(places.is_sorted() && places.iter().all(Option::is_some), "{places:?}");
    // The one that fails was told as often.
    ensure!(
        written(&asked, "probe", "outcome").len() == 2 && herald.left_out() == 0,
        "{}",
        herald.left_out()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_answers_and_changes_nothing() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::new();
    let host = room
        .start_in(
            vec![probe(json!({"message": ["increment:n", "get:n", "set-note:k=v", "count:c", "note:k", "discard:%"]}))],
            PROBES,
            world.clone(),
        )
        .await?;
    let chain = host.chain();
    let plugin = Arc::clone(chain.of(Hook::Message).next().context("it has no such hook")?);
    let (session, facts) = (session(), message("hello"));
    let call = HookCall::Message(&facts);
    let said = |answer: &Answer| answer.reason().unwrap_or_default().to_owned();
    for _ in 0..2 {
        let rehearsed = plugin.rehearse(&session, call).await;
        let told = said(&rehearsed.answer?);
        ensure!(told.starts_with("increment=Ok(1) | get=Ok(Some(\"1\"))"), "{told}");
    }
    ensure!(world.effects().is_empty(), "{:?}", world.effects());
    ensure!(host.stats().is_empty() && host.metrics().is_empty(), "{:?} {:?}", host.stats(), host.metrics());
    ensure!(host.list()[0].calls == 0, "{:?}", host.list());
    let called = plugin.call(&session, call).await;
    ensure!(said(&called.answer?).starts_with("increment=Ok(1)"));
    ensure!(world.value("probe", "n")?.as_deref() == Some("1") && host.list()[0].calls == 1);
    Ok(())
}
