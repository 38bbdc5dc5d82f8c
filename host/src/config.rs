//! The configuration: one TOML file becomes every room's own settings. The only reader of settings files.
//!
//! Unknown keys, wrong types and impossible combinations are errors of one line: file, line, key, what was expected. A key
//! whose feature this version does not have is refused when it is set, never ignored. Relative paths are relative to the
//! folder of the file.

mod file;
mod units;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maitred_plugin_host::{CallLimits, PluginConfig};
use maitred_route::config::{Credentials, StaticRoute};

pub(crate) use file::{Listener, Log, Protocol};

use file::File;

/// Every room's settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file it came from.
    pub(crate) file: Option<PathBuf>,
    pub(crate) hostname: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) allow_plaintext: bool,
    pub(crate) tls: maitred_tls::Config,
    pub(crate) store: maitred_store::Config,
    pub(crate) smtp: maitred_smtp::server::Limits,
    pub(crate) imap: maitred_imap::Limits,
    pub(crate) pop3: maitred_pop3::Limits,
    pub(crate) gate: maitred_net::Limits,
    pub(crate) flow: maitred_flow::Config,
    pub(crate) dns: maitred_dns::Config,
    pub(crate) queue: maitred_queue::Config,
    pub(crate) route: maitred_route::Config,
    pub(crate) plugins: maitred_plugin_host::Config,
    pub(crate) log: Log,
    effective: String,
}

/// What is wrong, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

impl ConfigError {
    /// Found elsewhere, and a matter of configuration all the same.
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}

impl Config {
    /// Reads a file. `data_dir` goes before what the file says.
    pub(crate) fn load(path: &Path, data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        let file = parse(&text).map_err(|(line, what)| match line {
            Some(line) => ConfigError(format!("{}:{line}: {what}", path.display())),
            None => ConfigError(format!("{}: {what}", path.display())),
        })?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("")).to_owned();
        Self::build(file, &folder, data_dir)
            .map(|config| Self { file: Some(path.to_owned()), ..config })
            .map_err(|what| ConfigError(format!("{}: {what}", path.display())))
    }

    /// Without a file: every default.
    pub(crate) fn defaults(data_dir: Option<&Path>) -> Result<Self, ConfigError> {
        Self::build(File::default(), Path::new(""), data_dir).map_err(ConfigError)
    }

    /// All keys as they hold, in TOML.
    pub(crate) fn effective(&self) -> &str {
        &self.effective
    }

    fn build(mut file: File, folder: &Path, data_dir: Option<&Path>) -> Result<Self, String> {
        refuse_what_is_not_there(&file)?;
        let at = |path: &Path| folder.join(path);
        let data_dir = data_dir.map_or_else(|| at(&file.data_dir), Path::to_owned);
        file.data_dir.clone_from(&data_dir);
        for path in [&mut file.tls.certificate, &mut file.tls.key].into_iter().flatten() {
            *path = at(path);
        }
        maitred_tls::Tls::check(&file.tls).map_err(|error| format!("tls: {error}"))?;
        let directory = file.plugins.directory.get_or_insert_with(|| data_dir.join("plugins"));
        *directory = at(directory);
        let effective = toml::to_string(&file).map_err(|error| error.to_string())?;
        let config = Self {
            file: None,
            hostname: hostname(&file)?,
            listeners: listeners(&file)?,
            allow_plaintext: file.auth.allow_plaintext,
            store: store(&file, &data_dir),
            smtp: smtp(&file),
            imap: imap(&file),
            pop3: maitred_pop3::Limits { errors_max: file.limits.errors, ..Default::default() },
            gate: gate(&file)?,
            flow: flow(&file),
            dns: dns(&file)?,
            queue: queue(&file)?,
            route: route(&file, folder)?,
            plugins: plugins(&file, folder, &data_dir)?,
            tls: file.tls,
            log: file.log,
            data_dir,
            effective,
        };
        Ok(config)
    }

    /// The addresses that our SMTP listeners are bound to: mail must not be sent there.
    pub(crate) fn own_addresses(&self) -> Vec<IpAddr> {
        let smtp = self.listeners.iter().filter(|listener| listener.protocol == Protocol::Smtp);
        smtp.flat_map(|listener| listener.bind.iter().map(|address| address.ip())).collect()
    }
}

