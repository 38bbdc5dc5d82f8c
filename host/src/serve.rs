//! The composition root: builds the rooms, hands each what it needs, starts and stops them.
//!
//! Order: walls, listeners, data directory, store, certificate, plugins, then everything that runs. Ports are bound first,
//! so that everything else is done without the rights of root. To stop: nobody new is let in, what was begun is ended
//! (bounded), the store is closed.

mod desk;
mod facts;
mod first;
mod sessions;
mod walls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use maitred_admin::Desk;
use maitred_admin::socket::{self, AdminSocket};
use maitred_dns::Dns;
use maitred_flow::{House, Relay, World};
use maitred_mail::dns::Resolver;
use maitred_msgauth::Verifier;
use maitred_net::{Courier, Gate, Listener, Stop, Stopper, SystemClock, TcpDialer, WebClient};
use maitred_plugin_host::{Bundled, PluginHerald, PluginHost};
use maitred_policy::Registry as _;
use maitred_route::Router;
use maitred_store::Store;
use maitred_tls::Tls;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::config::{Config, Protocol};

pub(crate) use first::{new_password, run};
pub(crate) use walls::Walls;

/// A running server.
pub(crate) struct Server {
    shared: Arc<Shared>,
    stopper: Stopper,
    running: JoinSet<()>,
}

/// What commands and sessions need of it.
pub(crate) struct Shared {
    config: ArcSwap<Config>,
    walls: Walls,
    data_dir: Option<std::path::PathBuf>,
    store: Store,
    house: Arc<House>,
    tls: Tls,
    plugins: Arc<PluginHost>,
    relay: Arc<Relay>,
    gate: Gate,
    bound: Vec<(Protocol, SocketAddr)>,
    began: Instant,
}

impl Server {
    /// Starts everything. When it returns, every listener answers.
    ///
    /// # Errors
    /// What kept it from starting; nothing runs then.
    pub(crate) async fn start(config: Config, data_dir: Option<&Path>, walls: Walls) -> anyhow::Result<Self> {
        let began = Instant::now();
        let listeners = bind(&config)?;
        walls.drop_privileges()?;
        make_private(&config.data_dir)?;
        let store_config = config.store.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&store_config)).await?;
        let store = store.with_context(|| format!("the store in {}", config.store.directory.display()))?;
        let tls = Tls::open(&config.tls, &config.hostname, &config.data_dir)?;
        let dns = Dns::new(&config.dns);
        dns.prepare();
        let resolver: Arc<dyn Resolver> = Arc::new(dns);
        let web = Arc::new(WebClient::new(tls.client().clone(), Arc::clone(&resolver)));
        let verifier = Arc::new(Verifier::new(Arc::clone(&resolver))?);
        let world = World::new(store.tables() as _, Arc::clone(&resolver), web, verifier);
        let world = Arc::new(world);
        let plugins = PluginHost::start(config.plugins.clone(), bundled(), Arc::clone(&world) as _).await?;
        let chains = {
            let plugins = Arc::clone(&plugins);
            Arc::new(move || plugins.chain())
        };
        let house = House::new(store.clone(), chains, Arc::new(SystemClock), config.flow.clone());
        let house = Arc::new(house.with_herald(PluginHerald::new(&plugins)));
        world.open(Arc::clone(&house));
        let (stopper, stop) = maitred_net::stop();
        let bell = Arc::new(Notify::new());
        let relay = relay(&config, (&house, resolver), &tls, &stop, &bell)?;
        let bound =
            listeners.iter().map(|(listener, socket)| (listener.protocol, socket.address())).collect();
        let shared = Arc::new(Shared {
            gate: Gate::new(config.gate),
            data_dir: data_dir.map(Path::to_owned),
            config: ArcSwap::from_pointee(config),
            walls,
            store,
            house,
            tls,
            plugins,
            relay: Arc::clone(&relay),
            bound,
            began,
        });
        let desk = Desk::new(shared.store.clone())
            .with_registry(Arc::clone(&shared.plugins) as _)
            .with_queue(Arc::clone(&shared.relay) as _)
            .with_server(Arc::clone(&shared) as _);
        let desk = Arc::new(desk);
        let mut running = JoinSet::new();
        running.spawn(Courier::new(relay, bell).run(stop.clone()));
        for (listener, socket) in listeners {
            sessions::serve(&mut running, (&shared, &desk), &listener, socket, &stop);
        }
        shared.open_desk(&mut running, desk, &stop)?;
        Ok(Self { shared, stopper, running })
    }

    /// Nobody new, what was begun is ended, then the store is closed.
    ///
    /// # Errors
    /// When something ended badly.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        tracing::info!("stopping");
        self.stopper.stop();
        let mut is_well = true;
        while let Some(ended) = self.running.join_next().await {
            is_well &= ended.is_ok();
        }
        self.shared.store.close().await;
        tracing::info!("stopped");
        if is_well { Ok(()) } else { bail!("a part of the server ended badly; see the log") }
    }

    /// The configuration, certificates and plugins are read again; a bad file changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        self.shared.reload().await
    }

    /// Where it listens.
    pub(crate) fn bound(&self) -> &[(Protocol, SocketAddr)] {
        &self.shared.bound
    }

    /// The port of a protocol.
    pub(crate) fn port(&self, protocol: &str) -> Option<u16> {
        self.ports().find(|(name, _)| *name == protocol).map(|(_, port)| port)
    }

    /// Every protocol with its port.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.shared.bound.iter().map(|(protocol, address)| (protocol.name(), address.port()))
    }

    /// Its store.
    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Its plugins.
    pub(crate) fn plugins(&self) -> &PluginHost {
        &self.shared.plugins
    }

    /// Its certificate, and the client's side.
    pub(crate) fn tls(&self) -> &Tls {
        &self.shared.tls
    }
}

