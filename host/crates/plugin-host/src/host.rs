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
use crate::load::{Loader, Source};
use crate::loaded::Loaded;
use crate::watch::Watch;

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

#[derive(Default)]
struct Held {
    plugins: BTreeMap<String, Arc<Loaded>>,
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
        let host = Self::load_all(config, bundled).await?;
        let host = Arc::new(host);
        if let Some(directory) = &host.config.load().directory {
            let watch = Watch::start(directory, Arc::downgrade(&host))
                .map_err(|source| Error::File { path: directory.clone(), source })?;
            *host.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        }
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
        let state = config.state.clone();
        let unusable = |source| Error::File { path: state.clone(), source };
        let cache = Cache::open(&state, &machine.engine).map_err(unusable)?;
        let loader = Loader::new(machine, cache).map_err(|error| Error::Engine(error.to_string()))?;
        let disabled = match std::fs::read(state.join(DISABLED_FILE)) {
            Ok(octets) => serde_json::from_slice(&octets).unwrap_or_default(),
            Err(_) => BTreeSet::new(),
        };
        let host = Self {
            loader,
            bundled,
            chain: ArcSwap::default(),
            held: Mutex::new(Held { plugins: BTreeMap::new(), disabled }),
            changing: tokio::sync::Mutex::default(),
            watch: Mutex::default(),
            config: ArcSwap::from_pointee(config.clone()),
        };
        let plugins = host.load_configured(&config).await?;
        host.held().plugins = plugins;
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)
                .map_err(|source| Error::File { path: directory.clone(), source })?;
            for file in components_in(directory) {
                if let Err(error) = host.take_file(&file).await {
                    tracing::warn!(file = %file.display(), error = %error, "plugin not loaded");
                }
            }
        }
        host.rebuild();
        Ok(host)
    }

    /// The bundled plugins, with the configuration of theirs that the operator gives, and the operator's own.
    async fn load_configured(&self, config: &Config) -> Result<BTreeMap<String, Arc<Loaded>>, Error> {
        let mut plugins = BTreeMap::new();
        let is_configured = |name: &str| config.plugins.iter().any(|plugin| plugin.name == name);
        let unconfigured: Vec<PluginConfig> = self
            .bundled
            .iter()
            .filter(|b| !is_configured(b.name))
            .map(|b| PluginConfig::named(b.name))
            .collect();
        for plugin in config.plugins.iter().chain(&unconfigured) {
            let refused = |reason| Error::Refused { name: plugin.name.clone(), reason };
            let bundled = self.bundled.iter().find(|bundled| bundled.name == plugin.name);
            let (component, origin) = match (&plugin.path, bundled) {
                (Some(path), _) => {
                    let read = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
                    (read.map_err(refused)?, "configured")
                }
                (None, Some(bundled)) => (bundled.component.to_vec(), "bundled"),
                (None, None) => {
                    return Err(refused("no plugin of that name is bundled, and it has no path".to_owned()));
                }
            };
            let source = Source { component: &component, config: plugin, origin };
            let loaded = self.loader.load(&source).await.map_err(refused)?;
            plugins.insert(plugin.name.clone(), Arc::new(loaded));
        }
        Ok(plugins)
    }

    /// Takes a new configuration: all of it, or nothing of it.
    ///
    /// # Errors
    /// The first plugin that is refused; everything stays as it was then.
    pub async fn reload(&self, config: Config) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let mut plugins = self.load_configured(&config).await?;
        let from_directory = |plugin: &&Arc<Loaded>| plugin.facts(true).origin == "directory";
        let dropped: Vec<Arc<Loaded>> =
            self.held().plugins.values().filter(from_directory).cloned().collect();
        for plugin in dropped {
            plugins.insert(plugin.config.name.clone(), plugin);
        }
        self.held().plugins = plugins;
        self.config.store(Arc::new(config));
        self.rebuild();
        Ok(())
    }

    /// Loads (or swaps) the component in this file of the plugin directory.
    pub(crate) async fn take_file(&self, file: &Path) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let name = name_of(file)?;
        let component = std::fs::read(file)
            .map_err(|error| RegistryError::File(format!("{}: {error}", file.display())))?;
        self.swap(&name, &component).await
    }

    /// A file of the plugin directory is gone: so is its plugin, and what it stood in for is back.
    pub(crate) async fn drop_file(&self, file: &Path) {
        let _changing = self.changing.lock().await;
        let Ok(name) = name_of(file) else { return };
        let was_loaded = {
            let mut held = self.held();
            let is_its =
                held.plugins.get(&name).is_some_and(|plugin| plugin.facts(true).origin == "directory");
            is_its && held.plugins.remove(&name).is_some()
        };
        if !was_loaded {
            return;
        }
        match self.load_configured(&self.config.load_full()).await {
            Ok(mut configured) => {
                if let Some(before) = configured.remove(&name) {
                    self.held().plugins.insert(name.clone(), before);
                }
            }
            Err(error) => {
                tracing::warn!(plugin = name, error = %error, "the plugin before it cannot be loaded")
            }
        }
        self.rebuild();
        tracing::info!(plugin = name, "plugin unloaded");
    }

    /// Makes a plugin of this component and puts it in service under a name, with that name's settings.
    async fn swap(&self, name: &str, component: &[u8]) -> Result<PluginFacts, RegistryError> {
        let configured = self.config.load().plugins.iter().find(|plugin| plugin.name == name).cloned();
        let config = PluginConfig { path: None, ..configured.unwrap_or_else(|| PluginConfig::named(name)) };
        let source = Source { component, config: &config, origin: "directory" };
        let refused = |reason| RegistryError::Refused { name: name.to_owned(), reason };
        let loaded = Arc::new(self.loader.load(&source).await.map_err(refused)?);
        let is_enabled = !self.held().disabled.contains(name);
        let facts = loaded.facts(is_enabled);
        self.held().plugins.insert(name.to_owned(), loaded);
        self.rebuild();
        tracing::info!(plugin = name, "plugin.version" = %facts.version, digest = %facts.digest, "plugin loaded");
        Ok(facts)
    }

    fn rebuild(&self) {
        let held = self.held();
        let enabled = held.plugins.iter().filter(|(name, _)| !held.disabled.contains(*name));
        let mut plugins: Vec<&Arc<Loaded>> = enabled.map(|(_, plugin)| plugin).collect();
        plugins.sort_by_key(|plugin| plugin.config.order);
        let plugins = plugins.into_iter().map(|plugin| Arc::clone(plugin) as Arc<dyn Plugin>).collect();
        self.chain.store(Arc::new(Chain::new(plugins)));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `load` puts components so that they are there after a restart.
    fn directory(&self) -> Result<PathBuf, RegistryError> {
        self.config
            .load()
            .directory
            .clone()
            .ok_or_else(|| RegistryError::File("there is no plugin directory".to_owned()))
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
        let failed = |error: std::io::Error| RegistryError::File(format!("{}: {error}", file.display()));
        let component = std::fs::read(file).map_err(failed)?;
        let facts = self.swap(&name, &component).await?;
        // Kept in the directory for the next start; that it appears there loads the same octets once more, from the cache.
        write_private(&self.directory()?.join(format!("{name}.wasm")), &component).map_err(failed)?;
        Ok(facts)
    }

    async fn enable(&self, name: &str, is_enabled: bool) -> Result<PluginFacts, RegistryError> {
        let _changing = self.changing.lock().await;
        let (facts, disabled) = {
            let mut held = self.held();
            let plugin =
                held.plugins.get(name).cloned().ok_or_else(|| RegistryError::Unknown(name.to_owned()))?;
            if is_enabled {
                held.disabled.remove(name)
            } else {
                held.disabled.insert(name.to_owned())
            };
            (plugin.facts(is_enabled), serde_json::to_vec(&held.disabled).unwrap_or_default())
        };
        let path = self.config.load().state.join(DISABLED_FILE);
        write_private(&path, &disabled)
            .map_err(|error| RegistryError::File(format!("{}: {error}", path.display())))?;
        self.rebuild();
        tracing::info!(plugin = name, is_enabled, "plugin switched");
        Ok(facts)
    }
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
