//! The registry: which plugins there are, in which order, and how one is swapped for another.
//!
//! A change makes a new chain; a transaction that has begun keeps the one it took, and the last to let go of a version frees
//! it. A version that is refused changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use maitred_policy::{Chain, Plugin, PluginFacts, Registry, RegistryError};

use crate::cache::{Cache, write_private};
use crate::config::{Bundled, Config, PluginConfig};
use crate::engine::Machine;
use crate::load::{COMPONENT_OCTETS_MAX, Loader, digest};
use crate::loaded::{Loaded, Origin};
use crate::missing::Missing;
use crate::watch::{Stamps, Watch, stamps};

/// Why there are no plugins.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine does not start.
    #[error("plugin engine: {0}")]
    Engine(String),
    /// A configured plugin is refused.
    #[error("plugin {name}: {reason}")]
    Refused {
        /// Which.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// The state folder or the plugin directory cannot be used.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// All plugins of a server.
pub struct PluginHost {
    loader: Loader,
    bundled: &'static [Bundled],
    config: ArcSwap<Config>,
    chain: ArcSwap<Chain>,
    held: Mutex<Held>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    watch: Mutex<Option<Watch>>,
}

type Plugins = BTreeMap<String, Arc<Loaded>>;

#[derive(Default)]
struct Held {
    plugins: Plugins,
    disabled: BTreeSet<String>,
}

const DISABLED_FILE: &str = "disabled.json";

impl PluginHost {
    /// Loads what is bundled, configured and in the directory, then watches the directory. A component there that is refused
    /// is logged and left out; a configured one that is refused is an error.
    ///
    /// # Errors
    /// Why there are no plugins.
    pub async fn start(config: Config, bundled: &'static [Bundled]) -> Result<Arc<Self>, Error> {
        let seen = config.directory.as_deref().map(stamps).unwrap_or_default();
        let host = Arc::new(Self::load_all(config, bundled).await?);
        host.watch(seen)?;
        Ok(host)
    }

    /// Loads everything as `start` does, and nothing else: `maitred check`.
    ///
    /// # Errors
    /// What `start` would say.
    pub async fn check(config: Config, bundled: &'static [Bundled]) -> Result<Vec<PluginFacts>, Error> {
        Ok(Self::load_all(config, bundled).await?.list())
    }

    async fn load_all(config: Config, bundled: &'static [Bundled]) -> Result<Self, Error> {
        let machine = Machine::start().map_err(|error| Error::Engine(error.to_string()))?;
        let unusable = |source| Error::File { path: config.state.clone(), source };
        let cache = Cache::open(&config.state, &machine.engine).map_err(unusable)?;
        let disabled = read_disabled(&config.state).map_err(unusable)?;
        let host = Self {
            loader: Loader::new(machine, cache).map_err(|error| Error::Engine(error.to_string()))?,
            bundled,
            chain: ArcSwap::default(),
            held: Mutex::new(Held { plugins: Plugins::new(), disabled }),
            changing: tokio::sync::Mutex::default(),
            watch: Mutex::default(),
            config: ArcSwap::from_pointee(config.clone()),
        };
        let plugins = host.gather(&config, &Plugins::new()).await?;
        host.held().plugins = plugins;
        host.rebuild();
        Ok(host)
    }

    /// Takes a new configuration: all of it, or nothing of it. What did not change stays loaded.
    ///
    /// # Errors
    /// The first configured plugin that is refused; everything stays as it was then.
    pub async fn reload(self: &Arc<Self>, config: Config) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let disabled = read_disabled(&config.state)
            .map_err(|source| Error::File { path: config.state.clone(), source })?;
        let seen = config.directory.as_deref().map(stamps).unwrap_or_default();
        let before = self.held().plugins.clone();
        let plugins = self.gather(&config, &before).await?;
        let is_elsewhere = self.config.load().directory != config.directory;
        self.config.store(Arc::new(config));
        *self.held() = Held { plugins, disabled };
        self.rebuild();
        if is_elsewhere {
            self.watch(seen)?;
        }
        Ok(())
    }

    /// Everything that a configuration asks for: what lies in the directory, then what is configured and bundled under a
    /// name that is not there.
    async fn gather(&self, config: &Config, before: &Plugins) -> Result<Plugins, Error> {
        let mut plugins = Plugins::new();
        let mut is_refused = BTreeSet::new();
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)
                .map_err(|source| Error::File { path: directory.clone(), source })?;
            for file in components_in(directory) {
                match self.dropped(&file, config, before).await {
                    Ok((name, plugin)) => drop(plugins.insert(name, plugin)),
                    Err(error) => {
                        tracing::warn!(file = %file.display(), error = %error, "plugin not loaded");
                        is_refused.extend(name_of(&file));
                    }
                }
            }
        }
        // The version before a refused one stays in service.
        for name in &is_refused {
            let was = before.get(name).filter(|plugin| plugin.origin == Origin::Directory);
            plugins.extend(was.map(|plugin| (name.clone(), Arc::clone(plugin))));
        }
        let is_configured = |name: &str| config.plugins.iter().any(|plugin| plugin.name == name);
        let unconfigured = self.bundled.iter().filter(|bundled| !is_configured(bundled.name));
        let unconfigured: Vec<_> = unconfigured.map(|bundled| PluginConfig::named(bundled.name)).collect();
        for plugin in config.plugins.iter().chain(&unconfigured) {
            if plugins.contains_key(&plugin.name) {
                continue;
            }
            let refused = |reason| Error::Refused { name: plugin.name.clone(), reason };
            checked(plugin.name.clone()).map_err(|error| refused(error.to_string()))?;
            match self.configured(plugin, before).await.map_err(refused)? {
                Some(loaded) => drop(plugins.insert(plugin.name.clone(), loaded)),
                // Its file is there and was refused: `on_error` says what that means.
                None if is_refused.contains(&plugin.name) => {}
                None => {
                    let reason =
                        "it has no path, and none of that name is bundled or in the plugin directory";
                    return Err(refused(reason.to_owned()));
                }
            }
        }
        Ok(plugins)
    }

    /// A plugin that is configured with a path, or bundled; neither is `None`.
    async fn configured(
        &self,
        plugin: &PluginConfig,
        before: &Plugins,
    ) -> Result<Option<Arc<Loaded>>, String> {
        let bundled = self.bundled.iter().find(|bundled| bundled.name == plugin.name);
        let (component, origin) = match (&plugin.path, bundled) {
            (Some(path), _) => (read(path).await.map_err(|error| error.to_string())?, Origin::Configured),
            (None, Some(bundled)) => (bundled.component.to_vec(), Origin::Bundled),
            (None, None) => return Ok(None),
        };
        self.same_or_new(&component, plugin, origin, before).await.map(Some)
    }

    /// The plugin in this file of the plugin directory.
    async fn dropped(
        &self,
        file: &Path,
        config: &Config,
        before: &Plugins,
    ) -> Result<(String, Arc<Loaded>), RegistryError> {
        let name = name_of(file)?;
        let component = read(file).await?;
        let refused = |reason| RegistryError::Refused { name: name.clone(), reason };
        let settings = settings(config, &name);
        let loaded = self.same_or_new(&component, &settings, Origin::Directory, before).await;
        loaded.map_err(refused).map(|plugin| (name.clone(), plugin))
    }

    /// The one before when nothing has changed, so that it goes on counting.
    async fn same_or_new(
        &self,
        component: &[u8],
        settings: &PluginConfig,
        origin: Origin,
        before: &Plugins,
    ) -> Result<Arc<Loaded>, String> {
        let digest = digest(component);
        match before.get(&settings.name).filter(|plugin| plugin.is(&digest, settings, origin)) {
            Some(same) => Ok(Arc::clone(same)),
            None => Ok(Arc::new(self.loader.load(component, settings, origin).await?)),
        }
    }

    /// Loads (or swaps) the component in this file of the plugin directory.
    pub(crate) async fn take_file(&self, file: &Path) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        let before = self.held().plugins.clone();
        let (name, plugin) = self.dropped(file, &self.config.load_full(), &before).await?;
        if !before.get(&name).is_some_and(|was| Arc::ptr_eq(was, &plugin)) {
            self.publish(&name, plugin);
        }
        Ok(())
    }

    /// A file of the plugin directory is gone: so is its plugin, and what it stood in for is back.
    pub(crate) async fn drop_file(&self, file: &Path) {
        let _changing = self.changing.lock().await;
        let Ok(name) = name_of(file) else { return };
        let was = self.held().plugins.get(&name).cloned();
        if !was.is_some_and(|plugin| plugin.origin == Origin::Directory) {
            return;
        }
        let config = self.config.load_full();
        match self.configured(&settings_of_its_own(&config, &name), &Plugins::new()).await {
            Ok(Some(plugin)) => return drop(self.publish(&name, plugin)),
            Ok(None) => {}
            Err(reason) => tracing::error!(plugin = name, reason, "the plugin before it cannot be loaded"),
        }
        self.held().plugins.remove(&name);
        self.rebuild();
        tracing::info!(plugin = name, "plugin unloaded");
    }

    /// Puts a version in service.
    fn publish(&self, name: &str, plugin: Arc<Loaded>) -> PluginFacts {
        let facts = {
            let mut held = self.held();
            let facts = plugin.facts(!held.disabled.contains(name));
            held.plugins.insert(name.to_owned(), plugin);
            facts
        };
        self.rebuild();
        tracing::info!(plugin = name, "plugin.version" = %facts.version, digest = %facts.digest, "plugin loaded");
        facts
    }

    fn rebuild(&self) {
        let held = self.held();
        let config = self.config.load();
        let loaded = held.plugins.values().map(|plugin| {
            let settings = &plugin.config;
            (settings.order, settings.name.as_str(), Arc::clone(plugin) as Arc<dyn Plugin>)
        });
        let missing = config.plugins.iter().filter(|settings| !held.plugins.contains_key(&settings.name));
        let missing = missing.map(|settings| {
            let plugin: Arc<dyn Plugin> = Arc::new(Missing::new(settings));
            (settings.order, settings.name.as_str(), plugin)
        });
        let mut plugins: Vec<_> =
            loaded.chain(missing).filter(|(_, name, _)| !held.disabled.contains(*name)).collect();
        plugins.sort_by_key(|(order, name, _)| (*order, *name));
        self.chain.store(Arc::new(Chain::new(plugins.into_iter().map(|(.., plugin)| plugin).collect())));
    }

    /// Follows the plugin directory from now on; `seen` is what was loaded from it.
    fn watch(self: &Arc<Self>, seen: Stamps) -> Result<(), Error> {
        let watch = match &self.config.load().directory {
            Some(directory) => {
                let failed = |source| Error::File { path: directory.clone(), source };
                Some(Watch::start(directory, Arc::downgrade(self), seen).map_err(failed)?)
            }
            None => None,
        };
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `load` puts components so that they are there after a restart.
    fn directory(&self) -> Result<PathBuf, RegistryError> {
        let directory = self.config.load().directory.clone();
        directory.ok_or_else(|| RegistryError::File("there is no plugin directory".to_owned()))
    }
}

