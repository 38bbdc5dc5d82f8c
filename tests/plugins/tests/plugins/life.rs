//! The life of a plugin: loaded, refused, swapped, taken out, there again after a restart.

use anyhow::{Result, bail, ensure};
use maitred_plugin_host::{Bundled, PluginConfig, PluginHost};
use maitred_policy::{Fault, Hook, HookCall, OnError, Registry, Verdict};
use tests_plugins::EVIL;

use crate::world::{
    EVIL_ONE, PROBES, Room, ask, build_of_probe, digest_of, fault, message, probe, replaced, session, until,
};

const RULES: &[Bundled] =
    &[Bundled { name: "rules", component: maitred_bundled::PLUGINS[0].octets, is_default: true }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_plugin_that_is_refused_stops_the_start() -> Result<()> {
    let room = Room::new()?;
    let failing = PluginConfig { config: serde_json::json!({"fail": true}), ..PluginConfig::named("evil") };
    let nowhere = PluginConfig { path: Some(room.path().join("no.wasm")), ..PluginConfig::named("nosuch") };
    for (plugin, told) in [(failing, "init was told to fail"), (nowhere, "no.wasm")] {
        let checked = PluginHost::check(room.config(vec![plugin]), EVIL_ONE).await;
        let Err(error) = checked else { bail!("{told}: it was taken") };
        ensure!(error.to_string().contains(told), "{error}");
    }
    // One whose component is yet to come waits for it, and is told apart.
    let facts = PluginHost::check(room.config(vec![PluginConfig::named("later")]), &[]).await?;
    ensure!(facts.len() == 1 && facts[0].name == "later" && facts[0].origin == "awaited", "{facts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_directory_is_loaded_swapped_and_unloaded() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    ensure!(host.list().is_empty(), "nothing is there");
    let file = room.path().join("plugins/dropped.wasm");
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
    let host = room.start(Vec::new(), &[]).await?;
    ensure!(host.list().len() == 1 && !host.list()[0].is_enabled, "{:?}", host.list());
    std::fs::remove_file(&file)?;
    until(|| host.list().is_empty().then_some(())).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_loaded_is_there_after_a_restart_and_a_configured_one_is_missed() -> Result<()> {
    let room = Room::new()?;
    let settings = || PluginConfig { on_error: Some(OnError::Tempfail), ..PluginConfig::named("filter") };
    let file = room.path().join("some.wasm");
    std::fs::write(&file, maitred_bundled::DEMO[1].octets)?;
    let host = room.start(Vec::new(), &[]).await?;
    host.load(Some("filter".to_owned()), &file).await?;
    drop(host);
    let host = room.start(vec![settings()], &[]).await?;
    ensure!(host.list().len() == 1 && host.list()[0].version == "2.0.0", "{:?}", host.list());
    ensure!(ask(&host, "lunch").await.verdict == Verdict::Next, "it does not answer");
    // Spoiled while nobody looks: mail is put off until it is there again.
    drop(host);
    let place = room.path().join("plugins/filter.wasm");
    std::fs::write(&place, b"spoiled")?;
    let host = room.start(vec![settings()], &[]).await?;
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
    let room = Room::new()?;
    let refusing = |subject: &str| {
        let rule = serde_json::json!({"name": "r", "when": {"subject": subject}, "action": "refuse"});
        PluginConfig { config: serde_json::json!({"rules": [rule]}), ..PluginConfig::named("rules") }
    };
    let host = room.start(vec![refusing("one")], RULES).await?;
    let chain = host.chain();
    ensure!(matches!(ask(&host, "one").await.verdict, Verdict::Reject(_)), "the first configuration");
    host.reload(room.config(vec![refusing("two")])).await?;
    ensure!(ask(&host, "one").await.verdict == Verdict::Next, "the second configuration");
    ensure!(matches!(ask(&host, "two").await.verdict, Verdict::Reject(_)), "the second configuration");
    let begun = chain.ask(&session(), HookCall::Message(&message("one"))).await;
    ensure!(matches!(begun.verdict, Verdict::Reject(_)), "what has begun keeps its version: {begun:?}");
    let broken = PluginConfig { config: serde_json::json!({"rulez": []}), ..PluginConfig::named("rules") };
    let Err(error) = host.reload(room.config(vec![broken])).await else { bail!("it was taken") };
    ensure!(error.to_string().contains("rulez"), "{error}");
    ensure!(matches!(ask(&host, "two").await.verdict, Verdict::Reject(_)), "the one before stays");
    let calls = host.list()[0].calls;
    host.reload(room.config(vec![refusing("two")])).await?;
    ensure!(host.list()[0].calls == calls, "what did not change was loaded again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_its_own_test_does_not_come_in_service() -> Result<()> {
    let room = Room::new()?;
    // The second build finds a fault in itself; outside, there is nothing while it tries.
    let own = probe(serde_json::json!({
        "message": ["tag:build=one"],
        "self-test": ["get:key", "now"],
        "self-test@2": ["fail:it does not know a casino when it sees one"],
    }));
    let host = room.start(vec![own], PROBES).await?;
    let before = host.list();
    let worse = room.file("probe", &build_of_probe(2))?;
    let Err(error) = host.load(None, &worse).await else { bail!("it was taken") };
    ensure!(error.to_string().contains("self-test: it does not know a casino"), "{error}");
    ensure!(host.list() == before, "{:?}", host.list());
    ensure!(fault(&ask(&host, "fine").await).is_none(), "the version before does not answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_it_has_no_use_for_is_not_called() -> Result<()> {
    let room = Room::new()?;
    let at = |hooks: &str| {
        let told = format!("hooks:{hooks}");
        probe(
            serde_json::json!({ "interest": [told], "connect": ["reject:no"], "message": ["tag:asked=yes"] }),
        )
    };
    let host = room.start(vec![at("message tick")], PROBES).await?;
    ensure!(host.list()[0].hooks == [Hook::Message, Hook::Tick], "{:?}", host.list());
    ensure!(host.chain().is_silent(Hook::Connect) && !host.chain().is_silent(Hook::Message));
    let outcome = host.chain().ask(&session(), HookCall::Connect).await;
    ensure!(outcome.verdict == Verdict::Next && host.list()[0].calls == 0, "{outcome:?}");
    ensure!(fault(&ask(&host, "x").await).is_none() && host.list()[0].calls == 1, "{:?}", host.list());
    // Another configuration, another use.
    host.reload(room.config(vec![at("connect")])).await?;
    ensure!(host.list()[0].hooks == [Hook::Connect], "{:?}", host.list());
    let outcome = host.chain().ask(&session(), HookCall::Connect).await;
    ensure!(matches!(outcome.verdict, Verdict::Reject(_)), "{outcome:?}");
    // Of no use at all.
    host.reload(room.config(vec![at("")])).await?;
    ensure!(host.list()[0].hooks.is_empty() && host.chain().is_silent(Hook::Message), "{:?}", host.list());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_at_load_leaves_the_version_before_it() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), EVIL_ONE).await?;
    let before = host.list();
    let file = room.path().join("evil.wasm");
    let mut cut = EVIL.to_vec();
    cut.truncate(EVIL.len() / 2);
    // An empty component, and one that wants to read the clock of a capability nobody knows.
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let foreign = replaced(EVIL, b"maitred:plugin/config@0.1.1", b"maitred:plugin/c0nfig@0.1.0");
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
