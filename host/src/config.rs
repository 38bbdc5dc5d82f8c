//! The configuration file: TOML → what each room wants to know. The only reader of settings and environment.
//!
//! Unknown keys, wrong types and impossible combinations are errors with file, line and key. What is described in here is
//! read and printed by the same lines. A key whose feature is not built is refused, never ignored.

mod confine;
mod keys;
mod kind;
mod limits;
mod listener;
mod outbound;
mod plugins;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maitred_confine::Reach;
use toml::de::DeTable;

use keys::{Keys, Source};
use kind::{ADDRESS, FLAG, HOST, TEXT, TIME, count, size};
pub(crate) use listener::{Listener, Protocol};

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where it came from; `None`: the built-in defaults.
    pub(crate) file: Option<PathBuf>,
    /// Our name.
    pub(crate) hostname: String,
    /// Where all state is kept.
    pub(crate) data_dir: PathBuf,
    /// `[log]`.
    pub(crate) log: Log,
    /// Each `[[listener]]`.
    pub(crate) listeners: Vec<Listener>,
    /// `[tls]`.
    pub(crate) tls: maitred_tls::Config,
    /// `[store]`.
    pub(crate) store: maitred_store::Config,
    /// `[limits]` of all listeners together.
    pub(crate) gate: maitred_net::Limits,
    /// `[limits]` and `[limits.smtp]`: of a session of SMTP, submission or LMTP.
    pub(crate) smtp: maitred_smtp::server::Limits,
    /// `[limits]` and `[limits.imap]`.
    pub(crate) imap: maitred_imap::Limits,
    /// `[limits]` and `[limits.pop3]`.
    pub(crate) pop3: maitred_pop3::Limits,
    /// Our name, the postmaster, and the part of `[limits]` that the stages keep.
    pub(crate) flow: maitred_flow::Config,
    /// `[dns]`.
    pub(crate) dns: maitred_dns::Config,
    /// `[outbound]`: when.
    pub(crate) queue: maitred_queue::Config,
    /// `[outbound]`: where to.
    pub(crate) route: maitred_route::Config,
    /// `[auth] allow_plaintext`: logins without TLS, of SMTP, IMAP and POP3.
    pub(crate) allow_plaintext: bool,
    /// `[plugins]` and `[[plugin]]`.
    pub(crate) plugins: maitred_plugin_host::Config,
    /// `[confine]`.
    pub(crate) confine: maitred_confine::Config,
    /// The routes as written, for printing.
    routes: Vec<outbound::RouteKeys>,
}

/// `[log]`; `RUST_LOG` goes before `filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// What is logged, as `tracing` filters say it.
    pub(crate) filter: String,
    /// How.
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

/// What is wrong with the configuration, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// The file.
    pub(crate) file: Option<PathBuf>,
    /// The line, where one can be named.
    pub(crate) line: Option<usize>,
    /// The key; empty when the file as a whole is meant.
    pub(crate) key: String,
    /// What is wrong, and what was expected.
    pub(crate) problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            match self.line {
                Some(line) => write!(f, "{line}: ")?,
                None => f.write_str(" ")?,
            }
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// About no key of a file.
    pub(crate) fn new(problem: String) -> Self {
        Self { file: None, line: None, key: String::new(), problem }
    }
}

impl Config {
    /// Reads a file. `data` goes before its `data_dir`.
    ///
    /// # Errors
    /// What is wrong, where.
    pub(crate) fn load(path: &Path, data: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_within(path, data, None)
    }

