//! Plugins and the server, as far as commands reach them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use maitred_admin::{Kind, ServerDesk};
use maitred_policy::{
    Budget, Chain, Hook, HookStats, PluginFacts, Registry, RegistryError, Share, Trial, TrialFacts,
    VersionFacts,
};
use serde_json::{Value, json};

use super::{ask, desk, refused};

struct Fake(Mutex<PluginFacts>);

#[async_trait]
impl Registry for Fake {
    fn chain(&self) -> Arc<Chain> {
        Arc::new(Chain::new(Vec::new()))
    }

    fn list(&self) -> Vec<PluginFacts> {
        vec![self.0.lock().unwrap().clone()]
    }

    async fn load(&self, name: Option<String>, file: &Path) -> Result<PluginFacts, RegistryError> {
        let name = name.unwrap_or_else(|| file.file_stem().unwrap().to_string_lossy().into_owned());
        if file.extension().is_none_or(|extension| extension != "wasm") {
            return Err(RegistryError::Refused { name, reason: "not a component\nat all".to_owned() });
        }
        Ok(PluginFacts { name, ..self.list().remove(0) })
    }

    fn stats(&self) -> Vec<HookStats> {
        Vec::new()
    }

    async fn try_out(
        &self,
        name: Option<String>,
        file: &Path,
        trial: Trial,
    ) -> Result<PluginFacts, RegistryError> {
        let facts = self.load(name, file).await?;
        let trial = TrialFacts {
            version: "2".to_owned(),
            digest: "11".to_owned(),
            trial,
            compared: 0,
            differing: 0,
            faults: 0,
            skipped: 0,
            differences: Vec::new(),
            ended: None,
        };
        self.0.lock().unwrap().trial = Some(trial.clone());
        Ok(PluginFacts { trial: Some(trial), ..facts })
    }

    async fn promote(&self, name: &str) -> Result<PluginFacts, RegistryError> {
        let mut facts = self.0.lock().unwrap();
        match facts.trial.take() {
            Some(trial) => facts.version = trial.version,
            None => {
                let reason = "nothing is tried out";
                return Err(RegistryError::State { name: name.to_owned(), reason });
            }
        }
        Ok(facts.clone())
    }

