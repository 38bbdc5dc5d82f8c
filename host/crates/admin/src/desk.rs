//! What commands are done with, and the seams to what only a running server has.

use std::sync::Arc;

use async_trait::async_trait;
use maitred_flow::Relay;
use maitred_flow::explain::Inquiry;
use maitred_policy::Registry;
use maitred_queue::{QueueId, Standing};
use maitred_store::Store;
use tokio::sync::Mutex;

/// The running queue, as the operator speaks to it ([`Relay`] is one).
#[async_trait]
pub trait QueueDesk: Send + Sync {
    /// All entries, oldest first.
    async fn list(&self) -> Vec<Standing>;
    /// One entry.
    async fn show(&self, id: QueueId) -> Option<Standing>;
    /// Try it now.
    async fn retry(&self, id: QueueId) -> Result<(), String>;
    /// Keep it back until it is released.
    async fn hold(&self, id: QueueId) -> Result<(), String>;
    /// Let it go.
    async fn release(&self, id: QueueId) -> Result<(), String>;
    /// Remove it without telling anyone.
    async fn cancel(&self, id: QueueId) -> Result<(), String>;
}

#[async_trait]
impl QueueDesk for Relay {
    async fn list(&self) -> Vec<Standing> {
        Self::list(self)
    }

    async fn show(&self, id: QueueId) -> Option<Standing> {
        Self::show(self, id).ok()
    }

    async fn retry(&self, id: QueueId) -> Result<(), String> {
        Self::retry(self, id).map_err(|error| error.to_string())
    }

    async fn hold(&self, id: QueueId) -> Result<(), String> {
        Self::hold(self, id).await.map_err(|error| error.to_string())
    }

    async fn release(&self, id: QueueId) -> Result<(), String> {
        Self::release(self, id).await.map_err(|error| error.to_string())
    }

    async fn cancel(&self, id: QueueId) -> Result<(), String> {
        Self::cancel(self, id).await.map_err(|error| error.to_string())
    }
}

/// The running server (the binary is one).
#[async_trait]
pub trait ServerDesk: Send + Sync {
    /// Version, listeners, sessions and the like: an object.
    fn status(&self) -> serde_json::Value;
    /// Reads configuration, certificates and plugins again. When that fails nothing has changed, but for components of the
    /// plugin directory that are refused: the rest holds then, and of these what was in service stays.
    async fn reload(&self) -> Result<(), String>;
    /// The life of a message; `None`: not among the last.
    fn trace(&self, name: &str) -> Option<serde_json::Value>;
    /// How mail would travel.
    async fn explain(&self, inquiry: &Inquiry) -> serde_json::Value;
}

/// Where commands are done.
pub struct Desk {
    /// All mail state.
    pub store: Store,
    /// `None`: no plugins run here.
    pub registry: Option<Arc<dyn Registry>>,
    /// `None`: nothing is relayed here, and the queue is changed in the store.
    pub queue: Option<Arc<dyn QueueDesk>>,
    /// `None`: no server runs here.
    pub server: Option<Arc<dyn ServerDesk>>,
    /// Changes are made one at a time: some read before they write.
    pub(crate) changes: Mutex<()>,
}

impl Desk {
    /// With the store alone.
    pub fn new(store: Store) -> Self {
        Self { store, registry: None, queue: None, server: None, changes: Mutex::default() }
    }

    /// With plugins.
    #[must_use]
    pub fn with_registry(self, registry: Arc<dyn Registry>) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// With a queue that runs.
    #[must_use]
    pub fn with_queue(self, queue: Arc<dyn QueueDesk>) -> Self {
        Self { queue: Some(queue), ..self }
    }

    /// With a server that runs.
    #[must_use]
    pub fn with_server(self, server: Arc<dyn ServerDesk>) -> Self {
        Self { server: Some(server), ..self }
    }
}