/// The file's text; else the line, if it is known, and what is wrong there.
fn parse(text: &str) -> Result<File, (Option<usize>, String)> {
    toml::from_str(text).map_err(|error| {
        let Some(span) = error.span() else { return (None, one_line(error.message())) };
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let whole = text.lines().nth(line - 1).unwrap_or_default();
        let key = whole.split('=').next().unwrap_or_default().trim();
        let message = one_line(error.message());
        let names_key = key.is_empty() || message.contains(&format!("`{key}`"));
        (Some(line), if names_key { message } else { format!("{key}: {message}") })
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refuse_what_is_not_there(file: &File) -> Result<(), String> {
    let not_there = |key: &str| Err(format!("{key}: not available in this version"));
    if file.store.backend != "sled" || file.store.url.is_some() {
        return not_there("store.backend: anything but \"sled\"");
    }
    if !file.dkim.is_empty() {
        return not_there("dkim");
    }
    if file.dns.dnssec {
        return not_there("dns.dnssec = true");
    }
    if file.listener.iter().any(|listener| !listener.xclient.is_empty()) {
        return not_there("listener.xclient");
    }
    for plugin in &file.plugin {
        if plugin.mode.as_str() != Some("enforce") {
            return not_there("plugin.mode: anything but \"enforce\"");
        }
    }
    Ok(())
}

fn hostname(file: &File) -> Result<String, String> {
    maitred_mail::Domain::parse(&file.hostname)
        .map(|_| file.hostname.clone())
        .map_err(|error| format!("hostname: {error}"))
}

fn listeners(file: &File) -> Result<Vec<Listener>, String> {
    for listener in &file.listener {
        let name = listener.protocol.name();
        if listener.bind.is_empty() {
            return Err(format!("listener: {name}: bind: expected at least one address"));
        }
        if !listener.relay_from.is_empty() && listener.protocol != Protocol::Smtp {
            return Err(format!("listener: {name}: relay_from: only for protocol \"smtp\""));
        }
        if !listener.proxy_protocol.is_empty() && listener.protocol == Protocol::Http {
            return Err("listener: http: proxy_protocol: not for protocol \"http\"".to_owned());
        }
    }
    Ok(file.listener.clone())
}

fn store(file: &File, data_dir: &Path) -> maitred_store::Config {
    maitred_store::Config {
        should_sync: file.store.sync == file::Sync::Always,
        cache_octets: file.store.cache.0,
        reserve_octets: file.store.reserve.0,
        ..maitred_store::Config::new(data_dir.join("store"))
    }
}

fn smtp(file: &File) -> maitred_smtp::server::Limits {
    let limits = &file.limits;
    maitred_smtp::server::Limits {
        message_octets_max: limits.message_size.0,
        drain_octets_max: drain(file),
        recipients_max: limits.recipients,
        errors_max: limits.errors,
        refusals_max: limits.refusals,
        transactions_max: limits.transactions,
        command_timeout: limits.command_timeout.0,
        data_timeout: limits.command_timeout.0,
        ..Default::default()
    }
}

/// What is read away of a message that is refused for its size.
fn drain(file: &File) -> u64 {
    file.limits.message_size.0.saturating_add(16 << 20)
}

fn imap(file: &File) -> maitred_imap::Limits {
    let mut limits = maitred_imap::Limits::default();
    limits.grammar.message_octets_max = file.limits.message_size.0;
    limits.grammar.drain_octets_max = drain(file);
    limits.errors_max = file.limits.errors;
    limits.command_timeout = file.limits.command_timeout.0;
    limits
}

fn gate(file: &File) -> Result<maitred_net::Limits, String> {
    let limits = &file.limits;
    if limits.connections == 0 || limits.connections_per_ip == 0 {
        return Err("limits.connections, limits.connections_per_ip: expected at least 1".to_owned());
    }
    Ok(maitred_net::Limits { connections: limits.connections, connections_per_ip: limits.connections_per_ip })
}

fn flow(file: &File) -> maitred_flow::Config {
    let limits = &file.limits;
    maitred_flow::Config {
        hostname: file.hostname.clone(),
        postmaster: file.postmaster.clone(),
        limits: maitred_flow::Limits {
            header_octets_max: usize::try_from(limits.header_size.0).unwrap_or(usize::MAX),
            received_max: limits.received_fields,
            delay_max: limits.plugin_delay.0,
            auth_failures: limits.auth_failures,
        },
    }
}

fn dns(file: &File) -> Result<maitred_dns::Config, String> {
    if file.dns.timeout.0.is_zero() {
        return Err("dns.timeout: expected more than 0s".to_owned());
    }
    Ok(maitred_dns::Config {
        servers: file.dns.servers.clone(),
        timeout: file.dns.timeout.0,
        attempts: file.dns.attempts,
        ..Default::default()
    })
}

fn queue(file: &File) -> Result<maitred_queue::Config, String> {
    let outbound = &file.outbound;
    let queue = maitred_queue::Config {
        retry: outbound.retry.iter().map(|time| time.0).collect(),
        expire: outbound.expire.0,
        delay_warning: outbound.delay_warning.0,
        max_connections_per_domain: outbound.max_connections_per_domain,
        ..Default::default()
    };
    queue.check().map(|()| queue).map_err(|error| error.to_string())
}

fn route(file: &File, folder: &Path) -> Result<maitred_route::Config, String> {
    let outbound = &file.outbound;
    let mut routes = Vec::new();
    for route in &outbound.route {
        let credentials = match (&route.username, &route.password_file) {
            (None, None) => None,
            (Some(username), Some(file)) => {
                let path = folder.join(file);
                let password = std::fs::read_to_string(&path)
                    .map_err(|error| format!("outbound.route.password_file: {}: {error}", path.display()))?;
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                Some(Credentials { username: username.clone(), password })
            }
            _ => {
                let domain = &route.domain;
                return Err(format!("outbound.route: {domain}: username and password_file go together"));
            }
        };
        routes.push(StaticRoute {
            domain: route.domain.clone(),
            relay: route.relay.clone(),
            tls: route.tls,
            credentials,
        });
    }
    let route = maitred_route::Config {
        port: outbound.port,
        source_addresses: outbound.source_addresses.clone(),
        allow_loopback_mx: outbound.allow_loopback_mx,
        tls: outbound.tls,
        routes,
        ..Default::default()
    };
    route.check().map(|()| route).map_err(|error| error.to_string())
}

fn plugins(file: &File, folder: &Path, data_dir: &Path) -> Result<maitred_plugin_host::Config, String> {
    let mut plugins = Vec::new();
    for plugin in &file.plugin {
        let limits = &plugin.limits;
        let config = serde_json::to_value(&plugin.config)
            .map_err(|error| format!("plugin: {}: config: {error}", plugin.name))?;
        plugins.push(PluginConfig {
            path: plugin.path.as_ref().map(|path| folder.join(path)),
            order: plugin.order,
            on_error: plugin.on_error,
            limits: CallLimits {
                memory: limits.memory.0,
                time: limits.time.0,
                concurrency: limits.concurrency,
                host_calls: limits.host_calls,
                octets: limits.octets.0,
            },
            grants: plugin.grants.clone(),
            config,
            ..PluginConfig::named(plugin.name.clone())
        });
    }
    Ok(maitred_plugin_host::Config {
        directory: file.plugins.directory.clone(),
        state: data_dir.join("plugin-state"),
        plugins,
    })
}

#[cfg(test)]
mod tests;
