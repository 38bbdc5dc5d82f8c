//! What commands may ask of the running server.

use async_trait::async_trait;
use maitred_admin::ServerDesk;
use maitred_flow::explain::Inquiry;

use super::Shared;
use maitred_policy::Registry as _;

#[async_trait]
impl ServerDesk for Shared {
    fn status(&self) -> serde_json::Value {
        let listener = |(protocol, address): &(crate::config::Protocol, std::net::SocketAddr)| serde_json::json!({ "protocol": protocol.name(), "address": address.to_string() });
        let directory = self.store.directory();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "hostname": self.config.load().hostname,
            "uptime_seconds": self.began.elapsed().as_secs(),
            "listeners": self.bound.iter().map(listener).collect::<Vec<_>>(),
            "connections": self.gate.count(),
            "domains": directory.domains.len(),
            "accounts": directory.accounts.len(),
            "queued": self.relay.len(),
            "plugins": self.plugins.list().iter().map(|plugin| format!("{} {}", plugin.name, plugin.version)).collect::<Vec<_>>(),
            "store": self.store.stats(),
        })
    }

    async fn reload(&self) -> Result<(), String> {
        Shared::reload(self).await
    }

    fn trace(&self, name: &str) -> Option<serde_json::Value> {
        let life = self.house.traces.find(name)?;
        serde_json::to_value(life).ok()
    }

    async fn explain(&self, inquiry: &Inquiry) -> serde_json::Value {
        serde_json::to_value(self.relay.explain(inquiry).await).unwrap_or_default()
    }
}