#[async_trait]
impl Registry for PluginHost {
    fn chain(&self) -> Arc<Chain> {
        self.chain.load_full()
    }

    fn list(&self) -> Vec<PluginFacts> {
        let held = self.held();
        let mut facts: Vec<PluginFacts> =
            held.plugins.iter().map(|(name, plugin)| plugin.facts(!held.disabled.contains(name))).collect();
        facts.sort_by_key(|facts| facts.order);
        facts
    }

    async fn load(&self, name: Option<String>, file: &Path) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let name = match name {
            Some(name) => checked(name)?,
            None => name_of(file)?,
        };
        let place = self.directory()?.join(format!("{name}.wasm"));
        let component = read(file).await?;
        let settings = settings(&self.config.load(), &name);
        let refused = |reason| RegistryError::Refused { name: name.clone(), reason };
        let loaded = self.loader.load(&component, &settings, Origin::Directory).await.map_err(refused)?;
        // In the directory first: what is in service is there after a restart. The watch finds it loaded already.
        write_private(&place, &component).map_err(|error| unreadable(&place, &error))?;
        Ok(self.publish(&name, Arc::new(loaded)))
    }

    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let (plugin, mut disabled) = {
            let held = self.held();
            (held.plugins.get(name).cloned(), held.disabled.clone())
        };
        let plugin = plugin.ok_or_else(|| RegistryError::Unknown(name.to_owned()))?;
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
        Ok(plugin.facts(is_enabled))
    }
}