impl Shared {
    /// Opens the admin socket.
    fn open_desk(&self, running: &mut JoinSet<()>, desk: Arc<Desk>, stop: &Stop) -> anyhow::Result<()> {
        let path = self.config.load().data_dir.join(SOCKET);
        let socket =
            AdminSocket::bind(&path).with_context(|| format!("the admin socket {}", path.display()))?;
        let mut stop = stop.clone();
        running.spawn(async move {
            socket::serve(socket, desk, socket::Limits::default(), stop.stopped()).await;
        });
        Ok(())
    }

    async fn reload(&self) -> Result<(), String> {
        let old = self.config.load_full();
        let Some(file) = &old.file else {
            return Err("the server runs without a configuration file".to_owned());
        };
        let data_dir = self.data_dir.as_deref();
        let new = self.walls.load(file, data_dir).map_err(|error| error.to_string())?;
        let router = Router::new(new.route.clone(), &new.hostname, new.own_addresses())
            .map_err(|error| error.to_string())?;
        for (what, is_changed) in [
            ("listener", old.listeners != new.listeners),
            ("hostname", old.hostname != new.hostname),
            ("data_dir", old.data_dir != new.data_dir),
            ("store", old.store != new.store),
            ("dns", old.dns != new.dns),
            ("limits", old.gate != new.gate || old.smtp != new.smtp || old.flow.limits != new.flow.limits),
            ("limits.imap", old.imap != new.imap),
            ("limits.pop3", old.pop3 != new.pop3),
            ("postmaster", old.flow.postmaster != new.flow.postmaster),
            ("auth.allow_plaintext", old.allow_plaintext != new.allow_plaintext),
            ("outbound: when to try again", old.queue != new.queue),
            ("log", old.log != new.log),
            ("confine", old.confine != new.confine),
        ] {
            if is_changed {
                tracing::warn!(key = what, "changed in the configuration: holds after a restart");
            }
        }
        let refused = self.plugins.reload(new.plugins.clone()).await.map_err(|error| error.to_string())?;
        self.tls.reload(&new.tls, &old.hostname, &old.data_dir).map_err(|error| error.to_string())?;
        self.relay.set_router(router);
        self.config.store(Arc::new(new));
        tracing::info!("configuration loaded");
        if refused.is_empty() {
            return Ok(());
        }
        Err(format!("all is reread, but of the plugin directory these are refused: {}", refused.join("; ")))
    }
}

/// Every address of every listener.
fn bind(config: &Config) -> anyhow::Result<Vec<(crate::config::Listener, Listener)>> {
    let mut listeners = Vec::new();
    for listener in &config.listeners {
        for address in &listener.bind {
            listeners.push((listener.clone(), Listener::bind(*address)?));
        }
    }
    Ok(listeners)
}

fn relay(
    config: &Config,
    (house, resolver): (&Arc<House>, Arc<dyn Resolver>),
    tls: &Tls,
    stop: &Stop,
    bell: &Arc<Notify>,
) -> anyhow::Result<Arc<Relay>> {
    let router = Router::new(config.route.clone(), &config.hostname, config.own_addresses())?;
    let bell = Arc::clone(bell);
    Ok(Arc::new(Relay::new(
        Arc::clone(house),
        router,
        config.queue.clone(),
        resolver,
        Arc::new(TcpDialer::new(tls.client().clone(), stop.clone())),
        Box::new(move || bell.notify_one()),
    )))
}

/// The plugins that came with the binary.
pub(crate) fn bundled() -> &'static [Bundled] {
    const ALL: [Bundled; maitred_bundled::PLUGINS.len()] = {
        let mut all =
            [Bundled { name: "", component: &[], is_default: false }; maitred_bundled::PLUGINS.len()];
        let mut at = 0;
        while at < all.len() {
            let component = maitred_bundled::PLUGINS[at];
            all[at] = Bundled {
                name: component.name,
                component: component.octets,
                is_default: component.is_default,
            };
            at += 1;
        }
        all
    };
    &ALL
}

/// A directory for its owner only: there is mail in it.
pub(crate) fn make_private(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("the data directory {}", directory.display()))
}

/// The admin socket's name in the data directory.
pub(crate) const SOCKET: &str = "admin.sock";
