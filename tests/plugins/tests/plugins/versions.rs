//! Versions of a plugin: swapped, gone back to, tried out, promoted, taken out; now and after a restart.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use maitred_plugin_host::{Bundled, PluginConfig, PluginHost};
use maitred_policy::{Hook, PluginFacts, Registry, RegistryError, Trial, Verdict};
use serde_json::json;

use crate::world::{PROBES, Room, ask, build_of_probe, compared, digest_of, fault, found, probe, trial};

/// It tags mail about casinos.
const ONE: &[u8] = maitred_bundled::DEMO[0].octets;
/// It refuses it by the header section.
const TWO: &[u8] = maitred_bundled::DEMO[1].octets;
/// The first, as if it came with the binary.
const BUNDLED: &[Bundled] = &[Bundled { name: "filter", component: ONE, is_default: true }];

/// Loads a component as `filter`.
async fn load(room: &Room, host: &PluginHost, octets: &[u8]) -> Result<PluginFacts> {
    Ok(host.load(Some("filter".to_owned()), &room.file("some", octets)?).await?)
}

/// Tries a component out as `filter`.
async fn try_out(room: &Room, host: &PluginHost, octets: &[u8], trial: Trial) -> Result<PluginFacts> {
    Ok(host.try_out(Some("filter".to_owned()), &room.file("some", octets)?, trial).await?)
}

/// What is in service, what was before it, and that it is this one that answers.
async fn in_service(host: &PluginHost, octets: &[u8], earlier: &[&[u8]]) -> Result<()> {
    let facts = host.list();
    let [filter] = facts.as_slice() else { bail!("not one plugin: {facts:?}") };
    ensure!(filter.name == "filter" && filter.digest == digest_of(octets), "{filter:?}");
    let wanted: Vec<String> = earlier.iter().map(|octets| digest_of(octets)).collect();
    let is: Vec<String> = filter.earlier.iter().map(|version| version.digest.clone()).collect();
    ensure!(is == wanted, "earlier versions are {is:?}, not {wanted:?}");
    let chain = host.chain();
    ensure!(chain.is_silent(Hook::Headers) == (octets != TWO), "another version answers");
    ensure!(chain.is_silent(Hook::Message) == (octets == TWO), "another version answers");
    if octets == ONE {
        ensure!(ask(host, "casino").await.edits.len() == 1, "it does not answer");
    }
    Ok(())
}