    async fn rollback(&self, name: &str, digest: Option<&str>) -> Result<PluginFacts, RegistryError> {
        let facts = self.0.lock().unwrap().clone();
        let wanted = digest.unwrap_or("00");
        match facts.earlier.iter().find(|earlier| earlier.digest.starts_with(wanted)) {
            Some(earlier) => Ok(PluginFacts { version: earlier.version.clone(), ..facts }),
            None => Err(RegistryError::State { name: name.to_owned(), reason: "no such version" }),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), RegistryError> {
        Err(RegistryError::State { name: name.to_owned(), reason: "it is bundled" })
    }

    async fn record(&self, name: &str, octets_max: Option<u64>) -> Result<PathBuf, RegistryError> {
        Ok(PathBuf::from(format!("/{name}-{}", octets_max.unwrap_or(0))))
    }

    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError> {
        let mut facts = self.0.lock().unwrap();
        if facts.name != name {
            return Err(RegistryError::Unknown(name.to_owned()));
        }
        facts.is_enabled = is_enabled;
        Ok(facts.clone())
    }
}

pub(super) fn registry() -> Arc<dyn Registry> {
    Arc::new(Fake(Mutex::new(PluginFacts {
        name: "greylist".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "00".to_owned(),
        order: 50,
        is_enabled: true,
        hooks: vec![Hook::Rcpt],
        grants: vec!["store".to_owned()],
        is_broken: false,
        trial: None,
        earlier: vec![VersionFacts { version: "0.9.0".to_owned(), digest: "0099".to_owned() }],
        origin: "bundled".to_owned(),
        calls: 7,
        faults: 0,
    })))
}

/// A command about plugins.
fn about(plugin: Value) -> Value {
    json!({ "command": "plugin", "plugin": plugin })
}

#[tokio::test]
async fn plugins_are_listed_loaded_and_switched() {
    let desk = desk().with_registry(registry());
    let listed = ask(&desk, about(json!("list"))).await;
    assert_eq!((&listed[0]["name"], &listed[0]["hooks"]), (&json!("greylist"), &json!(["rcpt"])));
    let off = ask(&desk, about(json!({ "disable": { "name": "greylist" } }))).await;
    assert_eq!(off["is_enabled"], false);
    let on = ask(&desk, about(json!({ "enable": { "name": "greylist" } }))).await;
    assert_eq!(on["is_enabled"], true);
    let loaded = ask(&desk, about(json!({ "load": { "file": "/p/mine.wasm" } }))).await;
    assert_eq!(loaded["name"], "mine");
    assert_eq!(ask(&desk, about(json!("stats"))).await, json!([]));
    let recording = ask(&desk, about(json!({ "record": { "name": "mine", "octets_max": 9 } }))).await;
    assert_eq!(recording, json!({ "file": "/mine-9", "is_on": true }));
}

#[tokio::test]
async fn a_version_is_tried_out_promoted_and_gone_back_from() {
    let desk = desk().with_registry(registry());
    let shadow = ask(&desk, about(json!({ "shadow": { "file": "/p/greylist.wasm" } }))).await;
    assert_eq!(shadow["trial"]["trial"], "shadow");
    let canary = json!({ "canary": { "file": "/p/greylist.wasm", "share": { "percent": 10 } } });
    let facts: PluginFacts = serde_json::from_value(ask(&desk, about(canary)).await).unwrap();
    let share = Share { percent: 10, ..Share::default() };
    assert_eq!(facts.trial.unwrap().trial, Trial::Canary(share, Budget::default()));
    let promoted = ask(&desk, about(json!({ "promote": { "name": "greylist" } }))).await;
    assert_eq!(promoted["version"], "2");
    let again = refused(&desk, about(json!({ "promote": { "name": "greylist" } }))).await;
    assert_eq!(again, (Kind::Refused, "plugin greylist: nothing is tried out".to_owned()));
    let back = ask(&desk, about(json!({ "rollback": { "name": "greylist", "digest": "009" } }))).await;
    assert_eq!(back["version"], "0.9.0");
    let kept = refused(&desk, about(json!({ "remove": { "name": "greylist" } }))).await;
    assert_eq!(kept, (Kind::Refused, "plugin greylist: it is bundled".to_owned()));
}

#[tokio::test]
async fn what_a_plugin_is_refused_for_is_told_in_one_line() {
    let desk = desk().with_registry(registry());
    let unknown = refused(&desk, about(json!({ "enable": { "name": "x" } }))).await;
    assert_eq!(unknown.0, Kind::NotFound);
    let (kind, text) = refused(&desk, about(json!({ "load": { "name": "x", "file": "/a.toml" } }))).await;
    assert_eq!((kind, text.as_str()), (Kind::Refused, "plugin x refused: not a component at all"));
}

pub(super) struct Server;

#[async_trait]
impl ServerDesk for Server {
    fn status(&self) -> Value {
        json!({ "listeners": [] })
    }

    async fn reload(&self) -> Result<(), String> {
        Err("maitred.toml:3: hostname".to_owned())
    }

    fn trace(&self, name: &str) -> Option<Value> {
        (name == "known").then(|| json!({ "id": name }))
    }

    async fn explain(&self, inquiry: &maitred_flow::explain::Inquiry) -> Value {
        json!({ "to": inquiry.to })
    }
}

#[tokio::test]
async fn the_server_tells_its_status_and_why_it_did_not_reload() {
    let desk = desk().with_server(Arc::new(Server));
    assert_eq!(ask(&desk, json!({ "command": "status" })).await, json!({ "listeners": [] }));
    let failed = refused(&desk, json!({ "command": "reload" })).await;
    assert_eq!(failed, (Kind::Failed, "maitred.toml:3: hostname".to_owned()));
}

#[tokio::test]
async fn a_message_is_traced_and_mail_explained() {
    let desk = desk().with_server(Arc::new(Server));
    assert_eq!(ask(&desk, json!({ "command": "trace", "name": "known" })).await["id"], "known");
    assert_eq!(refused(&desk, json!({ "command": "trace", "name": "x" })).await.0, Kind::NotFound);
    let inquiry = json!({ "to": "bob@a.test", "from": null, "ip": "192.0.2.1", "helo": "c.test", "login": null, "message": null });
    let explained = ask(&desk, json!({ "command": "explain", "inquiry": inquiry })).await;
    assert_eq!(explained, json!({ "to": "bob@a.test" }));
}
