//! Real components on the real host: what they may, what they may not, and what it costs the others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_plugin_host::{Bundled, Config, Nowhere, PluginConfig, PluginHost};
use maitred_policy::{
    Direction, Edit, Fault, Hook, HookCall, MessageFacts, OnError, Outcome, Peer, Registry, SessionFacts,
    Verdict,
};
use tests_plugins::EVIL;

const RULES: &[Bundled] =
    &[Bundled { name: "rules", component: maitred_bundled::PLUGINS[0].octets, is_default: true }];
const EVIL_ONE: &[Bundled] = &[Bundled { name: "evil", component: EVIL, is_default: true }];

fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("client.example".to_owned()),
        tls: None,
        login: None,
        may_relay: false,
        transaction: None,
        started: Timestamp(0),
        notes: Arc::default(),
    }
}

fn message(subject: &str) -> MessageFacts {
    #[expect(clippy::unwrap_used, reason = "constants of this suite")]
    let address = |text: &str| Address::parse(text).unwrap();
    MessageFacts {
        id: MessageId(1),
        envelope: Envelope {
            reverse_path: ReversePath::Address(address("alice@b.test")),
            parameters: MailParameters::default(),
            recipients: vec![Recipient { address: address("bob@a.test"), original: None }],
        },
        head: Bytes::from(format!("Subject: {subject}\r\nTo: bob@a.test\r\n")),
        body: Arc::new(Bytes::from_static(b"Hello\r\n")),
        symbols: Vec::new(),
        tags: Vec::new(),
    }
}

fn config(folder: &Path, plugins: Vec<PluginConfig>) -> Config {
    Config { directory: Some(folder.join("plugins")), state: folder.join("state"), plugins }
}

async fn ask(host: &PluginHost, subject: &str) -> Outcome {
    host.chain().ask(&session(), HookCall::Message(&message(subject))).await
}

/// Text in two charsets and encodings, and a file with a name.
fn multipart(subject: &str) -> MessageFacts {
    let head = format!("Subject: {subject}\r\nContent-Type: Multipart/Mixed; boundary=b\r\n");
    let big = "QUJD".repeat(18) + "\r\n";
    let body = format!(
        "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         Caf=E9 casino\r\n--b\r\nContent-Type: application/x; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename*=utf-8''%E2%82%AC.exe\r\n\r\n{}--b--\r\n",
        big.repeat(3)
    );
    MessageFacts { head: head.into(), body: Arc::new(Bytes::from(body)), ..message(subject) }
}

