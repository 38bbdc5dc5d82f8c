//! Recordings: what a plugin saw and was answered, so that another version can be asked the same again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bytes::Bytes;
use maitred_mail::{Class, Domain, EnhancedStatus, MessageId, ReversePath, Timestamp};
use maitred_plugin_host::{Bench, PluginHost, Replay, Replayed};
use maitred_policy::outside::{HttpResponse, Leads};
use maitred_policy::{
    Ask, AuthResult, Fault, Hook, Hop, HopHost, HopTls, LoginAttempt, LoginFacts, LoginProtocol,
    MailboxChange, MailboxFacts, MessageFacts, MethodResult, OutcomeFacts, OutcomeKind, Question, Registry,
    RegistryError, Reply, SessionFacts, TlsFacts, Verdict,
};
use serde_json::{Value, json};
use tests_plugins::PROBE;

use crate::world::{
    Fake, PROBES, Room, address, ask, ask_from_afar, build_of_probe, fault, message, probe, recipient,
    session, session_with, until,
};

/// More than any of these recordings has.
const PLENTY: u64 = 64 << 20;

/// A world that never answers twice alike.
fn fickle() -> Arc<Fake> {
    let count = AtomicU32::new(0);
    Fake::answering(move |ask| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Some(match ask {
            Ask::Ip(_) | Ask::Txt(_) | Ask::Ptr(_) => {
                Reply::Texts(Ok(vec![format!("192.0.2.{}", number % 256)]))
            }
            Ask::Mx(_) => Reply::Mx(Ok(vec![(10, format!("mx{number}.test"))])),
            Ask::Lists { zones, .. } => {
                Reply::Lists(zones.iter().map(|_| Ok(vec![format!("127.0.0.{}", number % 256)])).collect())
            }
            Ask::IsLocal(_) => Reply::IsLocal(number.is_multiple_of(2)),
            Ask::Resolve(_) => {
                Reply::Resolved(Leads::To { accounts: vec![format!("n{number}@a.test")], remote: Vec::new() })
            }
            Ask::Http(_) => {
                let body = number.to_string().into_bytes();
                Reply::Http(Ok(HttpResponse { status: 200, headers: Vec::new(), body }))
            }
            Ask::Submit(_) => Reply::Submitted(Ok(format!("m{number}"))),
            Ask::Authentication => {
                let found = MethodResult::new("spf", AuthResult::Softfail).because(format!("n{number}"));
                Reply::Authentication(vec![found.with("smtp.mailfrom", format!("u{number}@b.test"))])
            }
            Ask::Table(_) => return None,
        })
    })
}

fn scripts() -> Value {
    json!({
        "init": ["now", "random"],
        "connect": ["info", "born", "random", "now", "ptr:192.0.2.1", "count-note:n"],
        "helo": ["told", "lists:192.0.2.1=a.test,b.test", "count-note:n"],
        "auth": ["told", "increment:auth", "octets:9"],
        "mail": ["told", "info", "count-note:n", "local:b.test", "authentication"],
        "rcpt": ["told", "info", "count-note:n", "take-tokens:t=5", "take-tokens:u=NaN", "where:bob@a.test"],
        "headers": ["id", "size", "field:subject", "mx:b.test", "random", "authentication"],
        "message": ["id", "size", "body", "envelope", "symbols", "earlier-tag:t", "count-note:n", "fetch:https://api.a.test/", "authentication"],
        "message:trap": ["trap"], "message:illegal": ["reject:a\nb"],
        "disconnect": ["note:n", "increment:gone"],
        "resolve": ["told", "info", "increment:n", "discard:%"],
        "route": ["told", "size", "random", "bounce:%"],
        "deliver": ["told", "info", "envelope", "txt:a.test", "authentication", "discard:%"],
        "outcome": ["told", "set:outcome=%"], "mailbox": ["told", "set:mailbox=%"], "tick": ["now", "submit:bob@a.test"],
        "login": ["told", "now", "random", "ip:a.test", "deny:%"],
    })
}

