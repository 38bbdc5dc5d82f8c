//! What commands may ask of the running server.

use std::sync::Arc;

use async_trait::async_trait;
use maitred_admin::{QueueDesk, ServerDesk};
use maitred_flow::Relay;
use maitred_queue::{QueueId, Standing};

use super::Shared;

/// The queue as it runs.
pub(super) struct RelayDesk(pub(super) Arc<Relay>);

#[async_trait]
impl QueueDesk for RelayDesk {
    async fn list(&self) -> Vec<Standing> {
        self.0.list()
    }

    async fn show(&self, id: QueueId) -> Option<Standing> {
        self.0.show(id).ok()
    }

    async fn retry(&self, id: QueueId) -> Result<(), String> {
        self.0.retry(id).map_err(|error| error.to_string())
    }

    async fn hold(&self, id: QueueId) -> Result<(), String> {
        self.0.hold(id).await.map_err(|error| error.to_string())
    }

    async fn release(&self, id: QueueId) -> Result<(), String> {
        self.0.release(id).await.map_err(|error| error.to_string())
    }

    async fn cancel(&self, id: QueueId) -> Result<(), String> {
        self.0.cancel(id).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl ServerDesk for Shared {
    fn status(&self) -> serde_json::Value {
        let listeners: Vec<_> = self
            .bound
            .iter()
            .map(|(protocol, address)| {
                serde_json::json!({ "protocol": protocol.name(), "address": address.to_string() })
            })
            .collect();
        let directory = self.store.directory();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "hostname": self.config.load().hostname,
            "uptime_seconds": self.began.elapsed().as_secs(),
            "listeners": listeners,
            "connections": self.gate.count(),
            "accounts": directory.accounts.len(),
            "domains": directory.domains.len(),
            "queued": self.relay.len(),
            "store": self.store.stats(),
        })
    }

    async fn reload(&self) -> Result<(), String> {
        Shared::reload(self).await
    }
}
