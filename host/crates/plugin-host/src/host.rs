//! The registry: which plugins there are, in which order, and how one is swapped for another.
//!
//! A change makes a new chain; a transaction that has begun keeps the one it took, and the last to let go of a version frees
//! it. A version that is refused changes nothing.

mod lifecycle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use maitred_policy::{
    Chain, Hook, HookCall, Outside, Plugin, PluginFacts, Registry as _, RegistryError, SessionFacts, Trial,
};

use crate::cache::Cache;
use crate::config::{Bundled, Config, PluginConfig};
use crate::engine::{Machine, Pace};
use crate::grants::Grants;
use crate::load::{COMPONENT_OCTETS_MAX, Loader, digest};
use crate::loaded::{Loaded, Origin};
use crate::metrics::{Metrics, Number};
use crate::record::Recorder;
use crate::seat::Seat;
use crate::trial::OnTrial;
use crate::versions::{Version, Versions};
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

/// A number of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnMetric {
    /// Its name.
    pub name: &'static str,
    /// It only grows.
    pub is_counter: bool,
    /// Name, value.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: f64,
}

/// All plugins of a server.
pub struct PluginHost {
    loader: Loader,
    versions: Arc<Versions>,
    bundled: &'static [Bundled],
    config: ArcSwap<Config>,
    chain: ArcSwap<Chain>,
    held: Mutex<Held>,
    /// What all versions of a plugin share, by its name.
    names: Mutex<BTreeMap<String, Named>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    watch: Mutex<Option<Watch>>,
}

type Plugins = BTreeMap<String, Place>;

#[derive(Default)]
struct Held {
    plugins: Plugins,
    disabled: BTreeSet<String>,
}

/// What there is of a plugin.
#[derive(Clone, Default)]
struct Place {
    primary: Option<Arc<Loaded>>,
    trial: Option<Arc<OnTrial>>,
    /// The version that was in service before, ready to be called.
    before: Option<Arc<Loaded>>,
}

impl Place {
    /// Whether all of it came out of the plugin directory, and has just these grants.
    fn is_of_directory(&self, grants: &Grants) -> bool {
        let trial = self.trial.as_ref().map(|trial| &trial.candidate);
        let mut all = self.primary.iter().chain(trial);
        all.all(|loaded| loaded.origin == Origin::Directory && loaded.config.grants == *grants)
    }
}

#[derive(Clone, Default)]
struct Named {
    metrics: Arc<Metrics>,
    recorder: Arc<Recorder>,
}

const DISABLED_FILE: &str = "disabled.json";

impl PluginHost {
    /// Loads what is bundled, configured and in the directory, then watches the directory. A component there that is refused
    /// is logged and left out; a configured one that is refused is an error.
    ///
    /// # Errors
    /// Why there are no plugins.
    pub async fn start(
        config: Config,
        bundled: &'static [Bundled],
        outside: Arc<dyn Outside>,
    ) -> Result<Arc<Self>, Error> {
        let seen = config.directory.as_deref().map(stamps).unwrap_or_default();
        let host = Arc::new(Self::load_all(config, bundled, outside, Versions::open).await?);
        host.watch(seen)?;
        crate::tick::start(&host);
        Ok(host)
    }

    /// Loads everything as `start` does, and nothing else: `maitred check`.
    ///
    /// # Errors
    /// What `start` would say.
    pub async fn check(config: Config, bundled: &'static [Bundled]) -> Result<Vec<PluginFacts>, Error> {
        let outside = Arc::new(crate::outside::Nowhere);
        Ok(Self::load_all(config, bundled, outside, Versions::look_at).await?.list())
    }

