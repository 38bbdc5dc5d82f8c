//! Fixtures: what the bundled plugins and the examples shall answer, tried on their components.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use maitred_plugin_host::{Bench, PluginConfig, PluginHost};
use maitred_policy::{HookCall, Registry as _, Verdict};
use serde_json::{Value, json};
use tests_plugins::{DOORMAN, PROBE};

use crate::world::{Fake, Room, ask, fault, granted, message, session};

/// A test for each folder of fixtures.
macro_rules! folders {
    ($($test:ident: $folder:literal, $component:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> Result<()> {
                try_all($folder, $component?.as_ref()).await
            }
        )+

        #[test]
        fn no_folder_is_left_out() -> Result<()> {
            let mut there: Vec<String> = std::fs::read_dir(plugins())?
                .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.join("fixtures").is_dir()))
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            there.sort();
            let mut known = vec![$($folder),+];
            known.dedup();
            ensure!(there == known, "{there:?}, not {known:?}");
            Ok(())
        }
    };
}

folders! {
    dmarc_answers_as_its_fixtures_say: "dmarc", bundled("dmarc");
    dnsbl_answers_as_its_fixtures_say: "dnsbl", bundled("dnsbl");
    the_example_in_c_answers_as_the_fixtures_say: "examples", example("c");
    the_example_in_javascript_answers_as_the_fixtures_say: "examples", example("js");
    the_example_in_python_answers_as_the_fixtures_say: "examples", example("python");
    the_example_in_rust_answers_as_the_fixtures_say: "examples", Ok::<_, anyhow::Error>(DOORMAN);
    greylist_answers_as_its_fixtures_say: "greylist", bundled("greylist");
    rate_limit_answers_as_its_fixtures_say: "rate-limit", bundled("rate-limit");
    rules_answer_as_their_fixtures_say: "rules", bundled("rules");
    srs_forward_answers_as_its_fixtures_say: "srs-forward", bundled("srs-forward");
    subaddress_answers_as_its_fixtures_say: "subaddress", bundled("subaddress");
}

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}

fn bundled(name: &str) -> Result<&'static [u8]> {
    let found = maitred_bundled::PLUGINS.iter().find(|component| component.name == name);
    Ok(found.with_context(|| format!("{name} has fixtures and is not bundled"))?.octets)
}

/// The example in another language, if its tools were here; empty if not.
fn example(language: &str) -> Result<Vec<u8>> {
    match std::fs::read(plugins().join("examples").join(language).join("dist/doorman.wasm")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!(
                "SKIPPED: fixtures for {language}, no component: plugins/examples/build.sh {language} makes it"
            );
            Ok(Vec::new())
        }
        read => Ok(read?),
    }
}