fn is_in_directory(room: &Room, octets: &[u8]) -> bool {
    std::fs::read(room.path().join("plugins/filter.wasm")).is_ok_and(|there| there == octets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_is_at_once_and_possible_after_a_restart() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    load(&room, &host, ONE).await?;
    in_service(&host, ONE, &[]).await?;
    let calls = host.list()[0].calls;
    load(&room, &host, TWO).await?;
    in_service(&host, TWO, &[ONE]).await?;
    ensure!(host.list()[0].version == "2.0.0" && host.list()[0].earlier[0].version == "1.0.0");
    let back = host.rollback("filter", None).await?;
    // The very version that was in service before, ready to be called: it goes on counting.
    ensure!(back.calls == calls && calls > 0, "{back:?}");
    in_service(&host, ONE, &[TWO]).await?;
    ensure!(is_in_directory(&room, ONE), "another one will be there after a restart");
    drop(host);
    let host = room.start(Vec::new(), &[]).await?;
    in_service(&host, ONE, &[TWO]).await?;
    host.rollback("filter", None).await?;
    in_service(&host, TWO, &[ONE]).await?;
    ensure!(is_in_directory(&room, TWO), "another one will be there after a restart");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_named_by_the_beginning_of_its_digest() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    for octets in [ONE, tests_plugins::EVIL, TWO] {
        load(&room, &host, octets).await?;
    }
    in_service(&host, TWO, &[tests_plugins::EVIL, ONE]).await?;
    let Err(RegistryError::State { reason, .. }) = host.rollback("filter", Some("0123456789")).await else {
        bail!("it went back to nothing");
    };
    ensure!(reason.contains("no such version"), "{reason}");
    in_service(&host, TWO, &[tests_plugins::EVIL, ONE]).await?;
    host.rollback("filter", Some(&digest_of(ONE)[..8])).await?;
    in_service(&host, ONE, &[TWO, tests_plugins::EVIL]).await?;
    let unknown = host.rollback("nosuch", None).await;
    ensure!(matches!(unknown, Err(RegistryError::Unknown(_))), "{unknown:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_bundled_or_configured_and_loaded_over_can_be_gone_back_to() -> Result<()> {
    for is_configured in [false, true] {
        let room = Room::new()?;
        let path = room.file("configured", ONE)?;
        let plugins = || match is_configured {
            true => vec![PluginConfig { path: Some(path.clone()), ..PluginConfig::named("filter") }],
            false => Vec::new(),
        };
        let bundled = if is_configured { &[] } else { BUNDLED };
        let origin = if is_configured { "configured" } else { "bundled" };
        let host = room.start(plugins(), bundled).await?;
        for is_after_restart in [false, true] {
            let host = if is_after_restart {
                load(&room, &host, TWO).await?;
                room.start(plugins(), bundled).await?
            } else {
                let over = load(&room, &host, TWO).await?;
                ensure!(over.origin == "directory", "{over:?}");
                Arc::clone(&host)
            };
            in_service(&host, TWO, &[ONE]).await?;
            let back = host.rollback("filter", None).await?;
            ensure!(back.origin == origin, "{back:?}");
            in_service(&host, ONE, &[TWO]).await?;
            ensure!(!room.path().join("plugins/filter.wasm").exists(), "it will be loaded over again");
        }
        drop(host);
        let host = room.start(plugins(), bundled).await?;
        in_service(&host, ONE, &[TWO]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_while_nobody_looked_can_be_gone_back_to() -> Result<()> {
    let room = Room::new()?;
    std::fs::create_dir(room.path().join("plugins"))?;
    std::fs::write(room.path().join("plugins/filter.wasm"), ONE)?;
    let host = room.start(Vec::new(), &[]).await?;
    // Writing down what becomes of another one forgets nothing of this.
    host.load(Some("another".to_owned()), &room.file("some", TWO)?).await?;
    host.remove("another").await?;
    load(&room, &host, TWO).await?;
    drop(host);
    let host = room.start(Vec::new(), &[]).await?;
    in_service(&host, TWO, &[ONE]).await?;
    host.rollback("filter", None).await?;
    in_service(&host, ONE, &[TWO]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_out_is_promoted_or_ended_and_both_last() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), BUNDLED).await?;
    let Err(RegistryError::State { .. }) = host.promote("filter").await else {
        bail!("nothing was promoted");
    };
    let facts = try_out(&room, &host, TWO, Trial::Shadow).await?;
    ensure!(facts.digest == digest_of(ONE), "{facts:?}");
    ensure!(trial(&host, "filter")?.digest == digest_of(TWO), "{:?}", host.list());
    drop(host);
    // It goes on after a restart.
    let host = room.start(Vec::new(), BUNDLED).await?;
    let goes_on = trial(&host, "filter")?;
    ensure!(goes_on.digest == digest_of(TWO) && goes_on.trial == Trial::Shadow, "{goes_on:?}");
    ensure!(host.list()[0].digest == digest_of(ONE), "{:?}", host.list());
    // Going back is to end it.
    let ended = host.rollback("filter", None).await?;
    ensure!(ended.trial.is_none() && ended.digest == digest_of(ONE), "{ended:?}");
    drop(host);
    let host = room.start(Vec::new(), BUNDLED).await?;
    ensure!(host.list()[0].trial.is_none(), "{:?}", host.list());
    try_out(&room, &host, TWO, Trial::Shadow).await?;
    let promoted = host.promote("filter").await?;
    ensure!(promoted.trial.is_none() && promoted.version == "2.0.0", "{promoted:?}");
    in_service(&host, TWO, &[ONE]).await?;
    drop(host);
    let host = room.start(Vec::new(), BUNDLED).await?;
    in_service(&host, TWO, &[ONE]).await?;
    ensure!(host.list()[0].trial.is_none(), "{:?}", host.list());
    host.rollback("filter", None).await?;
    in_service(&host, ONE, &[TWO]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_is_gone_and_what_it_stood_in_for_is_back() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), BUNDLED).await?;
    let Err(RegistryError::State { .. }) = host.remove("filter").await else {
        bail!("what is bundled was removed");
    };
    load(&room, &host, TWO).await?;
    try_out(&room, &host, tests_plugins::EVIL, Trial::Shadow).await?;
    host.remove("filter").await?;
    in_service(&host, ONE, &[TWO]).await?;
    ensure!(host.list()[0].trial.is_none(), "{:?}", host.list());
    drop(host);
    let host = room.start(Vec::new(), BUNDLED).await?;
    in_service(&host, ONE, &[TWO]).await?;
    // One that stood in for nothing.
    host.load(Some("alone".to_owned()), &room.file("some", TWO)?).await?;
    ensure!(host.list().len() == 2, "{:?}", host.list());
    host.remove("alone").await?;
    in_service(&host, ONE, &[TWO]).await?;
    ensure!(!room.path().join("plugins/alone.wasm").exists(), "its file is there");
    let unknown = host.remove("alone").await;
    ensure!(matches!(unknown, Err(RegistryError::Unknown(_))), "{unknown:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_component_that_was_damaged_is_not_believed() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), &[]).await?;
    load(&room, &host, ONE).await?;
    load(&room, &host, TWO).await?;
    try_out(&room, &host, tests_plugins::EVIL, Trial::Shadow).await?;
    drop(host);
    let kept = |octets: &[u8]| room.state().join("versions").join(format!("{}.wasm", digest_of(octets)));
    for octets in [ONE, tests_plugins::EVIL] {
        let mut damaged = std::fs::read(kept(octets))?;
        ensure!(damaged == octets, "another one is kept");
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(kept(octets), damaged)?;
    }
    // What is tried out cannot be; what is in service is.
    let host = room.start(Vec::new(), &[]).await?;
    in_service(&host, TWO, &[ONE]).await?;
    ensure!(host.list()[0].trial.is_none(), "{:?}", host.list());
    let Err(error) = host.rollback("filter", None).await else { bail!("it was believed") };
    ensure!(error.to_string().contains("damaged"), "{error}");
    in_service(&host, TWO, &[ONE]).await?;
    ensure!(is_in_directory(&room, TWO), "the one in service was touched");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_of_the_configuration_needs_no_version_in_service() -> Result<()> {
    let room = Room::new()?;
    let file = room.file("configured", tests_plugins::PROBE)?;
    let scripts = json!({"message:casino": ["reject:no"], "rcpt": ["reject:no"]});
    let configured = |trial| PluginConfig { path: Some(file.clone()), trial, ..probe(scripts.clone()) };
    let host = room.start(vec![configured(Some(Trial::Shadow))], &[]).await?;
    for subject in ["casino", "lunch", "casino"] {
        let outcome = ask(&host, subject).await;
        ensure!(outcome.verdict == Verdict::Next && outcome.said.is_empty(), "{outcome:?}");
    }
    let facts = compared(&host, "probe", 3).await?;
    ensure!(facts.differing == 2 && facts.differences.len() == 1, "{facts:?}");
    let seen = &facts.differences[0];
    ensure!(seen.was == "next" && seen.would == "reject 5.7.1 no" && seen.count == 2, "{seen:?}");
    let listed = &host.list()[0];
    ensure!(
        listed.version.is_empty() && listed.digest.is_empty() && listed.origin == "configured",
        "{listed:?}"
    );
    for refused in [host.promote("probe").await, host.rollback("probe", None).await] {
        let Err(RegistryError::State { reason, .. }) = refused else { bail!("{refused:?}") };
        ensure!(reason.contains("configuration"), "{reason}");
    }
    // What did not change goes on with what it has counted.
    host.reload(room.config(vec![configured(Some(Trial::Shadow))])).await?;
    ensure!(trial(&host, "probe")?.compared == 3, "{:?}", host.list());
    host.reload(room.config(vec![configured(None)])).await?;
    ensure!(matches!(ask(&host, "casino").await.verdict, Verdict::Reject(_)), "it is not obeyed");
    ensure!(host.list()[0].trial.is_none() && host.list()[0].version == "0.1.0", "{:?}", host.list());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_out_has_the_configuration_of_now() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(vec![probe(json!({"message": ["tag:a=old"]}))], PROBES).await?;
    host.try_out(Some("probe".to_owned()), &room.file("some", &build_of_probe(2))?, Trial::Shadow).await?;
    host.reload(room.config(vec![probe(json!({"message": ["tag:a=new"], "message@2": ["tag:b=new"]}))]))
        .await?;
    let outcome = ask(&host, "hello").await;
    ensure!(fault(&outcome).is_none() && found(&outcome) == [("a", "new")], "{outcome:?}");
    let facts = compared(&host, "probe", 1).await?;
    ensure!(facts.differing == 1 && facts.differences[0].would == "next; tag b=new", "{facts:?}");
    Ok(())
}
