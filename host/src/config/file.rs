//! The file as it is written: every key with its default, so that `maitred check --print` shows the result.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use maitred_mail::{Address, Domain};
use maitred_net::Network;
use maitred_policy::OnError;
use maitred_route::TlsPolicy;
use serde::{Deserialize, Serialize};

use super::units::{Size, Time};

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub hostname: String,
    pub data_dir: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<Address>,
    pub listener: Vec<Listener>,
    pub tls: maitred_tls::Config,
    pub store: Store,
    pub limits: Limits,
    pub dns: Dns,
    pub outbound: Outbound,
    pub auth: Auth,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub dkim: toml::Table,
    pub plugins: Plugins,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugin: Vec<Plugin>,
    pub log: Log,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Smtp,
    Submission,
    Submissions,
    Lmtp,
    Imap,
    Imaps,
    Pop3,
    Pop3s,
    Http,
}

impl Protocol {
    /// As the configuration names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Lmtp => "lmtp",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
            Self::Http => "http",
        }
    }

    /// TLS from the first octet on (RFC 8314).
    pub(crate) fn has_implicit_tls(self) -> bool {
        matches!(self, Self::Submissions | Self::Imaps | Self::Pop3s)
    }
}

/// `[[listener]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Where.
    pub(crate) bind: Vec<SocketAddr>,
    /// Peers whose PROXY header is required and believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) proxy_protocol: Vec<Network>,
    /// Peers that may use XCLIENT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) xclient: Vec<Network>,
    /// Networks whose clients may relay without AUTH.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) relay_from: Vec<Network>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub backend: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub sync: Sync,
    pub cache: Size,
    pub reserve: Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sync {
    Always,
    Never,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub message_size: Size,
    pub header_size: Size,
    pub recipients: usize,
    pub received_fields: usize,
    pub connections: usize,
    pub connections_per_ip: usize,
    pub errors: u32,
    pub refusals: u32,
    pub transactions: u32,
    pub command_timeout: Time,
    pub auth_failures: u32,
    pub plugin_delay: Time,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dns {
    pub servers: Vec<SocketAddr>,
    pub dnssec: bool,
    pub timeout: Time,
    pub attempts: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Outbound {
    pub port: u16,
    pub source_addresses: Vec<IpAddr>,
    pub allow_loopback_mx: bool,
    pub retry: Vec<Time>,
    pub expire: Time,
    pub delay_warning: Time,
    pub max_connections_per_domain: u32,
    pub tls: TlsPolicy,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<Route>,
}

/// `[[outbound.route]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub domain: Domain,
    pub relay: maitred_route::config::Relay,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub allow_plaintext: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Plugins {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
}

/// `[[plugin]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    #[serde(default = "enforce")]
    pub mode: toml::Value,
    #[serde(default = "middle")]
    pub order: i32,
    #[serde(default)]
    pub on_error: OnError,
    #[serde(default)]
    pub limits: PluginLimits,
    #[serde(default)]
    pub grants: Vec<String>,
    #[serde(default)]
    pub config: toml::Table,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PluginLimits {
    pub memory: Size,
    pub time: Time,
    pub concurrency: usize,
    pub host_calls: u32,
    pub octets: Size,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// As `RUST_LOG`, which goes before it.
    pub(crate) filter: String,
}

fn enforce() -> toml::Value {
    toml::Value::String("enforce".to_owned())
}

fn middle() -> i32 {
    50
}

impl Default for File {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            data_dir: "maitred-data".into(),
            postmaster: None,
            listener: DEFAULT_PORTS.map(|(protocol, port)| on_loopback(protocol, port)).to_vec(),
            tls: maitred_tls::Config::default(),
            store: Store::default(),
            limits: Limits::default(),
            dns: Dns::default(),
            outbound: Outbound::default(),
            auth: Auth::default(),
            dkim: toml::Table::new(),
            plugins: Plugins::default(),
            plugin: Vec::new(),
            log: Log::default(),
        }
    }
}

/// The ports that need no privilege.
const DEFAULT_PORTS: [(Protocol, u16); 9] = [
    (Protocol::Smtp, 2525),
    (Protocol::Submission, 2587),
    (Protocol::Submissions, 2465),
    (Protocol::Lmtp, 2424),
    (Protocol::Imap, 2143),
    (Protocol::Imaps, 2993),
    (Protocol::Pop3, 2110),
    (Protocol::Pop3s, 2995),
    (Protocol::Http, 2080),
];

fn on_loopback(protocol: Protocol, port: u16) -> Listener {
    Listener {
        protocol,
        bind: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        proxy_protocol: Vec::new(),
        xclient: Vec::new(),
        relay_from: Vec::new(),
    }
}

impl Default for Store {
    fn default() -> Self {
        let store = maitred_store::Config::new("");
        Self {
            backend: "sled".to_owned(),
            url: None,
            sync: Sync::Always,
            cache: Size(store.cache_octets),
            reserve: Size(store.reserve_octets),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let smtp = maitred_smtp::server::Limits::default();
        let flow = maitred_flow::Limits::default();
        let net = maitred_net::Limits::default();
        Self {
            message_size: Size(smtp.message_octets_max),
            header_size: Size(flow.header_octets_max as u64),
            recipients: smtp.recipients_max,
            received_fields: flow.received_max,
            connections: net.connections,
            connections_per_ip: net.connections_per_ip,
            errors: smtp.errors_max,
            refusals: smtp.refusals_max,
            transactions: smtp.transactions_max,
            command_timeout: Time(smtp.command_timeout),
            auth_failures: flow.auth_failures,
            plugin_delay: Time(flow.delay_max),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        let dns = maitred_dns::Config::default();
        Self { servers: dns.servers, dnssec: false, timeout: Time(dns.timeout), attempts: dns.attempts }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        let queue = maitred_queue::Config::default();
        let route = maitred_route::Config::default();
        Self {
            port: route.port,
            source_addresses: route.source_addresses,
            allow_loopback_mx: route.allow_loopback_mx,
            retry: queue.retry.into_iter().map(Time).collect(),
            expire: Time(queue.expire),
            delay_warning: Time(queue.delay_warning),
            max_connections_per_domain: queue.max_connections_per_domain,
            tls: route.tls,
            route: Vec::new(),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        let limits = maitred_plugin_host::CallLimits::default();
        Self {
            memory: Size(limits.memory),
            time: Time(limits.time),
            concurrency: limits.concurrency,
            host_calls: limits.host_calls,
            octets: Size(limits.octets),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned() }
    }
}