    async fn load_all(
        config: Config,
        bundled: &'static [Bundled],
        outside: Arc<dyn Outside>,
        versions: fn(&Path) -> std::io::Result<Versions>,
    ) -> Result<Self, Error> {
        let machine = Machine::start(Pace::Time).map_err(|error| Error::Engine(error.to_string()))?;
        let unusable = |source| Error::File { path: config.state.clone(), source };
        let cache = Cache::open(&config.state, &machine.engine).map_err(unusable)?;
        let disabled = read_disabled(&config.state).map_err(unusable)?;
        let host = Self {
            loader: Loader::new(machine, Some(cache), outside)
                .map_err(|error| Error::Engine(error.to_string()))?,
            versions: Arc::new(versions(&config.state).map_err(unusable)?),
            names: Mutex::default(),
            bundled,
            chain: ArcSwap::default(),
            held: Mutex::new(Held { plugins: Plugins::new(), disabled }),
            changing: tokio::sync::Mutex::default(),
            watch: Mutex::default(),
            config: ArcSwap::from_pointee(config.clone()),
        };
        let (plugins, _) = host.gather(&config, &Plugins::new()).await?;
        host.held().plugins = plugins;
        host.rebuild();
        Ok(host)
    }

    /// Takes a new configuration: all of it, or nothing of it. What did not change stays loaded. Answers which components of
    /// the directory were refused, and why; of these, what was in service stays.
    ///
    /// # Errors
    /// The first configured plugin that is refused; everything stays as it was then.
    pub async fn reload(self: &Arc<Self>, config: Config) -> Result<Vec<String>, Error> {
        let _changing = self.changing.lock().await;
        let disabled = read_disabled(&config.state)
            .map_err(|source| Error::File { path: config.state.clone(), source })?;
        let seen = config.directory.as_deref().map(stamps).unwrap_or_default();
        let before = self.held().plugins.clone();
        let (plugins, refused) = self.gather(&config, &before).await?;
        let is_elsewhere = self.config.load().directory != config.directory;
        self.config.store(Arc::new(config));
        *self.held() = Held { plugins, disabled };
        self.rebuild();
        if is_elsewhere {
            self.watch(seen)?;
        }
        Ok(refused)
    }

    /// Everything that a configuration asks for: what lies in the directory, then what is configured and bundled under a
    /// name that is not there, then what is tried out beside them.
    async fn gather(&self, config: &Config, before: &Plugins) -> Result<(Plugins, Vec<String>), Error> {
        let mut plugins = Plugins::new();
        let mut refused_files = Vec::new();
        if let Some(directory) = &config.directory {
            std::fs::create_dir_all(directory)
                .map_err(|source| Error::File { path: directory.clone(), source })?;
            for file in components_in(directory) {
                match self.dropped(&file, config, before).await {
                    Ok((name, loaded)) => drop(plugins.insert(name, self.seated(loaded, before))),
                    Err(error) => {
                        tracing::warn!(file = %file.display(), %error, "plugin not loaded");
                        refused_files.push(format!("{}: {error}", file.display()));
                        // A component that is no good replaces none that is. A grant that was taken away is gone all the same.
                        let stays =
                            name_of(&file).ok().and_then(|name| Some((before.get(&name)?.clone(), name)));
                        if let Some((place, name)) = stays
                            && place.is_of_directory(&settings(config, &name).grants)
                        {
                            plugins.insert(name, place);
                        }
                    }
                }
            }
        }
        let is_configured = |name: &str| config.plugins.iter().any(|plugin| plugin.name == name);
        let unconfigured = self.bundled.iter().filter(|of| of.is_default && !is_configured(of.name));
        let unconfigured: Vec<_> = unconfigured.map(|bundled| PluginConfig::named(bundled.name)).collect();
        for plugin in config.plugins.iter().chain(&unconfigured) {
            if plugins.contains_key(&plugin.name) {
                continue;
            }
            let refused = |reason| Error::Refused { name: plugin.name.clone(), reason };
            checked(plugin.name.clone()).map_err(|error| refused(error.to_string()))?;
            match self.configured(plugin, before).await.map_err(refused)? {
                Some(loaded) => drop(plugins.insert(plugin.name.clone(), self.seated(loaded, before))),
                // Its file was refused, or is yet to come: `on_error` says what that means.
                None => tracing::warn!(plugin = plugin.name, "plugin waits for its component"),
            }
        }
        for (name, version, trial) in self.versions.trials() {
            self.resume_trial(config, &mut plugins, before, (name, version, trial)).await;
        }
        Ok((plugins, refused_files))
    }

