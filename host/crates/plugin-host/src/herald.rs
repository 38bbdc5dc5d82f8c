//! What happened is told to plugins that listen: afterwards, some at a time, one call after the other, in nobody's way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use maitred_policy::{
    Chain, Herald, Hook, HookCall, MailboxFacts, OutcomeFacts, Registry as _, SessionFacts,
};
use tokio::sync::mpsc;

use crate::host::PluginHost;

/// Lists that may wait to be told.
const WAITING_MAX: usize = 4_096;
/// Events in one call.
const EVENTS_MAX: usize = 256;

enum News {
    Outcomes(Vec<OutcomeFacts>),
    Mailboxes(Vec<MailboxFacts>),
}

/// Tells plugins what happened.
pub struct PluginHerald {
    sender: mpsc::Sender<News>,
    left_out: AtomicU64,
}

impl PluginHerald {
    /// To the plugins of this host, as long as it lives.
    pub fn new(host: &Arc<PluginHost>) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(Arc::downgrade(host), receiver));
        Arc::new(Self { sender, left_out: AtomicU64::new(0) })
    }

    /// What came faster than it could be told.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn tell(&self, news: News) {
        if self.sender.try_send(news).is_err() && self.left_out.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("more happens than plugins can be told: some events are left out");
        }
    }
}

impl Herald for PluginHerald {
    fn outcomes(&self, outcomes: Vec<OutcomeFacts>) {
        if !outcomes.is_empty() {
            self.tell(News::Outcomes(outcomes));
        }
    }

    fn mailboxes(&self, events: Vec<MailboxFacts>) {
        if !events.is_empty() {
            self.tell(News::Mailboxes(events));
        }
    }
}

async fn run(host: Weak<PluginHost>, mut news: mpsc::Receiver<News>) {
    let mut lists = Vec::new();
    while news.recv_many(&mut lists, WAITING_MAX).await > 0 {
        let Some(host) = host.upgrade() else { return };
        let chain = host.chain();
        let (mut outcomes, mut events) = (Vec::new(), Vec::new());
        for list in lists.drain(..) {
            match list {
                News::Outcomes(list) => outcomes.extend(list),
                News::Mailboxes(list) => events.extend(list),
            }
        }
        for some in outcomes.chunks(EVENTS_MAX) {
            tell(&chain, Hook::Outcome, HookCall::Outcomes(some)).await;
        }
        for some in events.chunks(EVENTS_MAX) {
            tell(&chain, Hook::Mailbox, HookCall::Mailbox(some)).await;
        }
    }
}

async fn tell(chain: &Chain, hook: Hook, call: HookCall<'_>) {
    let session = SessionFacts::internal(maitred_mail::Timestamp(0));
    for plugin in chain.of(hook) {
        let called = plugin.call(&session, call).await;
        if let Err(fault) = called.answer {
            tracing::warn!(
                plugin = plugin.name(), plugin.version = &*called.version, hook = hook.name(), %fault, "plugin was not told"
            );
        }
    }
}