/// All that a plugin can be asked, one after the other.
fn questions(number: u64, facts: &MessageFacts) -> Result<Vec<Question>> {
    let path = facts.envelope.reverse_path.clone();
    let mut to = recipient("bob@a.test");
    to.original = Some(address("info@a.test"));
    let login = LoginFacts {
        mechanism: "PLAIN".to_owned(),
        identity: format!("u{number}@a.test"),
        has_succeeded: number.is_multiple_of(3),
    };
    let hop = Hop {
        host: HopHost::Name(Domain::parse("mx.b.test")?),
        port: 25,
        tls: HopTls::Required,
        source: Some([192, 0, 2, 9].into()),
    };
    let outcome = OutcomeFacts {
        kind: OutcomeKind::Bounced,
        id: facts.id,
        reverse_path: path.clone(),
        recipient: address("x@b.test"),
        remote: None,
        status: EnhancedStatus::new(Class::Permanent, 1, 1),
        text: "no such user".to_owned(),
        attempts: 2,
        at: Timestamp(5),
    };
    let event = MailboxFacts {
        account: address("bob@a.test"),
        mailbox: "Entwürfe".to_owned(),
        uids: vec![1, 2],
        uid_validity: 3,
        change: MailboxChange::FlagsChanged(vec!["\\Seen".to_owned()]),
    };
    let door = LoginAttempt {
        protocol: LoginProtocol::Pop3,
        login: login.clone(),
        remote: [192, 0, 2, 3].into(),
        has_tls: true,
    };
    Ok(vec![
        Question::Connect,
        Question::Helo("c.example".to_owned()),
        Question::Auth(login),
        Question::Mail(path.clone()),
        Question::Resolve(path.clone(), to.address.clone()),
        Question::Rcpt(path, to.clone()),
        Question::Headers(facts.clone()),
        Question::Message(facts.clone()),
        Question::Deliver(facts.clone(), to, address("bob@a.test")),
        Question::Route(facts.clone(), Domain::parse("b.test")?, vec![hop]),
        Question::Outcomes(vec![outcome]),
        Question::Login(door),
        Question::Mailbox(vec![event]),
        Question::Tick,
        Question::Disconnect,
    ])
}

/// A message; each kind of content in its turn.
fn message_of(number: u64) -> MessageFacts {
    let subjects = ["hello", "héllo", "trap", "planted", "illegal", "plain", "=?utf-8?Q?h=C3=A9?="];
    let bodies: [&'static [u8]; 5] = [
        b"Hello\r\n",
        b"bare\nline ends\r in it\r\n",
        b"not \xff UTF-8\r\n",
        b"",
        "ein größerer Text\r\n".as_bytes(),
    ];
    let mut facts = message(subjects[number as usize % subjects.len()]);
    facts.id = MessageId(number + 1);
    facts.body = Arc::new(Bytes::from_static(bodies[number as usize % bodies.len()]));
    let envelope = Arc::make_mut(&mut facts.envelope);
    envelope.recipients[0].original = Some(address("info@a.test"));
    envelope.recipients.push(recipient("al@a.test"));
    if number.is_multiple_of(4) {
        envelope.reverse_path = ReversePath::Null;
    }
    facts.symbols.push(("S".to_owned(), 0.1));
    facts.tags.push(("t".to_owned(), "v".to_owned()));
    facts
}

fn session_of(number: u64, facts: &MessageFacts) -> SessionFacts {
    // Not every session has a transaction.
    let mut session = if number.is_multiple_of(5) { session() } else { session_with(facts) };
    session.id = format!("s{number}");
    session.helo = number.is_multiple_of(2).then(|| "c.example".to_owned());
    let cipher = "TLS_AES_128_GCM_SHA256".to_owned();
    session.tls = Some(TlsFacts { version: "TLSv1.3".to_owned(), cipher, server_name: None });
    session
}

/// So many lines lie in the recording.
async fn lines(file: &Path, count: usize) -> Result<()> {
    until(|| {
        let octets = std::fs::read(file).ok()?;
        (octets.iter().filter(|octet| **octet == b'\n').count() >= count).then_some(())
    })
    .await
}

