//! What was built for a released version of the contract is loaded and answers, for ever.
//!
//! `tests/plugins/frozen/X.Y.Z.wasm` is the probe as it was built for `wit/frozen/X.Y.Z`. It is never built again: what is expected here is
//! in the words that its own SDK had.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use maitred_mail::{Class, Domain, EnhancedStatus, MessageId, ReversePath, Timestamp};
use maitred_plugin_host::{PluginConfig, PluginHost};
use maitred_policy::outside::{HttpError, Leads};
use maitred_policy::{
    Answer, Ask, AuthResult, Capability, Hook, HookCall, LoginAttempt, LoginFacts, LoginProtocol,
    MailboxChange, MailboxFacts, MethodResult, OutcomeFacts, OutcomeKind, Registry, Reply, Verdict,
};
use serde_json::json;

use crate::world::{
    Fake, GRANTS, Room, address, found, granted, message, recipient, session, session_with, until,
};

/// Each released version, and the component that was built for it.
fn released() -> Result<Vec<(String, PathBuf)>> {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = std::fs::read_dir(suite.join("../../wit/frozen")).context("wit/frozen")?;
    let versions = folders.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let place = |version: String| {
        let component = suite.join("frozen").join(format!("{version}.wasm"));
        (version, component)
    };
    Ok(versions.collect::<Result<Vec<String>>>()?.into_iter().map(place).collect())
}

