//! Hooks: what each is told, what each may answer, and what an answer that is none comes to.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use maitred_mail::{Class, Domain, EnhancedStatus, MessageId, ReversePath, Timestamp};
use maitred_plugin_host::{PluginConfig, PluginHost};
use maitred_policy::{
    Answer, Ask, Change, Delivery, DeliveryDecision, Edit, Fault, Hook, HookCall, Hop, HopHost, HopTls,
    LoginAttempt, LoginDecision, LoginFacts, LoginProtocol, MailboxChange, MailboxFacts, OnError, Outcome,
    OutcomeFacts, OutcomeKind, Placement, Refusal, Registry, Resolution, RouteDecision, Said, TableOp,
    TlsFacts, Verdict,
};
use serde_json::json;

use crate::world::{
    Fake, PROBES, Room, address, found, message, probe, recipient, session, session_with, until,
};

fn login(identity: &str) -> LoginFacts {
    LoginFacts { mechanism: "PLAIN".to_owned(), identity: identity.to_owned(), has_succeeded: true }
}

fn entrance(identity: &str) -> LoginAttempt {
    let remote = std::net::IpAddr::from([192, 0, 2, 7]);
    LoginAttempt { protocol: LoginProtocol::Imap, login: login(identity), remote, has_tls: true }
}

fn hop(host: &str) -> Result<Hop> {
    Ok(Hop { host: HopHost::Name(Domain::parse(host)?), port: 25, tls: HopTls::Opportunistic, source: None })
}

fn refusal(class: Class, text: &str) -> Refusal {
    Refusal { status: EnhancedStatus::new(class, 7, 1), text: text.to_owned() }
}

/// Asks one of the hooks that are no filters about this subject.
async fn first(host: &PluginHost, hook: Hook, subject: &str) -> Result<(Option<Answer>, Vec<Said>)> {
    let facts = message("hello");
    let session = session();
    let chain = host.chain();
    Ok(match hook {
        Hook::Resolve => {
            let call =
                HookCall::Resolve(&facts.envelope.reverse_path, &address(&format!("{subject}@a.test")));
            chain.first(&session, call).await
        }
        Hook::Route => {
            let (domain, hops) = (Domain::parse(&format!("{subject}.test"))?, [hop("mx.b.test")?]);
            chain.first(&session, HookCall::Route(&facts, &domain, &hops)).await
        }
        Hook::Deliver => {
            let to = recipient("bob+x@a.test");
            let account = address(&format!("{subject}@a.test"));
            chain.first(&session, HookCall::Deliver(&facts, &to, &account)).await
        }
        Hook::Login => chain.first(&session, HookCall::Login(&entrance(&format!("{subject}@a.test")))).await,
        other => bail!("{other:?} is a filter, or only told"),
    })
}