/// What is configured for this name, for a component that comes from elsewhere.
fn settings(config: &Config, name: &str) -> PluginConfig {
    PluginConfig { path: None, ..settings_of_its_own(config, name) }
}

fn settings_of_its_own(config: &Config, name: &str) -> PluginConfig {
    let configured = config.plugins.iter().find(|plugin| plugin.name == name);
    configured.cloned().unwrap_or_else(|| PluginConfig::named(name))
}

fn read_disabled(state: &Path) -> std::io::Result<BTreeSet<String>> {
    match std::fs::read(state.join(DISABLED_FILE)) {
        // Not to know which were switched off is no reason to switch them on.
        Ok(octets) => serde_json::from_slice(&octets).map_err(std::io::Error::other),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// A component, if it is a file and not too large.
async fn read(file: &Path) -> Result<Vec<u8>, RegistryError> {
    let failed = |error| unreadable(file, &error);
    let facts = tokio::fs::metadata(file).await.map_err(failed)?;
    if !facts.is_file() || facts.len() > COMPONENT_OCTETS_MAX {
        let told = format!("{}: no file of at most {COMPONENT_OCTETS_MAX} octets", file.display());
        return Err(RegistryError::File(told));
    }
    tokio::fs::read(file).await.map_err(failed)
}

fn unreadable(file: &Path, error: &std::io::Error) -> RegistryError {
    RegistryError::File(format!("{}: {error}", file.display()))
}

/// The `*.wasm` files of a folder, in order.
pub(crate) fn components_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_component(path)).collect();
    files.sort();
    files
}

pub(crate) fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// A plugin in a file is named as the file.
fn name_of(file: &Path) -> Result<String, RegistryError> {
    checked(file.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

fn checked(name: String) -> Result<String, RegistryError> {
    let is_legal = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_legal {
        Ok(name)
    } else {
        Err(RegistryError::Refused { name, reason: "a name has letters, digits, - and _ only".to_owned() })
    }
}