/// The fault of the only plugin that spoke.
fn fault(outcome: &Outcome) -> Option<&Fault> {
    outcome.said.first().and_then(|said| said.fault.as_ref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundled_filter_answers_by_its_configuration() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let rules = serde_json::json!({"rules": [
        {"name": "casino", "when": {"subject": "*casino*"}, "action": "refuse", "text": "No casinos here"},
        {"name": "read", "when": {"content": "*café casino*", "attachment": "*.exe"}, "action": "discard"},
        {"name": "from-b", "when": {"sender": "*@b.test", "remote_ip": "192.0.2.0/24", "body": "hello*"}, "action": "tag"},
    ]});
    let plugin = PluginConfig { config: rules, ..PluginConfig::named("rules") };
    let host = PluginHost::start(config(folder.path(), vec![plugin]), RULES, Arc::new(Nowhere)).await?;
    let Verdict::Reject(refusal) = ask(&host, "the best Casino").await.verdict else { bail!("not refused") };
    ensure!(refusal.text == "No casinos here" && refusal.status.to_string() == "5.7.1", "{refusal:?}");
    let tagged = ask(&host, "lunch").await;
    ensure!(tagged.verdict == Verdict::Next, "{tagged:?}");
    ensure!(
        tagged.edits.iter().any(|e| matches!(e, Edit::AddHeader { name, .. } if name == "X-Maitred-Rule")),
        "{tagged:?}"
    );
    // RFC 2047: what a reader sees is what a rule sees.
    let encoded = ask(&host, "the best =?utf-8?B?Q2FzaW5v?=").await;
    ensure!(matches!(encoded.verdict, Verdict::Reject(_)), "{encoded:?}");
    let inside = host.chain().ask(&session(), HookCall::Message(&multipart("lunch"))).await;
    ensure!(matches!(inside.verdict, Verdict::Discard(_)), "{inside:?}");
    ensure!(!host.chain().is_silent(Hook::Message) && host.chain().is_silent(Hook::Rcpt), "hooks");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_does_wrong_costs_that_call_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut plugin = PluginConfig { on_error: Some(OnError::Tempfail), ..PluginConfig::named("evil") };
    plugin.limits.time = Duration::from_millis(300);
    let host = PluginHost::start(config(folder.path(), vec![plugin]), EVIL_ONE, Arc::new(Nowhere)).await?;
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
    let folder = tempfile::tempdir()?;
    let mut plugin = PluginConfig::named("evil");
    plugin.limits.time = Duration::from_secs(2);
    let host = PluginHost::start(config(folder.path(), vec![plugin]), EVIL_ONE, Arc::new(Nowhere)).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_at_load_leaves_the_version_before_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = PluginHost::start(config(folder.path(), Vec::new()), EVIL_ONE, Arc::new(Nowhere)).await?;
    let before = host.list();
    let file = folder.path().join("evil.wasm");
    let mut cut = EVIL.to_vec();
    cut.truncate(EVIL.len() / 2);
    // An empty component, and one that wants to read the clock of a capability nobody knows.
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let foreign = replaced(EVIL, b"maitred:plugin/config@0.1.0", b"maitred:plugin/c0nfig@0.1.0");
    for (octets, told) in
        [(b"no wasm".to_vec(), "component"), (cut, "component"), (empty, "lifecycle"), (foreign, "c0nfig")]
    {
        std::fs::write(&file, octets)?;
        let Err(error) = host.load(None, &file).await else { bail!("{told}: it was taken") };
        ensure!(error.to_string().contains(told), "{told}: {error}");
        ensure!(error.to_string().lines().count() == 1, "{error}");
        let now = host.list();
        ensure!(now.len() == 1 && now[0].digest == before[0].digest, "{now:?}");
        ensure!(fault(&ask(&host, "fine").await).is_none(), "the version before does not answer");
    }
    Ok(())
}

fn replaced(octets: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    for at in 0..octets.len().saturating_sub(old.len()) {
        if octets[at..].starts_with(old) {
            octets[at..at + new.len()].copy_from_slice(new);
        }
    }
    octets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_plugin_that_is_refused_stops_the_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let failing = PluginConfig { config: serde_json::json!({"fail": true}), ..PluginConfig::named("evil") };
    for (plugin, told) in [(failing, "init was told to fail"), (PluginConfig::named("nosuch"), "nosuch")] {
        let checked = PluginHost::check(config(folder.path(), vec![plugin]), EVIL_ONE).await;
        let Err(error) = checked else { bail!("{told}: it was taken") };
        ensure!(error.to_string().contains(told), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_swaps_under_load_fail_no_call_and_mix_no_versions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = PluginHost::start(config(folder.path(), Vec::new()), &[], Arc::new(Nowhere)).await?;
    let files: Vec<_> = maitred_bundled::DEMO
        .iter()
        .map(|c| (folder.path().join(format!("{}.wasm", c.octets.len())), c))
        .collect();
    for (file, component) in &files {
        std::fs::write(file, component.octets)?;
    }
    host.load(Some("filter".to_owned()), &files[0].0).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (host, stop) = (Arc::clone(&host), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut seen = [0u32; 2];
                while !stop.load(Ordering::Relaxed) {
                    // One transaction: two hooks of one chain.
                    let chain = host.chain();
                    let facts = message("casino");
                    let early = chain.ask(&session(), HookCall::Headers(&facts)).await;
                    let late = chain.ask(&session(), HookCall::Message(&facts)).await;
                    match (&early.verdict, late.edits.len()) {
                        (Verdict::Next, 1) => seen[0] += 1,
                        (Verdict::Reject(_), 0) => seen[1] += 1,
                        mixed => bail!("mixed versions: {mixed:?}"),
                    }
                    for said in early.said.iter().chain(&late.said) {
                        ensure!(said.fault.is_none(), "{said:?}");
                    }
                }
                Ok(seen)
            })
        })
        .collect();
    for swap in 0..50 {
        host.load(Some("filter".to_owned()), &files[swap % 2].0).await?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut total = [0; 2];
    for caller in callers {
        let seen = caller.await??;
        total = [total[0] + seen[0], total[1] + seen[1]];
    }
    ensure!(total.iter().all(|count| *count > 0), "both versions were seen: {total:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_directory_is_loaded_swapped_and_unloaded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = PluginHost::start(config(folder.path(), Vec::new()), &[], Arc::new(Nowhere)).await?;
    ensure!(host.list().is_empty(), "nothing is there");
    let file = folder.path().join("plugins/dropped.wasm");
    for component in maitred_bundled::DEMO {
        std::fs::write(&file, component.octets)?;
        let digest = until(|| {
            host.list().first().map(|p| p.digest.clone()).filter(|d| *d == digest_of(component.octets))
        })
        .await?;
        ensure!(host.list()[0].name == "dropped" && !digest.is_empty(), "{:?}", host.list());
    }
    host.enable("dropped", false).await?;
    ensure!(host.chain().is_silent(Hook::Headers), "it is asked though it is disabled");
    // After a restart it is there, and still disabled.
    drop(host);
    let host = PluginHost::start(config(folder.path(), Vec::new()), &[], Arc::new(Nowhere)).await?;
    ensure!(host.list().len() == 1 && !host.list()[0].is_enabled, "{:?}", host.list());
    std::fs::remove_file(&file)?;
    until(|| host.list().is_empty().then_some(())).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_reads_the_whole_message_and_its_new_body_has_whole_lines() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let host = PluginHost::start(config(folder.path(), Vec::new()), EVIL_ONE, Arc::new(Nowhere)).await?;
    let read = ask(&host, "raw").await;
    let [Edit::AddHeader { value, .. }] = read.edits.as_slice() else { bail!("{read:?}") };
    ensure!(value.as_ref() == b"Subject: raw|To: bob@a.test||Hello|", "{value:?}");
    let parts = host.chain().ask(&session(), HookCall::Message(&multipart("parts"))).await;
    let tag = |name: &str, value: &str| Edit::Tag(name.to_owned(), value.to_owned());
    ensure!(
        parts.edits.get(1..)
            == Some(&[
                tag("text/plain 11", "Some(0) None Some(\"Café ca\")"),
                tag("application/x 162", "Some(0) Some(\"€.exe\") None"),
            ]),
        "{parts:?}"
    );
    // Reading from the middle again and again is paid for.
    let middle = host.chain().ask(&session(), HookCall::Message(&multipart("middle"))).await;
    ensure!(matches!(fault(&middle), Some(Fault::Budget(_))), "{middle:?}");
    let replaced = ask(&host, "body").await;
    ensure!(
        replaced.edits == [Edit::ReplaceBody(Bytes::from_static(b"one\r\n.\r\ntwo\r\n"))],
        "{replaced:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_loaded_is_there_after_a_restart_and_a_configured_one_is_missed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = || PluginConfig { on_error: Some(OnError::Tempfail), ..PluginConfig::named("filter") };
    let file = folder.path().join("some.wasm");
    std::fs::write(&file, maitred_bundled::DEMO[1].octets)?;
    let host = PluginHost::start(config(folder.path(), Vec::new()), &[], Arc::new(Nowhere)).await?;
    host.load(Some("filter".to_owned()), &file).await?;
    drop(host);
    let host = PluginHost::start(config(folder.path(), vec![settings()]), &[], Arc::new(Nowhere)).await?;
    ensure!(host.list().len() == 1 && host.list()[0].version == "2.0.0", "{:?}", host.list());
    ensure!(ask(&host, "lunch").await.verdict == Verdict::Next, "it does not answer");
    // Spoiled while nobody looks: mail is put off until it is there again.
    drop(host);
    let place = folder.path().join("plugins/filter.wasm");
    std::fs::write(&place, b"spoiled")?;
    let host = PluginHost::start(config(folder.path(), vec![settings()]), &[], Arc::new(Nowhere)).await?;
    let missed = ask(&host, "lunch").await;
    ensure!(
        matches!(missed.verdict, Verdict::Tempfail(_)) && fault(&missed) == Some(&Fault::Missing),
        "{missed:?}"
    );
    host.load(Some("filter".to_owned()), &file).await?;
    ensure!(ask(&host, "lunch").await.verdict == Verdict::Next, "it does not answer again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_is_taken_as_a_whole_or_not_at_all() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let refusing = |subject: &str| {
        let rule = serde_json::json!({"name": "r", "when": {"subject": subject}, "action": "refuse"});
        PluginConfig { config: serde_json::json!({"rules": [rule]}), ..PluginConfig::named("rules") }
    };
    let host =
        PluginHost::start(config(folder.path(), vec![refusing("one")]), RULES, Arc::new(Nowhere)).await?;
    let chain = host.chain();
    ensure!(matches!(ask(&host, "one").await.verdict, Verdict::Reject(_)), "the first configuration");
    host.reload(config(folder.path(), vec![refusing("two")])).await?;
    ensure!(ask(&host, "one").await.verdict == Verdict::Next, "the second configuration");
    ensure!(matches!(ask(&host, "two").await.verdict, Verdict::Reject(_)), "the second configuration");
    let begun = chain.ask(&session(), HookCall::Message(&message("one"))).await;
    ensure!(matches!(begun.verdict, Verdict::Reject(_)), "what has begun keeps its version: {begun:?}");
    let broken = PluginConfig { config: serde_json::json!({"rulez": []}), ..PluginConfig::named("rules") };
    let Err(error) = host.reload(config(folder.path(), vec![broken])).await else { bail!("it was taken") };
    ensure!(error.to_string().contains("rulez"), "{error}");
    ensure!(matches!(ask(&host, "two").await.verdict, Verdict::Reject(_)), "the one before stays");
    let calls = host.list()[0].calls;
    host.reload(config(folder.path(), vec![refusing("two")])).await?;
    ensure!(host.list()[0].calls == calls, "what did not change was loaded again");
    Ok(())
}

/// The digest that the host tells of these octets.
fn digest_of(octets: &[u8]) -> String {
    blake3::hash(octets).to_hex().to_string()
}

/// Looks until something is so; a directory tells when it likes.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let looking = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.context("it did not happen")
}
