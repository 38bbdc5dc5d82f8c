//! What the HTTP pages show, and where commands come in.

use std::sync::Arc;

use maitred_admin::Desk;
use maitred_admin::http::{self, HttpFacts, MailService, Metric, MetricKind, Security, Service};
use maitred_mail::Domain;
use maitred_net::{Listener, Stop};
use maitred_plugin_host::PluginHost;
use maitred_policy::{HookStats, Registry as _};
use tokio::task::JoinSet;

use super::Shared;
use crate::config::{self, Protocol};

/// What calls of plugins came to, and what plugins count themselves.
fn plugin_metrics(plugins: &PluginHost) -> Vec<Metric> {
    let stats = plugins.stats();
    let labels = |of: &HookStats| {
        [("plugin", &of.plugin), ("version", &of.version), ("mode", &of.mode)]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into_iter()
            .chain([("hook".to_owned(), of.hook.name().to_owned())])
            .collect::<Vec<_>>()
    };
    let metric = |name: &str, help: &str, kind, value, labels| Metric {
        name: name.to_owned(),
        help: help.to_owned(),
        kind,
        value,
        labels,
    };
    let mut metrics = Vec::new();
    for of in &stats {
        for (verdict, count) in &of.verdicts {
            let mut labels = labels(of);
            labels.push(("verdict".to_owned(), verdict.clone()));
            let help = "Calls of a plugin, by verdict; without a decision: fault:…";
            metrics.push(metric(
                "maitred_plugin_calls_total",
                help,
                MetricKind::Counter,
                as_float(*count),
                labels,
            ));
        }
    }
    type Figure = fn(&HookStats) -> f64;
    let figures: [(&str, &str, MetricKind, Figure); 5] = [
        (
            "maitred_plugin_fresh_answers_total",
            "Answers given again without a call",
            MetricKind::Counter,
            |of| as_float(of.fresh),
        ),
        ("maitred_plugin_call_seconds_total", "Time of calls", MetricKind::Counter, |of| of.elapsed_s),
        ("maitred_plugin_wait_seconds_total", "Of it, waiting for the outside", MetricKind::Counter, |of| {
            of.host_s
        }),
        ("maitred_plugin_host_calls_total", "Calls of the host", MetricKind::Counter, |of| {
            as_float(of.host_calls)
        }),
        ("maitred_plugin_memory_octets_max", "Most memory of a call", MetricKind::Gauge, |of| {
            as_float(of.memory_max)
        }),
    ];
    for (name, help, kind, figure) in figures {
        metrics.extend(stats.iter().map(|of| metric(name, help, kind, figure(of), labels(of))));
    }
    metrics.extend(plugins.metrics().into_iter().map(|own| {
        let kind = if own.is_counter { MetricKind::Counter } else { MetricKind::Gauge };
        metric(own.name, "Counted by a plugin, or of what it was granted", kind, own.value, own.labels)
    }));
    metrics
}

#[expect(clippy::cast_precision_loss, reason = "the text format has no other numbers")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Serves the pages on one listener, and takes commands where there is a token.
pub(super) fn serve(
    running: &mut JoinSet<()>,
    (shared, desk): (&Arc<Shared>, &Arc<Desk>),
    listener: &config::Listener,
    socket: Listener,
    stop: &Stop,
) {
    let mut router = http::router(Arc::clone(shared) as _);
    if let Some(token) = &listener.token {
        let folder = shared.config.load().data_dir.clone();
        router = router.merge(http::commands(Arc::clone(desk), token.clone(), folder));
    }
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
        metrics.extend(plugin_metrics(&self.plugins));
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