    /// What was tried out before the restart goes on being tried out.
    async fn resume_trial(
        &self,
        config: &Config,
        plugins: &mut Plugins,
        before: &Plugins,
        (name, version, trial): (String, Version, Trial),
    ) {
        let place = plugins.entry(name.clone()).or_default();
        if place.trial.is_some() {
            // Its configuration has one.
            return;
        }
        let settings = settings(config, &name);
        let running = before.get(&name).and_then(|place| place.trial.clone());
        let is_it = |of: &Arc<OnTrial>| {
            of.candidate.is(&version.digest, &settings, Origin::Directory) && of.trial == trial
        };
        if let Some(running) = running.filter(is_it) {
            place.trial = Some(running);
            return;
        }
        let loaded = match self.versions.component(&version.digest) {
            Ok(component) => {
                self.loader.load(&component, &settings, Origin::Directory, &self.named(&name).metrics).await
            }
            Err(error) => Err(error.to_string()),
        };
        match loaded {
            Ok(loaded) => place.trial = Some(OnTrial::start(Arc::new(loaded), trial, &self.versions)),
            Err(reason) => {
                tracing::error!(plugin = name, reason, "the version that was tried out cannot be loaded")
            }
        }
    }

    /// A plugin that is configured with a path, or bundled; neither is `None`.
    async fn configured(
        &self,
        plugin: &PluginConfig,
        before: &Plugins,
    ) -> Result<Option<Arc<Loaded>>, String> {
        match self.component_of(plugin).await.map_err(|error| error.to_string())? {
            Some((component, origin)) => self.same_or_new(&component, plugin, origin, before).await.map(Some),
            None => Ok(None),
        }
    }

    /// What is configured with a path, or bundled, under this name; neither is `None`.
    async fn component_of(&self, plugin: &PluginConfig) -> Result<Option<(Vec<u8>, Origin)>, RegistryError> {
        let bundled = self.bundled.iter().find(|bundled| bundled.name == plugin.name);
        Ok(match (&plugin.path, bundled) {
            (Some(path), _) => Some((read(path).await?, Origin::Configured)),
            (None, Some(bundled)) => Some((bundled.component.to_vec(), Origin::Bundled)),
            (None, None) => None,
        })
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
        let loaded =
            self.same_or_new(&component, &settings, Origin::Directory, before).await.map_err(refused)?;
        let kept = self.versions.keep(&component);
        kept.and_then(|()| self.versions.note(&name, Version::of(&loaded)))
            .map_err(|error| unreadable(file, &error))?;
        Ok((name, loaded))
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
        let known = before.get(&settings.name).and_then(|place| {
            let trial = place.trial.as_ref().map(|trial| &trial.candidate);
            let all = [place.primary.as_ref(), trial, place.before.as_ref()];
            all.into_iter().flatten().find(|loaded| loaded.is(&digest, settings, origin)).cloned()
        });
        match known {
            Some(same) => Ok(same),
            None => {
                let metrics = self.named(&settings.name).metrics;
                Ok(Arc::new(self.loader.load(component, settings, origin, &metrics).await?))
            }
        }
    }

    /// Obeyed, or tried out, as its configuration says. One that runs goes on with what it has counted.
    fn seated(&self, loaded: Arc<Loaded>, before: &Plugins) -> Place {
        let was = before.get(&loaded.config.name);
        let previous = was.and_then(|place| place.before.clone());
        match loaded.config.trial.clone() {
            None => Place { primary: Some(loaded), trial: None, before: previous },
            Some(trial) => {
                let running = was.and_then(|place| place.trial.clone());
                let running = running.filter(|of| Arc::ptr_eq(&of.candidate, &loaded) && of.trial == trial);
                let trial = running.unwrap_or_else(|| OnTrial::start(loaded, trial, &self.versions));
                Place { primary: None, trial: Some(trial), before: previous }
            }
        }
    }