    /// Reads a file in a process that can open no more than what is in `reach`.
    ///
    /// # Errors
    /// What is wrong, where; also a path that is beyond.
    pub(crate) fn load_within(
        path: &Path,
        data: Option<&Path>,
        reach: Option<&Reach>,
    ) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|error| ConfigError {
            file: Some(path.to_owned()),
            ..ConfigError::new(error.to_string())
        })?;
        Self::parse(path, &text, data, reach)
    }

    /// Without a file: every default.
    ///
    /// # Errors
    /// What cannot be.
    pub(crate) fn defaults(data: Option<&Path>) -> Result<Self, ConfigError> {
        let config = Self::new(data);
        config.check().map_err(|(key, problem)| ConfigError { key, ..ConfigError::new(problem) })?;
        Ok(config)
    }

    /// The addresses that our SMTP listeners are bound to: mail must not be sent there.
    pub(crate) fn own_addresses(&self) -> Vec<IpAddr> {
        let smtp = self.listeners.iter().filter(|listener| listener.protocol == Protocol::Smtp);
        smtp.flat_map(|listener| listener.bind.iter().map(|address| address.ip())).collect()
    }

    /// The defaults, with their state in this folder.
    fn new(data: Option<&Path>) -> Self {
        let mut config = Self {
            file: None,
            hostname: "localhost".to_owned(),
            data_dir: PathBuf::from("./maitred-data"),
            log: Log { filter: "info".to_owned(), format: LogFormat::Text },
            listeners: listener::defaults(),
            tls: maitred_tls::Config::default(),
            store: maitred_store::Config::new(""),
            gate: maitred_net::Limits::default(),
            smtp: maitred_smtp::server::Limits::default(),
            imap: maitred_imap::Limits::default(),
            pop3: maitred_pop3::Limits::default(),
            flow: maitred_flow::Config::default(),
            dns: maitred_dns::Config::default(),
            queue: maitred_queue::Config::default(),
            route: maitred_route::Config::default(),
            allow_plaintext: false,
            plugins: maitred_plugin_host::Config::default(),
            confine: maitred_confine::Config::default(),
            routes: Vec::new(),
        };
        config.place(data);
        config
    }

    /// Reads a text; relative paths in it are relative to the folder of its file.
    fn parse(
        path: &Path,
        text: &str,
        data: Option<&Path>,
        reach: Option<&Reach>,
    ) -> Result<Self, ConfigError> {
        let base = path.parent().unwrap_or(Path::new(""));
        let source = Source { path, text, base, reach, lines: RefCell::default() };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| source.line(span.start));
            source.error(line, String::new(), error.message().to_owned())
        })?;
        let mut config = Self::new(None);
        config.file = Some(path.to_owned());
        config.data_dir = base.join(&config.data_dir);
        // Where the defaults keep things is decided again when all is read.
        config.plugins.directory = None;
        let mut keys = Keys::read(table.get_ref(), &source);
        config.keys(&mut keys)?;
        keys.end()?;
        config.place(data);
        if reach.is_some_and(|reach| !reach.may_write(&config.data_dir)) {
            return Err(source.error_at("data_dir", keys::beyond(&config.data_dir)));
        }
        config.check().map_err(|(key, problem)| source.error_at(&key, problem))?;
        Ok(config)
    }

    /// What follows from name and folder.
    fn place(&mut self, data: Option<&Path>) {
        if let Some(data) = data {
            self.data_dir = data.to_owned();
        }
        self.flow.hostname = self.hostname.clone();
        self.store.directory = self.data_dir.join("store");
        self.plugins.state = self.data_dir.join("plugin-state");
        self.plugins.directory.get_or_insert_with(|| self.data_dir.join("plugins"));
    }

    /// All of it as a file that says the same.
    pub(crate) fn effective(&self) -> String {
        let mut out = String::new();
        // The description wants something to write to, and nothing that is printed is refused.
        let mut copy = self.clone();
        if let Err(error) = copy.keys(&mut Keys::print(&mut out)) {
            tracing::error!(%error, "configuration not printed");
        }
        out
    }

    /// Every key there is.
    fn keys(&mut self, keys: &mut Keys<'_>) -> Result<(), ConfigError> {
        keys.at("hostname", &HOST, &mut self.hostname)?;
        keys.folder("data_dir", &mut self.data_dir)?;
        keys.maybe("postmaster", &ADDRESS, &mut self.flow.postmaster)?;
        log(keys, &mut self.log)?;
        listener::keys(keys, &mut self.listeners)?;
        keys.table("tls", |keys| {
            keys.path("certificate", &mut self.tls.certificate)?;
            keys.path("key", &mut self.tls.key)?;
            keys.not_yet("acme", |_| false, "automatic certificates (ACME) are")
        })?;
        store(keys, &mut self.store)?;
        limits::keys(keys, self)?;
        outbound::dns(keys, &mut self.dns)?;
        outbound::keys(keys, self)?;
        keys.table("auth", |keys| keys.at("allow_plaintext", &FLAG, &mut self.allow_plaintext).map(drop))?;
        outbound::dkim(keys)?;
        confine::keys(keys, &mut self.confine)?;
        plugins::keys(keys, self)
    }

    /// What single keys cannot say: the key that is to blame, and why.
    fn check(&self) -> Result<(), (String, String)> {
        let here = |(key, problem): (&str, String)| (key.to_owned(), problem);
        listener::check(&self.listeners).map_err(here)?;
        plugins::check(&self.plugins.plugins).map_err(here)?;
        let tls = maitred_tls::Tls::check(&self.tls).map_err(|error| error.to_string());
        tls.map_err(|problem| ("tls".to_owned(), problem.trim_start_matches("tls: ").to_owned()))?;
        self.gate.check().map_err(blame)?;
        self.dns.check().map_err(blame)?;
        self.queue.check().map_err(blame)?;
        self.route.check().map_err(blame)
    }
}

/// The rooms begin their complaints with the key.
fn blame(error: impl fmt::Display) -> (String, String) {
    let text = error.to_string();
    match text.split_once(": ") {
        Some((key, problem)) => (key.to_owned(), problem.to_owned()),
        None => (String::new(), text),
    }
}

fn log(keys: &mut Keys<'_>, log: &mut Log) -> Result<(), ConfigError> {
    keys.table("log", |keys| {
        keys.at("filter", &TEXT, &mut log.filter)?;
        let is_wrong = tracing_subscriber::EnvFilter::try_new(&log.filter).is_err();
        keys.refuse_if(
            is_wrong,
            "filter",
            "expected a filter such as \"info\" or \"info,maitred_smtp=debug\"",
        )?;
        keys.word("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)], &mut log.format)?;
        Ok(())
    })
}

fn store(keys: &mut Keys<'_>, store: &mut maitred_store::Config) -> Result<(), ConfigError> {
    keys.table("store", |keys| {
        keys.not_yet("backend", |value| value.as_str() != Some("postgres"), "the backend \"postgres\" is")?;
        keys.word("backend", &[("sled", ())], &mut ())?;
        keys.not_yet("url", |_| false, "the backend \"postgres\" is")?;
        keys.word("sync", &[("always", true), ("never", false)], &mut store.should_sync)?;
        keys.at("cache", &size(), &mut store.cache_octets)?;
        keys.at("segment", &size(), &mut store.segment_octets)?;
        keys.at("inline_body", &size(), &mut store.inline_octets_max)?;
        keys.at("flags_within", &TIME, &mut store.soon)?;
        keys.at("reserve", &size(), &mut store.reserve_octets)?;
        keys.at("snapshots", &count(), &mut store.snapshots_max)?;
        Ok(())
    })
}