/// Records so many calls at all hooks.
async fn record(host: &PluginHost, calls: usize) -> Result<std::path::PathBuf> {
    let file = host.record("probe", Some(PLENTY)).await?;
    let chain = host.chain();
    let mut made = 0;
    for number in 0.. {
        let facts = message_of(number);
        let session = session_of(number, &facts);
        for question in questions(number, &facts)? {
            if made == calls {
                host.record("probe", None).await?;
                return Ok(file);
            }
            let call = question.as_call();
            let plugin =
                chain.of(call.hook()).next().ok_or_else(|| anyhow!("nobody has {:?}", call.hook()))?;
            plugin.call(&session, call).await;
            made += 1;
        }
        // Calls that come faster than they are written are left out.
        lines(&file, made).await?;
    }
    bail!("no end")
}

async fn replay(component: &[u8], scripts: Value, file: &Path) -> Result<Replay> {
    let bench = Bench::new().map_err(|error| anyhow!(error))?;
    bench.replay(component, &probe(scripts), file).await.map_err(|error| anyhow!(error))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_replayed_twice_are_answered_alike() -> Result<()> {
    let room = Room::new()?;
    let host = room.start_in(vec![probe(scripts())], PROBES, fickle()).await?;
    let file = record(&host, 1_000).await?;
    lines(&file, 1_000).await?;
    let hooks: std::collections::BTreeSet<Hook> = host.stats().into_iter().map(|stats| stats.hook).collect();
    ensure!(hooks.len() == Hook::ALL.len(), "{hooks:?}");
    let (first, second) = (replay(PROBE, scripts(), &file).await?, replay(PROBE, scripts(), &file).await?);
    ensure!(first.calls == 1_000 && first.fresh == 0, "{} calls, {} fresh", first.calls, first.fresh);
    ensure!(first.differences.is_empty(), "{:#?}", first.differences.iter().take(3).collect::<Vec<_>>());
    ensure!(first == second, "{} and {}", first.digest, second.digest);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_differs_where_it_was_made_to_and_nowhere_else() -> Result<()> {
    let room = Room::new()?;
    let mut with = scripts();
    with["message:planted@1"] = json!(["discard:old"]);
    with["message:planted@2"] = json!(["ip:fresh.test", "increment:fresh", "status:5.7.9", "reject:new"]);
    with["login:u4@a.test@2"] = json!(["trap"]);
    let host = room.start_in(vec![probe(with.clone())], PROBES, fickle()).await?;
    let file = record(&host, 300).await?;
    lines(&file, 300).await?;
    let is = replay(&build_of_probe(2), with.clone(), &file).await?;
    // Messages 4, 11 and 18 of 20 are those; nothing was recorded of what it asks anew.
    let planted = |number: u64| Replayed {
        hook: "message".to_owned(),
        at: MessageId(number).to_string(),
        was: "discard old".to_owned(),
        would: "reject 5.7.9 new; tag ip=Err(Temporary(\"there is no such thing here\")); \
                tag increment=Err(Unavailable(\"there is no such thing here\"))"
            .to_owned(),
    };
    let login = is.differences.iter().find(|of| of.hook == "login");
    let login = login.ok_or_else(|| anyhow!("no login in {:#?}", is.differences))?;
    ensure!(login.was.starts_with("deny told=Login { protocol: Pop3, account: \"u4@a.test\""), "{login:?}");
    ensure!(login.would == "fault: trapped: wasm trap: wasm `unreachable` instruction executed", "{login:?}");
    let wanted = [planted(4), login.clone(), planted(11), planted(18)];
    ensure!(is.differences == wanted, "{:#?}", is.differences);
    ensure!(is.calls == 300 && is.fresh == 6, "{} calls, {} fresh", is.calls, is.fresh);
    let same = replay(PROBE, with, &file).await?;
    ensure!(same.differences.is_empty() && same.digest != is.digest, "{same:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_its_owners_alone_and_bounded() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(vec![probe(json!({"message": ["body", "random"]}))], PROBES).await?;
    let unknown = host.record("nosuch", Some(PLENTY)).await;
    ensure!(matches!(unknown, Err(RegistryError::Unknown(_))), "{unknown:?}");
    // Somebody's file is there, for all to read.
    let place = room.state().join("recordings/probe.jsonl");
    std::fs::create_dir(room.state().join("recordings"))?;
    std::fs::write(&place, "old")?;
    let file = host.record("probe", Some(20_000)).await?;
    ensure!(file == place, "{}", file.display());
    let mode = |path: &Path| Ok::<_, std::io::Error>(std::fs::metadata(path)?.permissions().mode() & 0o777);
    ensure!(mode(&file)? == 0o600, "{:o}", mode(&file)?);
    let mut line = 0;
    for number in 1..=200 {
        let outcome = ask(&host, "hello").await;
        ensure!(fault(&outcome).is_none(), "{outcome:?}");
        if number == 1 {
            lines(&file, 1).await?;
            line = std::fs::metadata(&file)?.len();
        }
    }
    until(|| std::fs::metadata(&file).ok().filter(|facts| facts.len() + 2 * line > 20_000)).await?;
    let octets = std::fs::read(&file)?;
    ensure!(octets.len() <= 20_000 && octets.ends_with(b"\n"), "{} octets", octets.len());
    for recorded in octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<Value>(recorded)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_was_cut_is_read_as_far_as_it_goes() -> Result<()> {
    let room = Room::new()?;
    let with = json!({"message": ["field:subject", "random"]});
    let host = room.start(vec![probe(with.clone())], PROBES).await?;
    let file = host.record("probe", Some(PLENTY)).await?;
    for _ in 0..3 {
        ask(&host, "größer").await;
    }
    lines(&file, 3).await?;
    host.record("probe", None).await?;
    let whole = std::fs::read(&file)?;
    // In the middle of its last line, and of a letter of two octets.
    let letter = whole.windows(2).rposition(|two| two == "ö".as_bytes()).map(|at| at + 1);
    for end in [whole.len() - 20, letter.ok_or_else(|| anyhow!("no such letter"))?] {
        std::fs::write(&file, &whole[..end])?;
        let read = replay(PROBE, with.clone(), &file).await?;
        ensure!(read.calls == 2 && read.differences.is_empty(), "cut at {end}: {read:?}");
    }
    let mut damaged = whole.clone();
    damaged[10] = b'}';
    std::fs::write(&file, damaged)?;
    let Err(error) = replay(PROBE, with.clone(), &file).await else { bail!("it was read") };
    ensure!(error.to_string().contains("line 1"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_that_is_begun_anew_has_what_comes_then() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(vec![probe(json!({"message": ["random"]}))], PROBES).await?;
    for round in 1..=20 {
        let file = host.record("probe", Some(PLENTY)).await?;
        // These may still be on their way when it is begun anew.
        for _ in 0..30 {
            ask(&host, "before").await;
        }
        host.record("probe", Some(PLENTY)).await?;
        for _ in 0..round {
            ask(&host, "after").await;
        }
        lines(&file, round).await?;
        host.record("probe", None).await?;
        let text = std::fs::read_to_string(&file)?;
        let recorded: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let is_after = |of: &Value| of["step"]["message"].as_str().is_some_and(|text| text.contains("after"));
        ensure!(recorded.len() == round && recorded.iter().all(is_after), "{round}: {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_not_made_is_not_recorded() -> Result<()> {
    let room = Room::new()?;
    let with = json!({"message:bad": ["trap"]});
    let mut plugin = probe(with.clone());
    plugin.limits.time = Duration::from_secs(2);
    let host = room.start(vec![plugin], PROBES).await?;
    let file = host.record("probe", Some(PLENTY)).await?;
    let mut made: u8 = 0;
    while !host.list()[0].is_broken {
        ask_from_afar(&host, made, "bad").await;
        made += 1;
        ensure!(made < 100, "it is asked for ever");
    }
    for _ in 0..5 {
        let outcome = ask(&host, "bad").await;
        ensure!(fault(&outcome) == Some(&Fault::Broken) && outcome.verdict == Verdict::Next, "{outcome:?}");
    }
    host.record("probe", None).await?;
    let made = usize::from(made);
    lines(&file, made).await?;
    let again = replay(PROBE, with, &file).await?;
    ensure!(again.calls == made && again.differences.is_empty(), "{again:?}");
    Ok(())
}
