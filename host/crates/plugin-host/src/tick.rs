//! Work from time to time: each plugin that has the hook is given a tick, one at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::host::PluginHost;

/// How often it is looked at who is due.
const LOOK: Duration = Duration::from_millis(250);

/// From now on, as long as the host lives.
pub(crate) fn start(host: &Arc<PluginHost>) {
    tokio::spawn(run(Arc::downgrade(host)));
}

async fn run(host: Weak<PluginHost>) {
    let mut last: BTreeMap<String, (Instant, Option<JoinHandle<()>>)> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(host) = host.upgrade() else { return };
        let now = Instant::now();
        let wanted = host.ticks();
        last.retain(|name, _| wanted.iter().any(|(known, _)| known == name));
        for (name, every) in wanted {
            // The first comes one interval after it was loaded.
            let (at, running) = last.entry(name.clone()).or_insert((now, None));
            let is_running = running.as_ref().is_some_and(|running| !running.is_finished());
            if now.saturating_duration_since(*at) >= every && !is_running {
                *at = now;
                let host = Arc::clone(&host);
                *running = Some(tokio::spawn(async move { host.tick(&name).await }));
            }
        }
    }
}