/// Its plugin alone, with everything granted.
async fn started(
    room: &Room,
    file: &Path,
    scripts: serde_json::Value,
    world: &std::sync::Arc<Fake>,
) -> Result<std::sync::Arc<PluginHost>> {
    let folder = room.path().join("plugins");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(file, folder.join("old.wasm")).with_context(|| file.display().to_string())?;
    let old = PluginConfig {
        config: scripts,
        grants: granted(&GRANTS),
        tick: std::time::Duration::from_millis(10),
        ..PluginConfig::named("old")
    };
    room.start_in(vec![old], &[], world.clone()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_built_for_a_released_contract_answers_at_each_hook() -> Result<()> {
    let all = released()?;
    ensure!(all.iter().any(|(version, _)| version == "0.1.0"), "{all:?}");
    for (version, file) in all {
        let scripts = json!({
            "connect": ["reject:at connect"], "helo": ["reject:at helo"], "auth": ["reject:at auth"], "mail": ["reject:at mail"],
            "rcpt": ["reject:at rcpt"], "headers": ["reject:at headers"], "message": ["reject:at message"],
            "disconnect": ["set:disconnect=1"], "resolve": ["discard:at resolve"], "route": ["bounce:at route"],
            "deliver": ["discard:at deliver"], "outcome": ["told", "set:outcome=%"], "login": ["deny:at login"],
            "mailbox": ["told", "set:mailbox=%"], "tick": ["set:tick=1"], "self-test": ["get:k"],
        });
        let (room, world) = (Room::new()?, Fake::new());
        let host = started(&room, &file, scripts, &world).await?;
        ensure!(host.list()[0].hooks == Hook::ALL, "{version}: {:?}", host.list());
        filters_answer(&host).await.context(version.clone())?;
        others_answer(&host).await.context(version.clone())?;
        events_are_told(&host, &world).await.context(version)?;
    }
    Ok(())
}

fn login() -> LoginFacts {
    LoginFacts { mechanism: "PLAIN".to_owned(), identity: "bob@a.test".to_owned(), has_succeeded: true }
}

async fn filters_answer(host: &PluginHost) -> Result<()> {
    let (facts, login, to) = (message("hello"), login(), recipient("bob@a.test"));
    let told = session_with(&facts);
    for call in [
        HookCall::Connect,
        HookCall::Helo("c.example"),
        HookCall::Auth(&login),
        HookCall::Mail(&ReversePath::Null),
        HookCall::Rcpt(&facts.envelope.reverse_path, &to),
        HookCall::Headers(&facts),
        HookCall::Message(&facts),
    ] {
        let wanted = format!("at {}", call.hook().name());
        let outcome = host.chain().ask(&told, call).await;
        let is_it = matches!(&outcome.verdict, Verdict::Reject(of) if of.text == wanted);
        ensure!(is_it, "{wanted}: {outcome:?}");
    }
    Ok(())
}

async fn others_answer(host: &PluginHost) -> Result<()> {
    let (facts, domain, bob) = (message("hello"), Domain::parse("b.test")?, address("bob@a.test"));
    let to = recipient("bob+x@a.test");
    let attempt = LoginAttempt {
        protocol: LoginProtocol::Imap,
        login: login(),
        remote: [192, 0, 2, 7].into(),
        has_tls: true,
    };
    for call in [
        HookCall::Resolve(&facts.envelope.reverse_path, &bob),
        HookCall::Route(&facts, &domain, &[]),
        HookCall::Deliver(&facts, &to, &bob),
        HookCall::Login(&attempt),
    ] {
        let wanted = format!("at {}", call.hook().name());
        let (answer, said) = host.chain().first(&session(), call).await;
        ensure!(answer.as_ref().and_then(Answer::reason) == Some(&wanted), "{wanted}: {answer:?} {said:?}");
    }
    Ok(())
}

async fn events_are_told(host: &PluginHost, world: &Fake) -> Result<()> {
    let outcome = OutcomeFacts {
        kind: OutcomeKind::Delivered,
        id: MessageId(7),
        reverse_path: ReversePath::Null,
        recipient: address("bob@b.test"),
        remote: Some("mx.b.test".to_owned()),
        status: EnhancedStatus::new(Class::Success, 1, 5),
        text: "ok".to_owned(),
        attempts: 3,
        at: Timestamp(1_000),
    };
    let event = MailboxFacts {
        account: address("bob@a.test"),
        mailbox: "Lists/x".to_owned(),
        uids: vec![3, 4],
        uid_validity: 9,
        change: MailboxChange::FlagsChanged(vec!["\\Seen".to_owned()]),
    };
    for call in [HookCall::Disconnect, HookCall::Outcomes(&[outcome]), HookCall::Mailbox(&[event])] {
        host.chain().first(&session(), call).await;
    }
    let outcome = concat!(
        r#"told=[Outcome { kind: Delivered, id: "0000000000007", sender: "", recipient: "bob@b.test", "#,
        r#"remote: Some("mx.b.test"), status: (2, 1, 5), text: "ok", attempts: 3, at_ms: 1000 }]"#
    );
    let mailbox = concat!(
        r#"told=[MailboxEvent { account: "bob@a.test", mailbox: "Lists/x", uids: [3, 4], uid_validity: 9, "#,
        r#"change: FlagsChanged(["\\Seen"]) }]"#
    );
    for (key, wanted) in [("outcome", outcome), ("mailbox", mailbox), ("disconnect", "1"), ("tick", "1")] {
        let value = until(|| world.value("old", key).transpose()).await??;
        ensure!(value == wanted, "{key}: {value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_built_for_a_released_contract_has_all_that_it_may_ask() -> Result<()> {
    for (version, file) in released()? {
        let cases = [
            ("field:subject", r#"Some("hello")"#),
            ("size", "41"),
            ("body", r#""Hello\r\n""#),
            ("increment:n=3", "Ok(3)"),
            ("get:a", "Ok(None)"),
            ("txt:a.test", r#"Ok(["v=spf1 -all"])"#),
            ("local:a.test", "true"),
            ("where:no@a.test", "Unknown"),
            ("fetch:https://api.a.test/1", "Err(Timeout)"),
            ("submit:bob@a.test", r#"Ok("m1")"#),
            ("authentication", "spf=fail smtp.helo=x"),
        ];
        let world = Fake::answering(|ask| match ask {
            Ask::Txt(_) => Some(Reply::Texts(Ok(vec!["v=spf1 -all".to_owned()]))),
            Ask::IsLocal(_) => Some(Reply::IsLocal(true)),
            Ask::Resolve(_) => Some(Reply::Resolved(Leads::Unknown)),
            Ask::Http(_) => Some(Reply::Http(Err(HttpError::Timeout))),
            Ask::Submit(_) => Some(Reply::Submitted(Ok("m1".to_owned()))),
            Ask::Authentication => {
                let failed = MethodResult::new("spf", AuthResult::Fail).with("smtp.helo", "x");
                Some(Reply::Authentication(vec![failed]))
            }
            _ => None,
        });
        let script: Vec<&str> = cases.iter().map(|(action, _)| *action).collect();
        let room = Room::new()?;
        let host = started(&room, &file, json!({"message": script}), &world).await?;
        let facts = message("hello");
        let outcome = host.chain().ask(&session_with(&facts), HookCall::Message(&facts)).await;
        let seen: Vec<&str> = found(&outcome).into_iter().map(|(_, value)| value).collect();
        let wanted: Vec<&str> = cases.iter().map(|(_, wanted)| *wanted).collect();
        ensure!(seen == wanted, "{version}: {outcome:#?}");
        let used: BTreeSet<Capability> = world.asked().iter().map(|asked| asked.ask.capability()).collect();
        ensure!(used == Capability::ALL.into(), "{version}: {used:?}");
    }
    Ok(())
}