async fn try_all(folder: &str, component: &[u8]) -> Result<()> {
    if component.is_empty() {
        // Said above.
        return Ok(());
    }
    let bench = Bench::new().map_err(|error| anyhow!(error))?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(plugins().join(folder).join("fixtures"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    ensure!(!files.is_empty(), "no fixtures");
    let mut all = Vec::new();
    for file in &files {
        let (name, wrong) = bench.try_fixture(component, file).await.map_err(|error| anyhow!(error))?;
        all.extend(wrong.into_iter().map(|line| format!("{}: {name}: {line}", file.display())));
    }
    ensure!(all.is_empty(), "{all:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixture_that_expects_something_else_is_told_what_is_wrong() -> Result<()> {
    let room = Room::new()?;
    let step = |subject: &str, expect: Value| json!({"hook": "message", "message": format!("Subject: {subject}\n\nhi\n"), "expect": expect});
    let fixture = json!({
        "name": "nothing of it is so",
        "config": {"message:no": ["status:5.7.9", "header:X=a", "tag:t=v", "reject:because"], "message:trap": ["trap"]},
        "grants": ["store", "dns", "directory", "submit", "authentication", "http:https://a.test"],
        "steps": [
            step("no", json!({"verdict": "accept"})),
            step("no", json!({"status": "5.7.1"})),
            step("no", json!({"text": "why"})),
            step("no", json!({"edits": [{"tag": ["t", "w"]}]})),
            step("no", json!({"edits": [{"tag": ["t", "v"]}], "only": true})),
            step("trap", json!({"verdict": "next"})),
            step("no", json!({"verdict": "reject", "status": "5.7.9", "text": "because", "edits": [{"tag": ["t", "v"]}]})),
        ],
    });
    let bench = Bench::new().map_err(|error| anyhow!(error))?;
    let file = room.path().join("fixture.json");
    let tried = async |fixture: &Value| {
        std::fs::write(&file, serde_json::to_vec(fixture)?)?;
        bench.try_fixture(PROBE, &file).await.map_err(|error| anyhow!(error))
    };
    let (name, wrong) = tried(&fixture).await?;
    ensure!(name == "nothing of it is so", "{name}");
    let beginnings = [
        "step 1, message: verdict is reject",
        "step 2, message: status is 5.7.9, not 5.7.1",
        "step 3, message: text is \"because\", not \"why\"",
        "step 4, message: {\"tag\":[\"t\",\"w\"]} is not among the edits",
        "step 5, message: 2 edits, not 1",
        "step 6, message: verdict is fault:trap",
    ];
    ensure!(wrong.len() == beginnings.len(), "{wrong:#?}");
    for (line, beginning) in wrong.iter().zip(beginnings) {
        ensure!(line.starts_with(beginning), "{line}, not {beginning}");
    }
    let refusing = json!({"name": "refuses", "init_error": "why", "config": {}, "grants": fixture["grants"]});
    let (_, wrong) = tried(&refusing).await?;
    ensure!(wrong == ["init takes a configuration that it shall refuse"], "{wrong:?}");
    let mut refused = refusing.clone();
    refused["config"] = json!({"init": ["fail:because"]});
    let (_, wrong) = tried(&refused).await?;
    ensure!(wrong.len() == 1 && wrong[0].contains("because"), "{wrong:?}");
    refused["init_error"] = json!("because");
    ensure!(tried(&refused).await?.1.is_empty(), "it is refused as it shall be");
    // What is no fixture is an error, and not a failure of the plugin.
    for (key, value) in [
        ("steps", json!([{"hook": "nosuch", "expect": {}}])),
        ("grants", json!(["files"])),
        ("nosuch", json!(1)),
    ] {
        let mut none = fixture.clone();
        none[key] = value;
        let Err(error) = tried(&none).await else { bail!("{key}: it was tried") };
        ensure!(error.to_string().contains("fixture.json"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fixture_says_of_a_sender_is_told_where_it_is_known() -> Result<()> {
    let room = Room::new()?;
    let found = |method: &str, result: &str, about: &str| json!({"method": method, "result": result, "properties": [[about, "x"]]});
    let sees = |seen: &str| json!({"edits": [{"tag": ["authentication", seen]}], "only": true});
    let early = "iprev=pass policy.iprev=x; spf=none smtp.helo=x";
    let late = format!("{early}; spf=fail smtp.mailfrom=x; dmarc=fail header.from=x");
    let fixture = json!({
        "name": "a sender",
        "config": {"connect": ["authentication"], "helo": ["authentication"], "rcpt": ["authentication"], "message": ["authentication"]},
        "grants": ["store", "dns", "directory", "submit", "authentication", "http:https://a.test"],
        "world": {"authentication": [
            found("iprev", "pass", "policy.iprev"), found("spf", "none", "smtp.helo"),
            found("spf", "fail", "smtp.mailfrom"), found("dmarc", "fail", "header.from"),
        ]},
        "steps": [
            {"hook": "connect", "expect": sees("iprev=pass policy.iprev=x")},
            {"hook": "helo", "expect": sees(early)},
            {"hook": "rcpt", "expect": sees(&format!("{early}; spf=fail smtp.mailfrom=x"))},
            {"hook": "message", "expect": sees(&late)},
            {"hook": "message", "session": {"account": "al@a.test", "may_relay": true}, "expect": sees("")},
        ],
    });
    let file = room.path().join("sender.json");
    std::fs::write(&file, serde_json::to_vec(&fixture)?)?;
    let bench = Bench::new().map_err(|error| anyhow!(error))?;
    let (_, wrong) = bench.try_fixture(PROBE, &file).await.map_err(|error| anyhow!(error))?;
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_frozen_sets_up_at_each_call() -> Result<()> {
    let component = example("js")?;
    if component.is_empty() {
        return Ok(());
    }
    let room = Room::new()?;
    let plugin = PluginConfig {
        path: Some(room.file("doorman", &component)?),
        grants: granted(&["store"]),
        config: json!({"blocked": ["casino"], "limit": 3}),
        ..PluginConfig::named("doorman")
    };
    let broken = PluginConfig { config: json!({"limit": 0}), ..plugin.clone() };
    let refused = PluginHost::check(room.config(vec![broken]), &[]).await;
    let Err(error) = refused else { bail!("a wrong configuration was taken") };
    ensure!(error.to_string().contains("init: ") && error.to_string().contains("limit"), "{error}");
    let world = Fake::new();
    // The second start finds it compiled.
    for _ in 0..2 {
        let host = room.start_in(vec![plugin.clone()], &[], world.clone()).await?;
        let outcome = ask(&host, "a Casino").await;
        ensure!(
            matches!(&outcome.verdict, Verdict::Reject(of) if of.status.to_string() == "5.7.1"),
            "{outcome:?}"
        );
    }
    let host = room.start_in(vec![plugin], &[], world).await?;
    let facts = message("lunch");
    for number in 1..=4 {
        let call = HookCall::Rcpt(&facts.envelope.reverse_path, &facts.envelope.recipients[0]);
        let outcome = host.chain().ask(&session(), call).await;
        ensure!(fault(&outcome).is_none(), "{outcome:?}");
        ensure!((outcome.verdict == Verdict::Next) == (number <= 3), "{number}: {outcome:?}");
    }
    Ok(())
}
