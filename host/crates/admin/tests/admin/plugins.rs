//! Plugins and the server, as far as commands reach them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use maitred_admin::{Kind, ServerDesk};
use maitred_policy::{Chain, Hook, PluginFacts, Registry, RegistryError};
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

    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError> {
        let mut facts = self.0.lock().unwrap();
        if facts.name != name {
            return Err(RegistryError::Unknown(name.to_owned()));
        }
        facts.is_enabled = is_enabled;
        Ok(facts.clone())
    }
}

fn registry() -> Arc<dyn Registry> {
    Arc::new(Fake(Mutex::new(PluginFacts {
        name: "greylist".to_owned(),
        version: "1.0.0".to_owned(),
        digest: "00".to_owned(),
        order: 50,
        is_enabled: true,
        hooks: vec![Hook::Rcpt],
        origin: "bundled".to_owned(),
        calls: 7,
        faults: 0,
    })))
}

#[tokio::test]
async fn plugins_are_listed_loaded_and_switched() {
    let desk = desk().with_registry(registry());
    let listed = ask(&desk, json!({ "command": "plugin-list" })).await;
    assert_eq!((&listed[0]["name"], &listed[0]["hooks"]), (&json!("greylist"), &json!(["rcpt"])));
    let off = ask(&desk, json!({ "command": "plugin-disable", "name": "greylist" })).await;
    assert_eq!(off["is_enabled"], false);
    let on = ask(&desk, json!({ "command": "plugin-enable", "name": "greylist" })).await;
    assert_eq!(on["is_enabled"], true);
    let loaded = ask(&desk, json!({ "command": "plugin-load", "file": "/p/mine.wasm" })).await;
    assert_eq!(loaded["name"], "mine");
}

#[tokio::test]
async fn what_a_plugin_is_refused_for_is_told_in_one_line() {
    let desk = desk().with_registry(registry());
    let unknown = refused(&desk, json!({ "command": "plugin-enable", "name": "x" })).await;
    assert_eq!(unknown.0, Kind::NotFound);
    let (kind, text) =
        refused(&desk, json!({ "command": "plugin-load", "name": "x", "file": "/a.toml" })).await;
    assert_eq!((kind, text.as_str()), (Kind::Refused, "plugin x refused: not a component at all"));
}

struct Server;

#[async_trait]
impl ServerDesk for Server {
    fn status(&self) -> Value {
        json!({ "listeners": [] })
    }

    async fn reload(&self) -> Result<(), String> {
        Err("maitred.toml:3: hostname".to_owned())
    }
}

#[tokio::test]
async fn the_server_tells_its_status_and_why_it_did_not_reload() {
    let desk = desk().with_server(Arc::new(Server));
    assert_eq!(ask(&desk, json!({ "command": "status" })).await, json!({ "listeners": [] }));
    let failed = refused(&desk, json!({ "command": "reload" })).await;
    assert_eq!(failed, (Kind::Failed, "maitred.toml:3: hostname".to_owned()));
}