    fn rebuild(&self) {
        let held = self.held();
        let config = self.config.load();
        let seat = |name: &String, place: Place| {
            let settings = match (&place.primary, &place.trial) {
                (Some(primary), _) => primary.config.clone(),
                (None, Some(trial)) => trial.candidate.config.clone(),
                (None, None) => settings_of_its_own(&config, name),
            };
            let recorder = self.named(name).recorder;
            Seat { config: settings, primary: place.primary, trial: place.trial, recorder }
        };
        let loaded = held.plugins.iter().map(|(name, place)| seat(name, place.clone()));
        let missing = config.plugins.iter().filter(|settings| !held.plugins.contains_key(&settings.name));
        let missing = missing.map(|settings| seat(&settings.name, Place::default()));
        let mut seats: Vec<Seat> =
            loaded.chain(missing).filter(|seat| !held.disabled.contains(&seat.config.name)).collect();
        seats.sort_by(|a, b| (a.config.order, &a.config.name).cmp(&(b.config.order, &b.config.name)));
        let plugins = seats.into_iter().map(|seat| Arc::new(seat) as Arc<dyn Plugin>).collect();
        self.chain.store(Arc::new(Chain::new(plugins)));
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

    /// What all versions of a plugin share.
    fn named(&self, name: &str) -> Named {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.entry(name.to_owned()).or_default().clone()
    }

    /// Where `load` puts components so that they are there after a restart.
    fn directory(&self) -> Result<PathBuf, RegistryError> {
        let directory = self.config.load().directory.clone();
        directory.ok_or_else(|| RegistryError::File("there is no plugin directory".to_owned()))
    }

    /// Plugins that want a tick, and how often.
    pub(crate) fn ticks(&self) -> Vec<(String, std::time::Duration)> {
        let held = self.held();
        let wants = |loaded: &&Arc<Loaded>| loaded.has(Hook::Tick);
        let of = |(name, place): (&String, &Place)| {
            place.primary.as_ref().filter(wants).map(|loaded| (name.clone(), loaded.config.tick))
        };
        held.plugins.iter().filter(|(name, _)| !held.disabled.contains(*name)).filter_map(of).collect()
    }

    /// One plugin's tick.
    pub(crate) async fn tick(&self, name: &str) {
        let chain = self.chain.load_full();
        let Some(plugin) = chain.of(Hook::Tick).find(|plugin| plugin.name() == name).cloned() else { return };
        let session = SessionFacts::internal(maitred_mail::Timestamp(0));
        let called = plugin.call(&session, HookCall::Tick).await;
        if let Err(fault) = called.answer {
            tracing::warn!(plugin = name, plugin.version = &*called.version, %fault, "tick failed");
        }
    }

    /// Numbers that plugins count themselves (`maitred_plugin_own_total`, `maitred_plugin_own`, with the plugin's name for it as the
    /// label `name`), and how often each used what it was granted (`maitred_plugin_capability_total`).
    pub fn metrics(&self) -> Vec<OwnMetric> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = Vec::new();
        for (name, named) in &names {
            let plugin = || ("plugin".to_owned(), name.clone());
            for (capability, count) in named.metrics.audit().filter(|(_, count)| *count > 0) {
                all.push(OwnMetric {
                    name: "maitred_plugin_capability_total",
                    is_counter: true,
                    labels: vec![plugin(), ("capability".to_owned(), capability.name().to_owned())],
                    value: as_float(count),
                });
            }
            for (series, mut labels, number) in named.metrics.list() {
                labels.splice(0..0, [plugin(), ("name".to_owned(), series)]);
                all.push(match number {
                    Number::Counter(count) => OwnMetric {
                        name: "maitred_plugin_own_total",
                        is_counter: true,
                        labels,
                        value: as_float(count),
                    },
                    Number::Gauge(value) => {
                        OwnMetric { name: "maitred_plugin_own", is_counter: false, labels, value }
                    }
                });
            }
        }
        // Those of one name stand together.
        all.sort_by_key(|metric| metric.name);
        all
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics have no other numbers")]
fn as_float(count: u64) -> f64 {
    count as f64
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
