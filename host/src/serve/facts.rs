//! What the HTTP pages show.

use std::sync::Arc;

use maitred_admin::http::{self, HttpFacts, MailService, Metric, MetricKind, Security, Service};
use maitred_mail::Domain;
use maitred_net::{Listener, Stop};
use maitred_policy::Registry as _;
use tokio::task::JoinSet;

use super::Shared;
use crate::config::Protocol;

/// Serves the pages on one listener.
pub(super) fn serve(running: &mut JoinSet<()>, shared: &Arc<Shared>, socket: Listener, stop: &Stop) {
    let router = http::router(Arc::clone(shared) as _);
    let mut stop = stop.clone();
    running.spawn(async move { http::serve(socket.into_socket(), router, stop.stopped()).await });
}

impl HttpFacts for Shared {
    fn ready(&self) -> Result<(), String> {
        if self.store.is_full() { Err("the disk is full".to_owned()) } else { Ok(()) }
    }

    fn metrics(&self) -> Vec<Metric> {
        let stats = self.store.stats();
        let mut metrics = Vec::new();
        let mut add = |name: &str, help: &str, kind, value: u64, labels: Vec<(String, String)>| {
            #[expect(clippy::cast_precision_loss, reason = "the text format has no other numbers")]
            let value = value as f64;
            metrics.push(Metric { name: name.to_owned(), help: help.to_owned(), kind, value, labels });
        };
        let uptime = self.began.elapsed().as_secs();
        add(
            "maitred_server_uptime_seconds",
            "Seconds since the start",
            MetricKind::Gauge,
            uptime,
            Vec::new(),
        );
        let open = self.gate.count() as u64;
        add("maitred_net_connections", "Open connections", MetricKind::Gauge, open, Vec::new());
        let queued = self.relay.len() as u64;
        add("maitred_queue_messages", "Messages that wait", MetricKind::Gauge, queued, Vec::new());
        for (name, help, value) in [
            ("maitred_store_commits_total", "Commits acknowledged", stats.commits),
            ("maitred_store_groups_total", "Groups they were written in", stats.groups),
            ("maitred_store_syncs_total", "fdatasync calls on the log", stats.syncs),
            ("maitred_store_log_octets_total", "Octets appended to the log", stats.log_octets),
        ] {
            add(name, help, MetricKind::Counter, value, Vec::new());
        }
        let octets = stats.index_octets;
        add(
            "maitred_store_index_octets",
            "Octets of the index on disk",
            MetricKind::Gauge,
            octets,
            Vec::new(),
        );
        let plugins = self.plugins.list();
        for (name, help, figure) in [
            ("maitred_plugin_calls_total", "Calls of a plugin", 0),
            ("maitred_plugin_faults_total", "Calls without a decision", 1),
        ] {
            for plugin in &plugins {
                let labels =
                    vec![("plugin".into(), plugin.name.clone()), ("version".into(), plugin.version.clone())];
                let value = [plugin.calls, plugin.faults].get(figure).copied().unwrap_or_default();
                add(name, help, MetricKind::Counter, value, labels);
            }
        }
        metrics
    }

    fn services(&self) -> Vec<MailService> {
        let service = |(protocol, address): &(Protocol, std::net::SocketAddr)| {
            let (service, security) = match protocol {
                Protocol::Imaps => (Service::Imap, Security::Tls),
                Protocol::Imap => (Service::Imap, Security::StartTls),
                Protocol::Pop3s => (Service::Pop3, Security::Tls),
                Protocol::Pop3 => (Service::Pop3, Security::StartTls),
                Protocol::Submissions => (Service::Submission, Security::Tls),
                Protocol::Submission => (Service::Submission, Security::StartTls),
                Protocol::Smtp | Protocol::Lmtp | Protocol::Http => return None,
            };
            Some(MailService { service, port: address.port(), security })
        };
        self.bound.iter().filter_map(service).collect()
    }

    fn hostname(&self) -> String {
        self.config.load().hostname.clone()
    }

    fn is_local(&self, domain: &str) -> bool {
        Domain::parse(domain).is_ok_and(|domain| self.store.directory().is_local(&domain))
    }
}
