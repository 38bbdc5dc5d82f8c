//! The life of a plugin while mail flows: load, try out, promote, go back, switch off, take out, record.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use maitred_policy::{Chain, HookStats, PluginFacts, Registry, RegistryError, Trial, VersionFacts};

use super::{
    DISABLED_FILE, Place, PluginHost, Plugins, checked, name_of, read, settings, settings_of_its_own,
    unreadable,
};
use crate::cache::write_private;
use crate::config::PluginConfig;
use crate::load::digest;
use crate::loaded::{Loaded, Origin};
use crate::record;
use crate::trial::OnTrial;
use crate::versions::{Entry, Version};

impl PluginHost {
    /// Loads (or swaps) the component in this file of the plugin directory.
    pub(crate) async fn take_file(&self, file: &Path) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        let before = self.held().plugins.clone();
        let (name, loaded) = self.dropped(file, &self.config.load_full(), &before).await?;
        let is_there = |place: &Place| {
            let trial = place.trial.as_ref().map(|trial| &trial.candidate);
            [place.primary.as_ref(), trial].into_iter().flatten().any(|known| Arc::ptr_eq(known, &loaded))
        };
        if !before.get(&name).is_some_and(is_there) {
            self.publish(&name, loaded).await?;
        }
        Ok(())
    }

    /// A file of the plugin directory is gone: so is its plugin, and what it stood in for is back.
    pub(crate) async fn drop_file(&self, file: &Path) {
        let _changing = self.changing.lock().await;
        let Ok(name) = name_of(file) else { return };
        let was = self.held().plugins.get(&name).cloned().unwrap_or_default();
        let trial = was.trial.as_ref().map(|trial| &trial.candidate);
        if was.primary.as_ref().or(trial).is_some_and(|loaded| loaded.origin == Origin::Directory) {
            self.unload(&name).await;
        }
    }

    /// Keeps what is bundled or configured, before another version stands in for it: by then it may be gone from where it is.
    async fn keep(&self, loaded: &Loaded) {
        if loaded.origin == Origin::Directory {
            return;
        }
        let kept = match self.component_of(&loaded.config).await {
            Ok(Some((component, _))) if digest(&component) == loaded.digest() => {
                self.versions.keep(&component).map_err(|error| error.to_string())
            }
            Ok(_) => Err("it is another one by now".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = kept {
            let plugin = &loaded.config.name;
            tracing::warn!(plugin, plugin.version = &*loaded.version, why, "version not kept for later");
        }
    }

    /// A plugin of the directory goes; what is configured or bundled under its name is back.
    async fn unload(&self, name: &str) {
        let config = self.config.load_full();
        match self.configured(&settings_of_its_own(&config, name), &Plugins::new()).await {
            Ok(Some(loaded)) => {
                if let Err(error) = self.publish(name, loaded).await {
                    tracing::error!(plugin = name, %error, "what was in service before is not written down");
                }
                return;
            }
            Ok(None) => {}
            Err(reason) => tracing::error!(plugin = name, reason, "the plugin before it cannot be loaded"),
        }
        self.held().plugins.remove(name);
        self.rebuild();
        tracing::info!(plugin = name, "plugin unloaded");
    }

    /// Puts a version in service, or on trial if its configuration says so. A trial that goes on is over.
    async fn publish(&self, name: &str, loaded: Arc<Loaded>) -> Result<PluginFacts, RegistryError> {
        let now = Version::of(&loaded);
        if let Some(was) = self.place(name).primary {
            self.keep(&was).await;
        }
        tracing::info!(
            plugin = name,
            plugin.version = &*loaded.version,
            digest = loaded.digest(),
            is_on_trial = loaded.config.trial.is_some(),
            "plugin loaded"
        );
        {
            let mut held = self.held();
            let was = held.plugins.remove(name).unwrap_or_default();
            let mut place = self.seated(loaded, &Plugins::new());
            place.before = was.primary.or(was.before);
            held.plugins.insert(name.to_owned(), place);
        }
        self.rebuild();
        let was = self.place(name).before.map(|loaded| Version::of(&loaded));
        self.write(name, |entry| {
            (entry.trial, entry.ended) = (None, None);
            entry.put_in_service(now, was);
        })?;
        self.facts(name)
    }

    fn write(&self, name: &str, change: impl FnOnce(&mut Entry)) -> Result<(), RegistryError> {
        self.versions.change(name, change).map_err(|error| RegistryError::File(error.to_string()))
    }

    fn place(&self, name: &str) -> Place {
        self.held().plugins.get(name).cloned().unwrap_or_default()
    }

    /// The version of a plugin that calls go to.
    pub(crate) fn in_service(&self, name: &str) -> Option<Arc<Loaded>> {
        self.place(name).primary
    }

    /// The place of a plugin that is there.
    fn known(&self, name: &str) -> Result<Place, RegistryError> {
        let place = self.held().plugins.get(name).cloned();
        place.ok_or_else(|| RegistryError::Unknown(name.to_owned()))
    }

    /// A plugin that is configured, and waits for its component.
    fn awaited(&self, settings: &PluginConfig) -> PluginFacts {
        PluginFacts {
            name: settings.name.clone(),
            version: String::new(),
            digest: String::new(),
            order: settings.order,
            is_enabled: !self.held().disabled.contains(&settings.name),
            hooks: Vec::new(),
            grants: settings.grants.words().to_vec(),
            origin: "awaited".to_owned(),
            calls: 0,
            faults: 0,
            is_broken: false,
            trial: None,
            earlier: Vec::new(),
        }
    }

    fn facts(&self, name: &str) -> Result<PluginFacts, RegistryError> {
        let place = self.known(name)?;
        let is_enabled = !self.held().disabled.contains(name);
        let trial = place.trial.as_ref().map(|trial| &trial.candidate);
        let Some(shown) = place.primary.as_ref().or(trial) else {
            return Err(RegistryError::Unknown(name.to_owned()));
        };
        let (calls, faults) = shown.stats.totals();
        let earlier = self.versions.of(name).earlier;
        Ok(PluginFacts {
            name: name.to_owned(),
            version: place.primary.as_ref().map(|loaded| loaded.own_version().to_owned()).unwrap_or_default(),
            digest: place.primary.as_ref().map(|loaded| loaded.digest().to_owned()).unwrap_or_default(),
            order: shown.config.order,
            is_enabled,
            hooks: shown.hooks().list(),
            grants: shown.config.grants.words().to_vec(),
            origin: shown.origin.name().to_owned(),
            calls,
            faults,
            is_broken: place.primary.as_ref().is_some_and(|loaded| loaded.is_broken()),
            trial: place.trial.as_ref().map(|trial| trial.facts()),
            earlier: earlier
                .into_iter()
                .map(|of| VersionFacts { version: of.version, digest: of.digest })
                .collect(),
        })
    }

    /// A component under a name, ready to be called, and kept.
    async fn taken(
        &self,
        name: &str,
        component: &[u8],
        origin: Origin,
    ) -> Result<Arc<Loaded>, RegistryError> {
        let settings = settings(&self.config.load(), name);
        let refused = |reason| RegistryError::Refused { name: name.to_owned(), reason };
        let before = self.held().plugins.clone();
        let loaded = self.same_or_new(component, &settings, origin, &before).await.map_err(refused)?;
        self.versions.keep(component).map_err(|error| RegistryError::File(error.to_string()))?;
        Ok(loaded)
    }

    /// A version that is kept, ready to be called.
    async fn kept(&self, name: &str, place: &Place, version: &Version) -> Result<Arc<Loaded>, RegistryError> {
        let settings = settings(&self.config.load(), name);
        let ready = place.before.as_ref().filter(|loaded| loaded.digest() == version.digest);
        if let Some(ready) =
            ready.filter(|loaded| loaded.config == settings || loaded.origin != Origin::Directory)
        {
            return Ok(Arc::clone(ready));
        }
        // What is bundled or configured is gone back to as such: nothing of the directory stands in for it any more.
        let own = settings_of_its_own(&self.config.load(), name);
        if let Ok(Some((component, origin))) = self.component_of(&own).await
            && digest(&component) == version.digest
        {
            let refused = |reason| RegistryError::Refused { name: name.to_owned(), reason };
            return self.same_or_new(&component, &own, origin, &Plugins::new()).await.map_err(refused);
        }
        let failed = |error: std::io::Error| RegistryError::File(error.to_string());
        let component = self.versions.component(&version.digest).map_err(failed)?;
        self.taken(name, &component, Origin::Directory).await
    }

    /// Makes what is in service be there after a restart, too.
    fn settle(&self, name: &str, loaded: &Loaded) -> Result<(), RegistryError> {
        let Some(directory) = self.config.load().directory.clone() else { return Ok(()) };
        let place = directory.join(format!("{name}.wasm"));
        let failed = |error: std::io::Error| unreadable(&place, &error);
        if loaded.origin == Origin::Directory {
            let component = self.versions.component(loaded.digest()).map_err(failed)?;
            return write_private(&place, &component).map_err(failed);
        }
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

impl Version {
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self { version: loaded.own_version().to_owned(), digest: loaded.digest().to_owned() }
    }
}

fn state(name: &str, reason: &'static str) -> RegistryError {
    RegistryError::State { name: name.to_owned(), reason }
}

#[async_trait]
impl Registry for PluginHost {
    fn chain(&self) -> Arc<Chain> {
        self.chain.load_full()
    }

    fn list(&self) -> Vec<PluginFacts> {
        let names: Vec<String> = self.held().plugins.keys().cloned().collect();
        let mut facts: Vec<PluginFacts> = names.iter().filter_map(|name| self.facts(name).ok()).collect();
        let config = self.config.load();
        let awaited = config.plugins.iter().filter(|settings| !names.contains(&settings.name));
        facts.extend(awaited.map(|settings| self.awaited(settings)));
        facts.sort_by_key(|facts| facts.order);
        facts
    }

    fn stats(&self) -> Vec<HookStats> {
        let places = self.held().plugins.clone();
        let mut all = Vec::new();
        for (name, place) in &places {
            if let Some(loaded) = &place.primary {
                all.extend(loaded.stats.list(name, &loaded.version, "enforce"));
            }
            if let Some(trial) = &place.trial {
                all.extend(trial.candidate.stats.list(name, &trial.candidate.version, trial.mode()));
            }
        }
        all
    }

    async fn load(&self, name: Option<String>, file: &Path) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let name = name.map_or_else(|| name_of(file), checked)?;
        let place = self.directory()?.join(format!("{name}.wasm"));
        let component = read(file).await?;
        let loaded = self.taken(&name, &component, Origin::Directory).await?;
        // In the directory first: what is in service is there after a restart. The watch finds it loaded already.
        write_private(&place, &component).map_err(|error| unreadable(&place, &error))?;
        self.publish(&name, loaded).await
    }

    async fn try_out(
        &self,
        name: Option<String>,
        file: &Path,
        trial: Trial,
    ) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let name = name.map_or_else(|| name_of(file), checked)?;
        let component = read(file).await?;
        let loaded = self.taken(&name, &component, Origin::Directory).await?;
        let version = Version::of(&loaded);
        tracing::info!(plugin = name, plugin.version = &*loaded.version, ?trial, "plugin tried out");
        // Whoever asks for it again has seen why it was taken back.
        self.write(&name, |entry| (entry.trial, entry.ended) = (Some((version, trial.clone())), None))?;
        let on_trial = OnTrial::start(loaded, trial, &self.versions);
        self.held().plugins.entry(name.clone()).or_default().trial = Some(on_trial);
        self.rebuild();
        self.facts(&name)
    }

    async fn promote(&self, name: &str) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let trial = self.known(name)?.trial.ok_or_else(|| state(name, "nothing is tried out"))?;
        let candidate = Arc::clone(&trial.candidate);
        if candidate.config.trial.is_some() {
            return Err(state(
                name,
                "its configuration says that it is tried out: change mode there, and reload",
            ));
        }
        self.directory()?;
        self.settle(name, &candidate)?;
        self.publish(name, candidate).await
    }

    async fn rollback(&self, name: &str, digest: Option<&str>) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let place = self.known(name)?;
        if let (Some(trial), None) = (&place.trial, digest) {
            if trial.candidate.config.trial.is_some() {
                return Err(state(
                    name,
                    "its configuration says that it is tried out: change mode there, and reload",
                ));
            }
            self.write(name, |entry| (entry.trial, entry.ended) = (None, None))?;
            if place.primary.is_some() {
                self.held().plugins.entry(name.to_owned()).or_default().trial = None;
                self.rebuild();
                tracing::info!(plugin = name, "plugin is tried out no more");
                return self.facts(name);
            }
            let facts = self.facts(name)?;
            self.held().plugins.remove(name);
            self.rebuild();
            return Ok(facts);
        }
        let earlier = self.versions.of(name).earlier;
        let wanted = match digest {
            Some(digest) => earlier.iter().find(|version| version.digest.starts_with(digest)),
            None => earlier.first(),
        };
        let wanted = wanted.ok_or_else(|| state(name, "there is no such version to go back to"))?;
        let loaded = self.kept(name, &place, wanted).await?;
        self.settle(name, &loaded)?;
        self.publish(name, loaded).await
    }

    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        self.known(name)?;
        let mut disabled = self.held().disabled.clone();
        if is_enabled {
            disabled.remove(name);
        } else {
            disabled.insert(name.to_owned());
        }
        let path = self.config.load().state.join(DISABLED_FILE);
        let text = serde_json::to_vec(&disabled).map_err(|error| RegistryError::File(error.to_string()))?;
        write_private(&path, &text).map_err(|error| unreadable(&path, &error))?;
        self.held().disabled = disabled;
        self.rebuild();
        tracing::info!(plugin = name, is_enabled, "plugin switched");
        self.facts(name)
    }

    async fn remove(&self, name: &str) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        let place = self.known(name)?;
        let of_directory = |loaded: &Arc<Loaded>| loaded.origin == Origin::Directory;
        let trial = place.trial.as_ref().map(|trial| &trial.candidate);
        if !place.primary.as_ref().or(trial).is_some_and(of_directory) {
            return Err(state(
                name,
                "it is bundled or configured: take it out of the configuration, or disable it",
            ));
        }
        let path = self.directory()?.join(format!("{name}.wasm"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unreadable(&path, &error));
            }
            _ => {}
        }
        self.write(name, |entry| (entry.trial, entry.ended) = (None, None))?;
        self.unload(name).await;
        Ok(())
    }

    async fn record(&self, name: &str, octets_max: Option<u64>) -> Result<PathBuf, RegistryError> {
        self.known(name)?;
        let path = record::path(&self.config.load().state, name);
        let recorder = self.named(name).recorder;
        match octets_max {
            None => recorder.stop(),
            Some(octets_max) => {
                let failed = |error: std::io::Error| unreadable(&path, &error);
                if let Some(folder) = path.parent() {
                    use std::os::unix::fs::DirBuilderExt as _;
                    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
                }
                recorder.start(&path, octets_max).map_err(failed)?;
            }
        }
        tracing::info!(plugin = name, is_on = octets_max.is_some(), file = %path.display(), "plugin recorded");
        Ok(path)
    }
}
