//! Shadows: a version that runs beside the one in service. What it would have said is told exactly, what it does is void.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use maitred_mail::MessageId;
use maitred_plugin_host::PluginHost;
use maitred_policy::outside::HttpResponse;
use maitred_policy::{
    Ask, Difference, Fault, Hook, HookCall, MessageFacts, Outcome, Registry, Reply, Trial, Verdict,
};
use serde_json::json;

use crate::world::{
    Fake, PROBES, Room, ask, build_of_probe, compared, fault, found, message, probe, session_with, trial,
};

/// Build 2 of the probe as a shadow of build 1.
async fn shadow(room: &Room, host: &PluginHost) -> Result<()> {
    let file = room.file("some", &build_of_probe(2))?;
    let facts = host.try_out(Some("probe".to_owned()), &file, Trial::Shadow).await?;
    ensure!(facts.trial.is_some_and(|trial| trial.trial == Trial::Shadow), "it is no shadow");
    Ok(())
}

fn message_of(id: u64, subject: &str) -> MessageFacts {
    MessageFacts { id: MessageId(id), ..message(subject) }
}

/// Asks about a message, and waits until that was compared.
async fn ask_one(host: &PluginHost, facts: &MessageFacts, so_far: u64) -> Result<Outcome> {
    let outcome = host.chain().ask(&session_with(facts), HookCall::Message(facts)).await;
    compared(host, "probe", so_far).await?;
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shadow_would_have_said_is_told_exactly() -> Result<()> {
    let room = Room::new()?;
    let scripts = json!({
        "message:verdict@1": ["tag:seen=yes", "tempfail:later"], "message:verdict@2": ["tag:seen=yes", "status:5.7.9", "reject:never"],
        "message:edit@1": ["header:X-Mark=one"], "message:edit@2": ["header:X-Mark=two", "symbol:S=1.5"],
        "message:text@1": ["discard:a"], "message:text@2": ["discard:b"],
        "message:fault@2": ["trap"], "message:silent@1": ["accept"], "message:silent@2": ["next"],
        "message:same": ["told", "random", "now", "quarantine:%"],
    });
    let host = room.start(vec![probe(scripts)], PROBES).await?;
    shadow(&room, &host).await?;
    // Of 96 messages 48 differ, in five ways.
    let round = [
        "same", "verdict", "edit", "same", "text", "fault", "silent", "same", "plain", "verdict", "same",
        "plain",
    ];
    let mut wanted: Vec<Difference> = [
        ("verdict", "tempfail 4.7.1 later; tag seen=yes", "reject 5.7.9 never; tag seen=yes"),
        ("edit", "next; add X-Mark: one at First", "next; add X-Mark: two at First; symbol S 1.5 "),
        ("fault", "next", "fault: trapped: wasm trap: wasm `unreachable` instruction executed"),
        ("silent", "accept", "next"),
        ("text", "discard a", "discard b"),
    ]
    .into_iter()
    .map(|(subject, was, would)| {
        let places: Vec<u64> = (1..=96).filter(|id| round[*id as usize % round.len()] == subject).collect();
        Difference {
            hook: Hook::Message,
            was: was.to_owned(),
            would: would.to_owned(),
            count: places.len() as u64,
            seen_at: places.iter().take(5).map(|id| MessageId(*id).to_string()).collect(),
        }
    })
    .collect();
    for id in 1..=96 {
        ask_one(&host, &message_of(id, round[id as usize % round.len()]), id).await?;
    }
    let facts = trial(&host, "probe")?;
    ensure!((facts.compared, facts.differing, facts.faults, facts.skipped) == (96, 48, 8, 0), "{facts:?}");
    // The most frequent first.
    wanted.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.was, &a.would).cmp(&(&b.was, &b.would))));
    let is: Vec<_> = facts.differences;
    ensure!(is == wanted, "{is:#?}, not {wanted:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_one_version_has_not_is_no_opinion_of_it() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    let [one, two] = maitred_bundled::DEMO else { bail!("two versions") };
    host.load(Some("filter".to_owned()), &room.file("one", one.octets)?).await?;
    host.try_out(Some("filter".to_owned()), &room.file("two", two.octets)?, Trial::Shadow).await?;
    for (id, subject) in (1..).zip(["casino", "lunch", "casino"]) {
        let facts = message_of(id, subject);
        let early = host.chain().ask(&session_with(&facts), HookCall::Headers(&facts)).await;
        ensure!(early.verdict == Verdict::Next && early.said.is_empty(), "{early:?}");
        host.chain().ask(&session_with(&facts), HookCall::Message(&facts)).await;
        compared(&host, "filter", 2 * id).await?;
    }
    let seen: Vec<(Hook, String, String, u64)> = trial(&host, "filter")?
        .differences
        .into_iter()
        .map(|of| (of.hook, of.was, of.would, of.count))
        .collect();
    let (was, would) =
        ("next; add X-Demo-Filter: 1.0.0; casino at First", "reject 5.7.1 No casinos here, says version 2");
    let wanted = [
        (Hook::Headers, "next".to_owned(), would.to_owned(), 2),
        (Hook::Message, was.to_owned(), "next".to_owned(), 2),
    ];
    ensure!(seen == wanted, "{seen:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shadow_changes_is_void_and_only_it_sees_it() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::answering(|ask| match ask {
        Ask::Http(_) => {
            Some(Reply::Http(Ok(HttpResponse { status: 200, headers: Vec::new(), body: b"hi".to_vec() })))
        }
        Ask::Submit(_) => Some(Reply::Submitted(Ok("m1".to_owned()))),
        _ => None,
    });
    let scripts = json!({
        "mail@1": ["increment:n", "note:x", "count:own=1"],
        "mail@2": ["increment:n", "get:n", "set:k=2", "delete:n", "set-note:x=2", "count:own=10", "gauge:other=3"],
        "message@1": ["increment:n", "note:x", "count:own=1"],
        "message@2": ["get:k", "get-many:k,n", "increment:n", "note:x", "submit:bob@a.test", "post:https://api.a.test/=x",
            "fetch:https://api.a.test/"],
    });
    let host = room.start_in(vec![probe(scripts)], PROBES, world.clone()).await?;
    shadow(&room, &host).await?;
    let facts = message_of(1, "hello");
    let session = session_with(&facts);
    let mail = host.chain().ask(&session, HookCall::Mail(&facts.envelope.reverse_path)).await;
    ensure!(found(&mail) == [("increment", "Ok(1)"), ("note", "None"), ("count", "done")], "{mail:?}");
    compared(&host, "probe", 1).await?;
    let late = host.chain().ask(&session, HookCall::Message(&facts)).await;
    ensure!(found(&late) == [("increment", "Ok(2)"), ("note", "None"), ("count", "done")], "{late:?}");
    let differences = compared(&host, "probe", 2).await?.differences;
    let at = |hook| differences.iter().find(|of| of.hook == hook).map(|of| of.would.as_str());
    // What both ask is answered as it was: that is how a change is seen that only the other one made.
    let wanted = "next; tag increment=Ok(1); tag get=Ok(Some(\"1\")); tag set=Ok(()); tag delete=Ok(()); tag set-note=done; \
                  tag count=done; tag gauge=done";
    ensure!(at(Hook::Mail) == Some(wanted), "{differences:#?}");
    let wanted = "next; tag get=Ok(Some(\"2\")); tag get-many=Ok([Some(\"2\"), None]); tag increment=Ok(2); tag note=Some(\"2\"); \
                  tag submit=Err(Unavailable(\"not sent: this version is only tried out\")); \
                  tag post=Err(Failed(\"not sent: this version is only tried out\")); tag fetch=Ok((200, [], \"hi\"))";
    let is: String = wanted.chars().take(300).collect();
    ensure!(at(Hook::Message) == Some(is.as_str()), "{differences:#?}");
    // The world outside saw what the version in service did, and nothing else that changes something.
    let effects: Vec<Ask> = world.effects().into_iter().map(|asked| asked.ask).collect();
    ensure!(effects.len() == 2 && effects[0] == effects[1], "{effects:?}");
    ensure!(world.value("probe", "n")?.as_deref() == Some("2") && world.value("probe", "k")?.is_none());
    let metrics = host.metrics();
    let value = |name: &str, label: &str| {
        let is_it = |metric: &&maitred_plugin_host::OwnMetric| {
            metric.name == name && metric.labels.iter().any(|(_, value)| value == label)
        };
        metrics.iter().find(is_it).map(|metric| metric.value)
    };
    ensure!(value("maitred_plugin_own_total", "own") == Some(2.0), "{metrics:?}");
    ensure!(value("maitred_plugin_own", "other").is_none(), "{metrics:?}");
    // What a shadow asks is no use of what was granted.
    ensure!(value("maitred_plugin_capability_total", "store") == Some(2.0), "{metrics:?}");
    ensure!(value("maitred_plugin_capability_total", "submit").is_none(), "{metrics:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_traps_or_loops_changes_no_verdict_and_is_counted() -> Result<()> {
    let room = Room::new()?;
    let scripts = json!({
        "message": ["status:5.7.9", "reject:no"], "message:trap@2": ["trap"], "message:spin@2": ["spin"], "message:grow@2": ["grow:64"],
        "message:many@2": ["many-ips:201"],
    });
    let mut plugin = probe(scripts);
    plugin.limits.time = Duration::from_millis(200);
    let host = room.start(vec![plugin], PROBES).await?;
    shadow(&room, &host).await?;
    let subjects = ["trap", "spin", "grow", "many", "fine"];
    for id in 1..=20 {
        let outcome = ask_one(&host, &message_of(id, subjects[id as usize % 5]), id).await?;
        ensure!(matches!(&outcome.verdict, Verdict::Reject(of) if of.text == "no"), "{outcome:?}");
        ensure!(fault(&outcome).is_none(), "{outcome:?}");
    }
    let facts = trial(&host, "probe")?;
    ensure!((facts.compared, facts.differing, facts.faults) == (20, 16, 16), "{facts:?}");
    let told = |fault: Fault| format!("fault: {fault}");
    for would in [
        told(Fault::Time(Duration::from_millis(200))),
        told(Fault::Memory(32 << 20)),
        told(Fault::Budget("questions to the outside")),
        told(Fault::Trap("wasm trap: wasm `unreachable` instruction executed".to_owned())),
    ] {
        let seen = facts.differences.iter().find(|of| of.would == would).context(would)?;
        ensure!(seen.was == "reject 5.7.9 no" && seen.count == 4, "{seen:?}");
    }
    let (in_service, shadow): (Vec<_>, Vec<_>) =
        host.stats().into_iter().partition(|of| of.mode == "enforce");
    ensure!(in_service.len() == 1 && in_service[0].verdicts.keys().eq(["reject"]), "{in_service:?}");
    ensure!(shadow.len() == 1 && shadow[0].mode == "shadow" && shadow[0].calls == 20, "{shadow:?}");
    ensure!(host.list()[0].faults == 0 && !host.list()[0].is_broken, "{:?}", host.list());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shadow_that_does_the_same_differs_in_nothing_whatever_it_notes() -> Result<()> {
    let room = Room::new()?;
    let scripts = json!({
        "mail": ["set-note:n=I", "count-note:log"], "rcpt": ["count-note:n", "random", "increment:all"],
        "message": ["count-note:n", "now", "get:all", "tempfail:%"],
    });
    let host = room.start_in(vec![probe(scripts)], PROBES, Fake::new()).await?;
    shadow(&room, &host).await?;
    let sessions: Vec<_> = (1..=40)
        .map(|id| {
            let host = Arc::clone(&host);
            tokio::spawn(async move {
                let facts = message_of(id, "hello");
                let mut session = session_with(&facts);
                session.id = format!("s{id}");
                let chain = host.chain();
                chain.ask(&session, HookCall::Mail(&facts.envelope.reverse_path)).await;
                for to in &vec![facts.envelope.recipients[0].clone(); 5] {
                    chain.ask(&session, HookCall::Rcpt(&facts.envelope.reverse_path, to)).await;
                }
                chain.ask(&session, HookCall::Message(&facts)).await
            })
        })
        .collect();
    for session in sessions {
        let outcome = session.await?;
        ensure!(fault(&outcome).is_none(), "{outcome:?}");
    }
    let facts = compared(&host, "probe", 280).await?;
    ensure!((facts.compared, facts.differing, facts.skipped) == (280, 0, 0), "{facts:#?}");
    Ok(())
}

/// What plugins say in the log.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Heard {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "text"
            && let Ok(mut heard) = self.0.lock()
        {
            heard.push(format!("{value:?}"));
        }
    }
}

impl tracing::Subscriber for Heard {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

// On one thread: that is how far a subscriber of one test reaches.
#[tokio::test]
async fn a_shadow_says_nothing_in_the_log() -> Result<()> {
    let room = Room::new()?;
    let host =
        room.start(vec![probe(json!({"message@1": ["log:one"], "message@2": ["log:two"]}))], PROBES).await?;
    shadow(&room, &host).await?;
    let heard = Heard::default();
    let _heard = tracing::subscriber::set_default(heard.clone());
    ask(&host, "hello").await;
    compared(&host, "probe", 1).await?;
    let lines = heard.0.lock().map(|lines| lines.clone()).unwrap_or_default();
    ensure!(lines == ["\"one\""], "{lines:?}");
    // Both were asked, and said the same to us.
    ensure!(trial(&host, "probe")?.differing == 0, "{:?}", host.list());
    Ok(())
}
