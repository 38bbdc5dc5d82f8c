//! Capabilities: what a plugin asks the world outside and is answered, what it needs for that, and how much is too much.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use maitred_plugin_host::{Bundled, OwnMetric, PluginConfig, PluginHost};
use maitred_policy::outside::{
    HttpError, HttpRequest, HttpResponse, Leads, NewMessage, SubmitError, Unanswered,
};
use maitred_policy::{
    Ask, AuthResult, Change, Fault, HookCall, MethodResult, Registry, Reply, TableAnswer, TableError, TableOp,
};
use serde_json::json;
use tests_plugins::PROBE;

use crate::world::{Fake, GRANTS, PROBES, Room, Silent, ask, fault, found, granted, message, probe, session};

/// An action of the probe, what it comes to outside, what is replied, and what the probe sees of that.
type Case = (&'static str, Ask, Reply, &'static str);

fn text(text: &str) -> String {
    text.to_owned()
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

fn dns_cases() -> Vec<Case> {
    let txt = |action, name: &str, reply, seen| (action, Ask::Txt(text(name)), Reply::Texts(reply), seen);
    let lists = Ask::Lists { query: text("192.0.2.1"), zones: texts(&["a.test", "b.test", "c.test"]) };
    let listed = vec![
        Ok(texts(&["127.0.0.2", "127.0.0.4"])),
        Ok(Vec::new()),
        Err(Unanswered::Temporary(text("late"))),
    ];
    vec![
        (
            "ip:a.test",
            Ask::Ip(text("a.test")),
            Reply::Texts(Ok(texts(&["192.0.2.1", "2001:db8::1"]))),
            r#"Ok(["192.0.2.1", "2001:db8::1"])"#,
        ),
        txt("txt:a.test", "a.test", Ok(texts(&["v=spf1 -all"])), r#"Ok(["v=spf1 -all"])"#),
        txt("txt:b.test", "b.test", Err(Unanswered::NoSuchName), "Err(NoSuchName)"),
        txt("txt:c.test", "c.test", Err(Unanswered::NoRecord), "Err(NoRecord)"),
        txt("txt:d.test", "d.test", Err(Unanswered::Temporary(text("late"))), r#"Err(Temporary("late"))"#),
        txt("txt:-", "-", Err(Unanswered::Invalid), "Err(Invalid)"),
        (
            "mx:a.test",
            Ask::Mx(text("a.test")),
            Reply::Mx(Ok(vec![(10, text("mx.a.test")), (20, text(""))])),
            r#"Ok([(10, "mx.a.test"), (20, "")])"#,
        ),
        ("mx:b.test", Ask::Mx(text("b.test")), Reply::Mx(Err(Unanswered::NoRecord)), "Err(NoRecord)"),
        (
            "ptr:192.0.2.1",
            Ask::Ptr(text("192.0.2.1")),
            Reply::Texts(Ok(texts(&["c.example"]))),
            r#"Ok(["c.example"])"#,
        ),
        (
            "lists:192.0.2.1=a.test,b.test,c.test",
            lists,
            Reply::Lists(listed),
            r#"[Ok(["127.0.0.2", "127.0.0.4"]), Ok([]), Err(Temporary("late"))]"#,
        ),
    ]
}

fn directory_cases() -> Vec<Case> {
    let leads =
        |action, to: &str, reply, seen| (action, Ask::Resolve(text(to)), Reply::Resolved(reply), seen);
    let both = Leads::To { accounts: texts(&["bob@a.test"]), remote: texts(&["bob@b.test"]) };
    vec![
        ("local:a.test", Ask::IsLocal(text("a.test")), Reply::IsLocal(true), "true"),
        ("local:b.test", Ask::IsLocal(text("b.test")), Reply::IsLocal(false), "false"),
        leads("where:bob@a.test", "bob@a.test", both, r#"LeadsTo(["bob@a.test"], ["bob@b.test"])"#),
        leads("where:no@a.test", "no@a.test", Leads::Unknown, "Unknown"),
        leads("where:x@b.test", "x@b.test", Leads::Remote, "Remote"),
    ]
}

fn http_cases() -> Vec<Case> {
    let request = |method: &str, path: &str, body: &[u8]| {
        let headers = vec![(text("X-Probe"), text("1"))];
        let url = format!("https://api.a.test/{path}");
        Ask::Http(HttpRequest { method: text(method), url, headers, body: body.to_vec(), timeout_ms: 700 })
    };
    let failed =
        |action, path, error, seen| (action, request("GET", path, b""), Reply::Http(Err(error)), seen);
    let response = HttpResponse { status: 201, headers: vec![(text("a"), text("b"))], body: b"new".to_vec() };
    vec![
        (
            "post:https://api.a.test/x=hello",
            request("POST", "x", b"hello"),
            Reply::Http(Ok(response)),
            r#"Ok((201, [("a", "b")], "new"))"#,
        ),
        failed("fetch:https://api.a.test/1", "1", HttpError::Denied, "Err(Denied)"),
        failed("fetch:https://api.a.test/2", "2", HttpError::Invalid(text("no")), r#"Err(Invalid("no"))"#),
        failed("fetch:https://api.a.test/3", "3", HttpError::Timeout, "Err(Timeout)"),
        failed("fetch:https://api.a.test/4", "4", HttpError::TooLarge, "Err(TooLarge)"),
        failed("fetch:https://api.a.test/5", "5", HttpError::Failed(text("tls")), r#"Err(Failed("tls"))"#),
    ]
}

fn submit_cases() -> Vec<Case> {
    let submit = |action, to: &[&str], reply, seen| {
        let raw = b"Subject: probe\r\n\r\nhello\r\n".to_vec();
        let new = NewMessage { sender: String::new(), recipients: texts(to), raw };
        (action, Ask::Submit(new), Reply::Submitted(reply), seen)
    };
    vec![
        submit("submit:bob@a.test,al@b.test", &["bob@a.test", "al@b.test"], Ok(text("m1")), r#"Ok("m1")"#),
        submit("submit:b@a.test", &["b@a.test"], Err(SubmitError::Rate(1_500)), "Err(Rate(1500))"),
        submit("submit:-", &["-"], Err(SubmitError::Invalid(text("-"))), r#"Err(Invalid("-"))"#),
        submit(
            "submit:d@a.test",
            &["d@a.test"],
            Err(SubmitError::Unavailable(text("full"))),
            r#"Err(Unavailable("full"))"#,
        ),
    ]
}

fn authentication_cases() -> Vec<Case> {
    let found = vec![
        MethodResult::new("spf", AuthResult::Softfail).because("why").with("smtp.mailfrom", "al@b.test"),
        MethodResult::new("dmarc", AuthResult::Temperror)
            .with("header.from", "b.test")
            .with("policy.dmarc", "none"),
    ];
    let seen = "spf=softfail smtp.mailfrom=al@b.test; dmarc=temperror header.from=b.test policy.dmarc=none";
    vec![("authentication", Ask::Authentication, Reply::Authentication(found), seen)]
}

fn store_cases() -> Vec<Case> {
    let get = |action, key: &str, reply, seen| {
        (action, Ask::Table(TableOp::Get(text(key))), Reply::Table(reply), seen)
    };
    let change = |action, key: &str, change, answer, seen| {
        (action, Ask::Table(TableOp::Change(text(key), change)), Reply::Table(Ok(answer)), seen)
    };
    let scan = TableOp::Scan { prefix: text("a"), after: Some(text("a1")), max: 10 };
    let swap = Change::CompareAndSet { old: Some(b"x".to_vec()), new: None, ttl: None };
    let bucket = Change::TakeTokens { capacity: 2, per_second: 0.5, cost: 1 };
    vec![
        get("get:a", "a", Ok(TableAnswer::Value(Some(b"1".to_vec()))), r#"Ok(Some("1"))"#),
        get("get:b", "b", Ok(TableAnswer::Value(None)), "Ok(None)"),
        get("get:c", "c", Err(TableError::Full(7)), "Err(Full(7))"),
        get("get:d", "d", Err(TableError::TooLarge), "Err(TooLarge)"),
        get("get:e", "e", Err(TableError::Kind), "Err(Kind)"),
        get("get:f", "f", Err(TableError::Unavailable(text("disk"))), r#"Err(Unavailable("disk"))"#),
        (
            "get-many:a,b",
            Ask::Table(TableOp::GetMany(texts(&["a", "b"]))),
            Reply::Table(Ok(TableAnswer::Values(vec![None, Some(b"2".to_vec())]))),
            r#"Ok([None, Some("2")])"#,
        ),
        ("scan:a=a1", Ask::Table(scan), Reply::Table(Ok(TableAnswer::Keys(texts(&["a2"])))), r#"Ok(["a2"])"#),
        change("set:a=1", "a", Change::Set { value: b"1".to_vec(), ttl: None }, TableAnswer::Done, "Ok(())"),
        change(
            "set-soon:a=1",
            "a",
            Change::Set { value: b"1".to_vec(), ttl: Some(60) },
            TableAnswer::Done,
            "Ok(())",
        ),
        change("delete:a", "a", Change::Delete, TableAnswer::Done, "Ok(())"),
        change(
            "get-or-insert:a=1",
            "a",
            Change::GetOrInsert { value: b"1".to_vec(), ttl: Some(60) },
            TableAnswer::Value(Some(b"0".to_vec())),
            r#"Ok(Some("0"))"#,
        ),
        change("compare-and-set:a=x", "a", swap, TableAnswer::Swapped(false), "Ok(false)"),
        change(
            "increment:a=-3",
            "a",
            Change::Increment { delta: -3, ttl: Some(60) },
            TableAnswer::Count(-2),
            "Ok(-2)",
        ),
        change("take-tokens:a", "a", bucket.clone(), TableAnswer::Wait(900), "Ok(Wait(900))"),
        change("take-tokens:b", "b", bucket, TableAnswer::Taken(1), "Ok(Left(1))"),
    ]
}

/// How often the probe used something, as the server's metrics tell it.
fn used(host: &PluginHost, capability: &str) -> Option<f64> {
    let labels = [("plugin", "probe"), ("capability", capability)];
    let is_it = |metric: &OwnMetric| {
        let known = metric.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        metric.name == "maitred_plugin_capability_total" && metric.is_counter && known.eq(labels)
    };
    host.metrics().into_iter().find(is_it).map(|metric| metric.value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_gets_outside_and_every_reply_gets_back_and_all_are_counted() -> Result<()> {
    let room = Room::new()?;
    let by_capability = [
        ("dns", dns_cases()),
        ("directory", directory_cases()),
        ("http", http_cases()),
        ("submit", submit_cases()),
        ("store", store_cases()),
        ("authentication", authentication_cases()),
    ];
    let cases: Vec<Case> = by_capability.iter().flat_map(|(_, cases)| cases.clone()).collect();
    let script: Vec<&str> = cases.iter().map(|(action, ..)| *action).collect();
    let replies: Vec<(Ask, Reply)> =
        cases.iter().map(|(_, ask, reply, _)| (ask.clone(), reply.clone())).collect();
    let world = Fake::answering(move |ask| {
        replies.iter().find(|(known, _)| known == ask).map(|(_, reply)| reply.clone())
    });
    let plugin = probe(json!({"message": script}));
    let host = room.start_in(vec![plugin], PROBES, world.clone()).await?;
    let outcome = ask(&host, "hello").await;
    ensure!(fault(&outcome).is_none(), "{outcome:?}");
    let seen = found(&outcome);
    ensure!(seen.len() == cases.len(), "{} of {} answered", seen.len(), cases.len());
    for ((action, _, _, wanted), (_, is)) in cases.iter().zip(seen) {
        ensure!(is == *wanted, "{action}: {is}, not {wanted}");
    }
    let asked = world.asked();
    ensure!(asked.iter().map(|asked| &asked.ask).eq(cases.iter().map(|(_, ask, ..)| ask)), "{asked:?}");
    ensure!(asked.iter().all(|asked| asked.plugin == "probe"), "{asked:?}");
    // Which origins were granted goes with every question: the world outside refuses the others.
    ensure!(asked.iter().all(|asked| asked.origins == ["https://api.a.test"]), "{asked:?}");
    for (capability, cases) in &by_capability {
        let count = u32::try_from(cases.len())?;
        ensure!(used(&host, capability) == Some(f64::from(count)), "{capability}: {:?}", host.metrics());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_another_kind_is_our_defect_and_ends_the_call_alone() -> Result<()> {
    let room = Room::new()?;
    let world = Fake::answering(|ask| matches!(ask, Ask::Ip(_)).then_some(Reply::IsLocal(true)));
    let plugin = probe(json!({"message:wrong": ["ip:a.test"]}));
    let host = room.start_in(vec![plugin], PROBES, world).await?;
    let wrong = ask(&host, "wrong").await;
    let Some(Fault::Trap(why)) = fault(&wrong) else { bail!("{wrong:?}") };
    ensure!(why.contains("of another kind"), "{why}");
    ensure!(fault(&ask(&host, "right").await).is_none(), "the next call failed, too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_not_granted_is_refused_by_name_and_the_version_before_stays() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    let demo = room.file("demo", maitred_bundled::DEMO[0].octets)?;
    let before = host.load(Some("probe".to_owned()), &demo).await?;
    let file = room.file("probe", PROBE)?;
    for missing in GRANTS {
        let others: Vec<&str> = GRANTS.into_iter().filter(|word| *word != missing).collect();
        let settings = PluginConfig { grants: granted(&others), ..PluginConfig::named("probe") };
        host.reload(room.config(vec![settings])).await?;
        let Err(error) = host.load(None, &file).await else { bail!("taken without {missing}") };
        let capability = missing.split(':').next().unwrap_or(missing);
        let told = error.to_string();
        ensure!(told.contains(&format!("maitred:plugin/{capability}@0.1.1")), "{missing}: {told}");
        // As it is to be written; whose server it may be the operator knows.
        let word = if capability == "http" { "http:https://HOST" } else { capability };
        ensure!(told.contains(&format!("grants = [{word:?}]")), "{missing}: {told}");
        ensure!(told.lines().count() == 1, "{told}");
        let now = host.list();
        ensure!(now.len() == 1 && now[0].digest == before.digest, "{missing}: {now:?}");
        ensure!(ask(&host, "casino").await.edits.len() == 1, "{missing}: the version before does not answer");
    }
    host.reload(room.config(vec![probe(json!({}))])).await?;
    let after = host.load(None, &file).await?;
    ensure!(after.grants == GRANTS && after.digest != before.digest, "{after:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundled_plugin_needs_its_grant_like_any_other() -> Result<()> {
    const GREYLIST: &[Bundled] =
        &[Bundled { name: "greylist", component: maitred_bundled::PLUGINS[1].octets, is_default: false }];
    let room = Room::new()?;
    let named = PluginConfig::named("greylist");
    let refused = PluginHost::check(room.config(vec![named.clone()]), GREYLIST).await;
    let Err(error) = refused else { bail!("taken without a table") };
    ensure!(error.to_string().contains(r#"grants = ["store"]"#), "{error}");
    let with = PluginConfig { grants: granted(&["store"]), ..named };
    let facts = PluginHost::check(room.config(vec![with]), GREYLIST).await?;
    ensure!(facts.len() == 1 && facts[0].grants == ["store"], "{facts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_keep_what_they_are_told_each_plugin_its_own() -> Result<()> {
    let room = Room::new()?;
    let script = json!({"message": [
        "set:a=1", "get:a", "get-or-insert:a=2", "get-or-insert:b=2", "get-many:a,b,c", "compare-and-set:a=1>3",
        "compare-and-set:a=1>4", "get:a", "increment:n=5", "increment:n=-2", "increment:b", "take-tokens:t=0.001", "take-tokens:t=0.001",
        "take-tokens:n", "scan:", "scan:=a", "delete:a", "get:a", "set-soon:a=9", "increment:x", "take-tokens:y=NaN",
    ]});
    let other = PluginConfig { order: 60, ..probe(json!({"message": ["scan:"]})) };
    let other = PluginConfig { name: "other".to_owned(), ..other };
    let world = Fake::new();
    let host = room.start_in(vec![probe(script), other], PROBES, world.clone()).await?;
    let outcome = ask(&host, "hello").await;
    let seen: Vec<&str> = found(&outcome).into_iter().map(|(_, seen)| seen).collect();
    let wanted = [
        "Ok(())",
        r#"Ok(Some("1"))"#,
        r#"Ok(Some("1"))"#,
        "Ok(None)",
        r#"Ok([Some("1"), Some("2"), None])"#,
        "Ok(true)",
        "Ok(false)",
        r#"Ok(Some("3"))"#,
        "Ok(5)",
        "Ok(3)",
        "Ok(3)",
        "Ok(Left(1))",
        "Ok(Left(0))",
        "Err(Kind)",
        r#"Ok(["a", "b", "n", "t"])"#,
        r#"Ok(["b", "n", "t"])"#,
        "Ok(())",
        "Ok(None)",
        "Ok(())",
        "Ok(1)",
        "Err(Kind)",
        // The other one's.
        "Ok([])",
    ];
    ensure!(seen == wanted, "{seen:#?}");
    ensure!(world.value("probe", "b")?.as_deref() == Some("3") && world.value("other", "b")?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_ends_the_call_or_is_refused() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = probe(json!({
        "message:asks": ["many-ips:6"], "message:five": ["many-ips:5"], "message:lists": ["many-lists:33"],
        "message:keys": ["get-thousand:1001"], "message:key": ["set-key:512", "set-key:513"],
        "message:value": ["set-value:v=65536", "set-value:w=65537"], "message:flood": ["flood:4"],
        "message:submit": ["submit-many:100", "submit-many:101", "submit-many:0", "submit-octets:1048577"],
        "message:octets": ["fetch:https://api.a.test/large"],
    }));
    plugin.limits.asks = 5;
    plugin.limits.octets = 200_000;
    plugin.limits.table = 3_200;
    let world = Fake::answering(|ask| match ask {
        Ask::Ip(_) => Some(Reply::Texts(Ok(Vec::new()))),
        Ask::Submit(_) => Some(Reply::Submitted(Ok("m1".to_owned()))),
        Ask::Http(_) => {
            let body = vec![b'x'; 300_000];
            Some(Reply::Http(Ok(HttpResponse { status: 200, headers: Vec::new(), body })))
        }
        Ask::Table(TableOp::Change(key, _)) if key.starts_with("k") && key.len() > 100 => None,
        Ask::Table(TableOp::Change(key, Change::Set { value, .. })) if value.len() > 60_000 => {
            // A table has its own limit of a value; a large table would hold it.
            Some(Reply::Table(if key == "v" { Ok(TableAnswer::Done) } else { Err(TableError::TooLarge) }))
        }
        _ => None,
    });
    let host = room.start_in(vec![plugin], PROBES, world.clone()).await?;
    for (subject, budget) in [
        ("asks", "questions to the outside"),
        ("lists", "lists in one call"),
        ("keys", "keys in one call"),
        ("octets", "octets"),
    ] {
        let outcome = ask(&host, subject).await;
        ensure!(fault(&outcome) == Some(&Fault::Budget(budget)), "{subject}: {outcome:?}");
    }
    let invalid = r#"Err(Invalid("1 to 100 recipients"))"#;
    for (subject, wanted) in [
        ("five", vec!["5"]),
        ("key", vec!["Ok(())", "Err(TooLarge)"]),
        ("value", vec!["Ok(())", "Err(TooLarge)"]),
        // The first key has 544 octets with what an entry costs, each of the flood 1,037.
        ("flood", vec!["Some(Err(Full(2618)))"]),
        ("submit", vec![r#"Ok("m1")"#, invalid, invalid, r#"Err(Invalid("more than 1 MiB"))"#]),
    ] {
        let outcome = ask(&host, subject).await;
        let seen: Vec<&str> = found(&outcome).into_iter().map(|(_, seen)| seen).collect();
        ensure!(seen == wanted, "{subject}: {outcome:?}");
    }
    // What was refused here did not get there.
    let submitted = world.asked().iter().filter(|asked| matches!(asked.ask, Ask::Submit(_))).count();
    ensure!(submitted == 1, "{submitted} were submitted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_live_as_long_as_the_session_and_are_seen_by_their_plugin_alone() -> Result<()> {
    let room = Room::new()?;
    let first = probe(json!({"mail": ["set-note:k=mine"], "message": ["note:k"]}));
    let second = PluginConfig { order: 60, ..probe(json!({"mail": ["note:k"], "message": ["note:k"]})) };
    let second = PluginConfig { name: "other".to_owned(), ..second };
    let host = room.start(vec![first, second], PROBES).await?;
    let (session, message) = (session(), message("hello"));
    let mail = host.chain().ask(&session, HookCall::Mail(&message.envelope.reverse_path)).await;
    ensure!(found(&mail) == [("set-note", "done"), ("note", "None")], "{mail:?}");
    let late = host.chain().ask(&session, HookCall::Message(&message)).await;
    ensure!(found(&late) == [("note", r#"Some("mine")"#), ("note", "None")], "{late:?}");
    let another = ask(&host, "hello").await;
    ensure!(found(&another) == [("note", "None"), ("note", "None")], "{another:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_the_world_outside_has_an_end_of_its_own() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = probe(json!({"message:wait": ["ip:a.test"]}));
    plugin.limits.time = Duration::from_millis(300);
    plugin.limits.wait = Duration::from_millis(200);
    let host = room.start_in(vec![plugin], PROBES, Arc::new(Silent)).await?;
    let began = std::time::Instant::now();
    let outcome = ask(&host, "wait").await;
    ensure!(matches!(fault(&outcome), Some(Fault::Time(_))), "{outcome:?}");
    ensure!(began.elapsed() >= Duration::from_millis(500), "it was not let wait");
    ensure!(fault(&ask(&host, "go on").await).is_none(), "the next call failed, too");
    Ok(())
}

/// Answers after longer than a call may compute.
struct Slow(Duration);

#[async_trait::async_trait]
impl maitred_policy::Outside for Slow {
    async fn ask(&self, _: &maitred_policy::Asker, ask: Ask) -> Reply {
        tokio::time::sleep(self.0).await;
        ask.unavailable("slow")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_the_world_outside_is_no_computing() -> Result<()> {
    let room = Room::new()?;
    let mut plugin = probe(json!({"message": ["ip:a.test", "ip:b.test", "work:10"]}));
    plugin.limits.time = Duration::from_millis(400);
    let host = room.start_in(vec![plugin], PROBES, Arc::new(Slow(Duration::from_millis(300)))).await?;
    let outcome = ask(&host, "hello").await;
    ensure!(fault(&outcome).is_none() && found(&outcome).len() == 2, "{outcome:?}");
    let stats = host.stats();
    ensure!(stats.len() == 1 && stats[0].host_s >= 0.6 && stats[0].host_calls >= 2, "{stats:?}");
    Ok(())
}