/// As the probe's scripts name this hook about this subject.
fn script(hook: Hook, subject: &str) -> String {
    let domain = if hook == Hook::Route { ".test" } else { "@a.test" };
    format!("{}:{subject}{domain}", hook.name())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_hooks_are_told_what_the_peer_says_and_answer() -> Result<()> {
    let room = Room::new()?;
    let host = room
        .start(
            vec![probe(json!({
                "connect": ["info", "config"], "helo": ["told", "symbol:S=1.5"], "auth": ["told", "tempfail:later"],
                "mail": ["told", "status:5.1.8", "reject:no"], "rcpt": ["told", "accept"],
                "headers": ["id", "field:subject", "size", "body", "discard:dull"],
                "message": ["envelope", "size", "body", "symbols", "earlier-tag:t", "quarantine:odd"],
                "message:bye": ["disconnect:bye"],
            }))],
            PROBES,
        )
        .await?;
    let facts = message("=?utf-8?Q?h=C3=A9llo?=");
    let mut told = session_with(&facts);
    told.tls = Some(TlsFacts {
        version: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        server_name: None,
    });
    told.login = Some(login("al@a.test"));
    let ask = async |call| host.chain().ask(&told, call).await;
    let seen = async |call, verdict: &str, wanted: &[(&str, &str)]| {
        let outcome: Outcome = ask(call).await;
        ensure!(outcome.verdict.name() == verdict, "{outcome:?}");
        ensure!(found(&outcome) == wanted, "{:#?}", found(&outcome));
        Ok(outcome)
    };
    let connect = ask(HookCall::Connect).await;
    let info = found(&connect)[0].1;
    for part in [
        r#"id: "s1""#,
        "direction: Inbound",
        r#"remote_ip: "192.0.2.1", remote_port: 40000"#,
        r#"tls_version: Some("TLSv1.3")"#,
        r#"account: Some("al@a.test")"#,
        r#"id: "0000000000001", sender: "alice@b.test""#,
    ] {
        ensure!(info.contains(part), "{part} is not in {info}");
    }
    let helo = seen(HookCall::Helo("c.example"), "next", &[("told", "c.example")]).await?;
    ensure!(helo.edits.len() == 2, "{helo:?}");
    let attempt = r#"Attempt { mechanism: "PLAIN", identity: "bob@a.test", has_succeeded: true }"#;
    let wrong = login("bob@a.test");
    seen(HookCall::Auth(&wrong), "tempfail", &[("told", attempt)]).await?;
    let mail = seen(HookCall::Mail(&ReversePath::Null), "reject", &[("told", "")]).await?;
    ensure!(
        matches!(&mail.verdict, Verdict::Reject(of) if of.status.to_string() == "5.1.8" && of.text == "no"),
        "{mail:?}"
    );
    let mut to = recipient("bob@a.test");
    to.original = Some(address("info@a.test"));
    let rcpt = r#"alice@b.test to Recipient { address: "bob@a.test", original: Some("info@a.test") }"#;
    seen(HookCall::Rcpt(&facts.envelope.reverse_path, &to), "accept", &[("told", rcpt)]).await?;
    // At the header section there is no body yet.
    let head = [("id", "0000000000001"), ("field", r#"Some("héllo")"#), ("size", "49"), ("body", r#""""#)];
    seen(HookCall::Headers(&facts), "discard", &head).await?;
    let mut later = facts.clone();
    later.symbols.push(("X".to_owned(), 2.5));
    later.tags.push(("t".to_owned(), "v".to_owned()));
    let envelope = r#"Envelope { sender: "alice@b.test", recipients: [Recipient { address: "bob@a.test", original: None }] }"#;
    let whole = [
        ("envelope", envelope),
        ("size", "58"),
        ("body", r#""Hello\r\n""#),
        ("symbols", r#"[("X", 2.5)]"#),
        ("earlier-tag", r#"Some("v")"#),
    ];
    seen(HookCall::Message(&later), "quarantine", &whole).await?;
    seen(HookCall::Message(&message("bye")), "disconnect", &[]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_delivery_and_login_hooks_answer_all_that_they_may() -> Result<()> {
    let later = Timestamp(1_700_000_000_000);
    let hops = vec![
        hop("mx.b.test")?,
        Hop {
            host: HopHost::Ip("2001:db8::1".parse()?),
            port: 2525,
            tls: HopTls::Required,
            source: Some("192.0.2.9".parse()?),
        },
    ];
    let place = |mailbox: &str, flags: &[&str]| Placement {
        mailbox: mailbox.to_owned(),
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
    };
    let delivery = Delivery {
        placements: vec![place("Lists/x", &[]), place("INBOX", &["\\Seen", "$Junk"])],
        forward: vec![address("bob@c.test")],
        forward_as: Some(ReversePath::Null),
    };
    let forward = Delivery { forward: vec![address("bob@c.test")], ..Delivery::default() };
    let (never, not_now) = (refusal(Class::Permanent, "why"), refusal(Class::Persistent, "why"));
    let resolution = |of| Some(Answer::Resolution(of));
    let route = |of| Some(Answer::Route(of));
    let deliver = |of| Some(Answer::Delivery(of));
    let why = || "why".to_owned();
    let cases = [
        (Hook::Resolve, vec!["next"], None),
        (
            Hook::Resolve,
            vec!["rewrite:x@a.test,y@b.test"],
            resolution(Resolution::Rewrite(vec![address("x@a.test"), address("y@b.test")])),
        ),
        (Hook::Resolve, vec!["reject:why"], resolution(Resolution::Reject(never.clone()))),
        (Hook::Resolve, vec!["tempfail:why"], resolution(Resolution::Tempfail(not_now.clone()))),
        (Hook::Resolve, vec!["told", "discard:why"], resolution(Resolution::Discard(why()))),
        (Hook::Route, vec!["next"], None),
        (
            Hook::Route,
            vec!["hops:mx.b.test,2001:db8::1 2525 required 192.0.2.9"],
            route(RouteDecision::Hops(hops)),
        ),
        (Hook::Route, vec!["hold:1700000000000"], route(RouteDecision::Hold(later))),
        (Hook::Route, vec!["bounce:why"], route(RouteDecision::Bounce(never.clone()))),
        (Hook::Deliver, vec!["next"], None),
        (
            Hook::Deliver,
            vec!["place:Lists/x", "place:INBOX \\Seen $Junk", "forward:bob@c.test", "forward-as:", "deliver"],
            deliver(DeliveryDecision::Deliver(delivery)),
        ),
        (Hook::Deliver, vec!["forward:bob@c.test", "deliver"], deliver(DeliveryDecision::Deliver(forward))),
        (Hook::Deliver, vec!["reject:why"], deliver(DeliveryDecision::Reject(never))),
        (Hook::Deliver, vec!["tempfail:why"], deliver(DeliveryDecision::Tempfail(not_now))),
        (Hook::Deliver, vec!["discard:why"], deliver(DeliveryDecision::Discard(why()))),
        (Hook::Login, vec!["next"], None),
        (Hook::Login, vec!["deny:why"], Some(Answer::Login(LoginDecision::Deny(why())))),
    ];
    let mut scripts = json!({});
    for (number, (hook, actions, _)) in cases.iter().enumerate() {
        scripts[script(*hook, &format!("case{number}"))] = json!(actions);
    }
    let room = Room::new()?;
    let host = room.start(vec![probe(scripts)], PROBES).await?;
    for (number, (hook, actions, wanted)) in cases.iter().enumerate() {
        let (answer, said) = first(&host, *hook, &format!("case{number}")).await?;
        ensure!(answer == *wanted, "{hook:?} {actions:?}: {answer:?}, {said:?}");
        ensure!(said.len() == usize::from(wanted.is_some()), "{hook:?} {actions:?}: {said:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_delivery_and_login_hooks_are_told_everything() -> Result<()> {
    let room = Room::new()?;
    let told = json!({
        "resolve": ["told", "discard:%"], "route": ["field:subject", "told", "bounce:%"],
        "deliver": ["field:subject", "told", "discard:%"], "login": ["told", "deny:%"],
    });
    let host = room.start(vec![probe(told)], PROBES).await?;
    for (hook, wanted) in [
        (Hook::Resolve, "told=alice@b.test to case@a.test"),
        (
            Hook::Route,
            r#"field=Some("hello") | told=case.test by [NextHop { host: "mx.b.test", port: 25, tls: Opportunistic, source_ip: None }]"#,
        ),
        (
            Hook::Deliver,
            r#"field=Some("hello") | told=Recipient { address: "bob+x@a.test", original: None } is case@a.test"#,
        ),
        (
            Hook::Login,
            r#"told=Login { protocol: Imap, account: "case@a.test", mechanism: "PLAIN", remote_ip: "192.0.2.7", has_tls: true, has_succeeded: true }"#,
        ),
    ] {
        let (answer, _) = first(&host, hook, "case").await?;
        let reason = answer.as_ref().and_then(Answer::reason);
        ensure!(reason == Some(wanted), "{hook:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_a_fault_and_costs_no_mail() -> Result<()> {
    let many = |word: &str, count: usize| vec![word.to_owned(); count];
    let one = |action: &str| vec![action.to_owned()];
    let and = |mut actions: Vec<String>, last: &str| {
        actions.push(last.to_owned());
        actions
    };
    let cases = [
        (Hook::Resolve, one("rewrite:")),
        (Hook::Resolve, one("rewrite:bob")),
        (Hook::Resolve, one("rewrite:x@a.test\r\nRCPT TO:<y@b.test>")),
        (Hook::Resolve, vec![format!("rewrite:{}", many("x@a.test", 101).join(","))]),
        (Hook::Resolve, and(one("status:4.7.1"), "reject:why")),
        (Hook::Route, one("hops:")),
        (Hook::Route, one("hops:mx.b.test 0")),
        (Hook::Route, one("hops:mx..test")),
        (Hook::Route, one("hops:mx.b.test 25 none here")),
        (Hook::Route, vec![format!("hops:{}", many("mx.b.test", 21).join(","))]),
        (Hook::Route, one("hold:18446744073709551615")),
        (Hook::Route, and(one("status:2.0.0"), "bounce:why")),
        (Hook::Deliver, one("deliver")),
        (Hook::Deliver, and(many("place:INBOX", 21), "deliver")),
        (Hook::Deliver, and(many("forward:x@b.test", 21), "deliver")),
        (Hook::Deliver, and(one("place:"), "deliver")),
        (Hook::Deliver, and(one("place:a\nb"), "deliver")),
        (Hook::Deliver, and(one("place:INBOX {1}"), "deliver")),
        (Hook::Deliver, and(one("forward:bob"), "deliver")),
        (Hook::Deliver, and(and(one("place:INBOX"), "forward-as:<>"), "deliver")),
        // A login is denied or not: only what is no answer at all is a fault.
        (Hook::Login, one("trap")),
    ];
    let mut scripts = json!({});
    for (number, (hook, actions)) in cases.iter().enumerate() {
        scripts[script(*hook, &format!("case{number}"))] = json!(actions);
    }
    let room = Room::new()?;
    let host = room.start(vec![probe(scripts.clone())], PROBES).await?;
    let strict = PluginConfig { on_error: Some(OnError::Reject), ..probe(scripts) };
    // With good calls in between, as many as the breaker wants.
    for (number, (hook, actions)) in cases.iter().enumerate() {
        let (answer, said) = first(&host, *hook, &format!("case{number}")).await?;
        let is_fault = match said.first().and_then(|said| said.fault.as_ref()) {
            Some(Fault::Trap(_)) => *hook == Hook::Login,
            fault => matches!(fault, Some(Fault::Answer(_))),
        };
        ensure!(said.len() == 1 && is_fault && said[0].verdict == "fault", "{actions:?}: {said:?}");
        let wanted = match hook {
            Hook::Resolve | Hook::Deliver => Some("tempfail"),
            Hook::Route => Some("defer"),
            _ => None,
        };
        ensure!(answer.as_ref().map(Answer::name) == wanted, "{actions:?}: {answer:?}");
        for _ in 0..5 {
            let (fine, said) = first(&host, *hook, "fine").await?;
            ensure!(fine.is_none() && said.is_empty(), "after {actions:?}: {said:?}");
        }
    }
    host.reload(room.config(vec![strict])).await?;
    for (hook, number, wanted) in [
        (Hook::Resolve, 0, "reject"),
        (Hook::Route, 7, "bounce"),
        (Hook::Deliver, 14, "reject"),
        (Hook::Login, 20, "deny"),
    ] {
        let (answer, _) = first(&host, hook, &format!("case{number}")).await?;
        ensure!(answer.as_ref().map(Answer::name) == Some(wanted), "{hook:?}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_a_sender_had_a_say_in_does_not_undo_the_answer() -> Result<()> {
    let room = Room::new()?;
    let host = room
        .start(
            vec![probe(json!({
                "resolve": ["tempfail:a\r\n250 b"],
                "deliver": ["discard:a\nb"],
                "login": ["deny:a\u{7}b"],
                "message": ["tag:found=a\u{0}b", "header:X-Was=a\r\nBcc: victim@a.test", "quarantine:c\r\n.\r\nd"],
            }))],
            PROBES,
        )
        .await?;
    for (hook, name, reason) in [
        (Hook::Resolve, "tempfail", "a??250 b"),
        (Hook::Deliver, "discard", "a?b"),
        (Hook::Login, "deny", "a?b"),
    ] {
        let (answer, said) = first(&host, hook, "x").await?;
        ensure!(answer.as_ref().map(Answer::name) == Some(name), "{answer:?}");
        ensure!(answer.as_ref().and_then(Answer::reason).is_some_and(|is| is.contains(reason)), "{said:?}");
    }
    let outcome = host.chain().ask(&session(), HookCall::Message(&message("x"))).await;
    ensure!(outcome.verdict == Verdict::Quarantine("c??.??d".to_owned()), "{outcome:?}");
    ensure!(outcome.edits.contains(&Edit::Tag("found".to_owned(), "a?b".to_owned())), "{outcome:?}");
    let is_one_line = |edit: &Edit| matches!(edit, Edit::AddHeader { name, value, .. } if name == "X-Was" && **value == *b"a  Bcc: victim@a.test");
    ensure!(outcome.edits.iter().any(is_one_line), "{outcome:?}");
    Ok(())
}

/// What a plugin wrote into its table under a key.
async fn written(world: &Fake, key: &str) -> Result<String> {
    let is_it =
        |ask: &Ask| matches!(ask, Ask::Table(TableOp::Change(known, Change::Set { .. })) if known == key);
    match world.until_asked(is_it).await?.ask {
        Ask::Table(TableOp::Change(_, Change::Set { value, .. })) => Ok(String::from_utf8(value)?),
        other => bail!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_told_and_nobody_waits_for_an_answer() -> Result<()> {
    let room = Room::new()?;
    let scripts = json!({
        "disconnect": ["info", "set:disconnect=%"], "outcome": ["told", "set:outcome=%"], "mailbox": ["told", "set:mailbox=%"],
        "tick": ["set:tick=%"],
    });
    let world = Fake::new();
    let plugin = PluginConfig { tick: Duration::from_millis(10), ..probe(scripts) };
    let host = room.start_in(vec![plugin], PROBES, world.clone()).await?;
    let chain = host.chain();
    let outcome = |kind, remote: Option<&str>| OutcomeFacts {
        kind,
        id: MessageId(7),
        reverse_path: ReversePath::Address(address("al@a.test")),
        recipient: address("bob@b.test"),
        remote: remote.map(str::to_owned),
        status: EnhancedStatus::new(Class::Persistent, 4, 1),
        text: "no route".to_owned(),
        attempts: 3,
        at: Timestamp(1_000),
    };
    let outcomes = [outcome(OutcomeKind::Deferred, Some("mx.b.test")), outcome(OutcomeKind::Expired, None)];
    let event = |change| MailboxFacts {
        account: address("bob@a.test"),
        mailbox: "Lists/x".to_owned(),
        uids: vec![3, 4],
        uid_validity: 9,
        change,
    };
    let events =
        [event(MailboxChange::FlagsChanged(vec!["\\Seen".to_owned()])), event(MailboxChange::Expunged)];
    for call in [HookCall::Disconnect, HookCall::Outcomes(&outcomes), HookCall::Mailbox(&events)] {
        let hook = call.hook();
        let (answer, said) = chain.first(&session(), call).await;
        ensure!(answer.is_none() && said.is_empty(), "{hook:?}: {answer:?} {said:?}");
    }
    let wanted = concat!(
        r#"told=[Outcome { kind: Deferred, id: "0000000000007", sender: "al@a.test", recipient: "bob@b.test", "#,
        r#"remote: Some("mx.b.test"), status: (4, 4, 1), text: "no route", attempts: 3, at_ms: 1000 }, "#,
        r#"Outcome { kind: Expired, id: "0000000000007", sender: "al@a.test", recipient: "bob@b.test", "#,
        r#"remote: None, status: (4, 4, 1), text: "no route", attempts: 3, at_ms: 1000 }]"#
    );
    let told = written(&world, "outcome").await?;
    ensure!(told == wanted, "{told}");
    let wanted = concat!(
        r#"told=[MailboxEvent { account: "bob@a.test", mailbox: "Lists/x", uids: [3, 4], uid_validity: 9, "#,
        r#"change: FlagsChanged(["\\Seen"]) }, MailboxEvent { account: "bob@a.test", mailbox: "Lists/x", "#,
        r#"uids: [3, 4], uid_validity: 9, change: Expunged }]"#
    );
    let told = written(&world, "mailbox").await?;
    ensure!(told == wanted, "{told}");
    ensure!(written(&world, "disconnect").await?.contains(r#"id: "s1""#), "{:?}", world.asked());
    // A tick comes by itself.
    ensure!(written(&world, "tick").await?.is_empty());
    // Counted when the call is over, a little after what it did.
    let ticks = until(|| host.stats().into_iter().find(|stats| stats.hook == Hook::Tick)).await?;
    ensure!(ticks.calls >= 1 && ticks.verdicts.keys().eq(["told"]), "{ticks:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_given_one_tick_at_a_time() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::new();
    // What was read is written one higher: two at a time would lose one.
    let scripts = json!({"tick": ["get:n", "work:2000", "increment:n"]});
    let plugin = PluginConfig { tick: Duration::from_millis(1), ..probe(scripts) };
    let _host = room.start_in(vec![plugin], PROBES, world.clone()).await?;
    let read = |asked: &[crate::world::Asked]| {
        asked.iter().filter(|asked| matches!(&asked.ask, Ask::Table(TableOp::Get(_)))).count()
    };
    crate::world::until(|| (read(&world.asked()) >= 3).then_some(())).await?;
    let asked = world.asked();
    for pair in asked.chunks_exact(2) {
        let is_pair = matches!(
            (&pair[0].ask, &pair[1].ask),
            (Ask::Table(TableOp::Get(_)), Ask::Table(TableOp::Change(..)))
        );
        ensure!(is_pair, "two ticks at a time: {asked:?}");
    }
    Ok(())
}
