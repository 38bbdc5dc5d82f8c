//! The courier: runs the queue. It waits until something is due, and tries as much at a time as it may.

use std::sync::Arc;
use std::time::Duration;

use maitred_flow::Relay;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::stop::Stop;

/// Runs the queue.
pub struct Courier {
    relay: Arc<Relay>,
    bell: Arc<Notify>,
    attempts_max: usize,
}

impl Courier {
    /// `bell` is the one that the relay rings. At most 200 attempts at a time.
    pub fn new(relay: Arc<Relay>, bell: Arc<Notify>) -> Self {
        Self { relay, bell, attempts_max: 200 }
    }

    /// Runs until the server stops; attempts under way have some time to end.
    pub async fn run(self, mut stop: Stop) {
        let mut attempts = JoinSet::new();
        while !stop.is_stopping() {
            if let Err(error) = self.relay.take_new().await {
                tracing::error!(%error, "the queue cannot be read");
            }
            while let Some(id) = self.relay.next_overdue() {
                self.relay.settle(id).await;
            }
            while attempts.len() < self.attempts_max
                && let Some(unit) = self.relay.next_unit()
            {
                let relay = Arc::clone(&self.relay);
                attempts.spawn(async move { relay.attempt(unit).await });
            }
            let due = self.relay.next_wake(attempts.len() < self.attempts_max);
            // Wall-clock time may jump: it is looked at once a minute at least.
            let pause = due.map_or(LOOK, |due| due.since(self.relay.now()).min(LOOK));
            tokio::select! {
                () = self.relay.changed() => {}
                () = self.bell.notified() => {}
                Some(_) = attempts.join_next() => {}
                () = sleep(pause) => {}
                () = stop.stopped() => {}
            }
        }
        let ending = async { while attempts.join_next().await.is_some() {} };
        if timeout(STOP_PATIENCE, ending).await.is_err() {
            // Whatever was not acknowledged stays in the queue.
            tracing::warn!("attempts were cut by the stop");
        }
    }
}

const LOOK: Duration = Duration::from_mins(1);
/// Longer than the driver gives the conversations themselves.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
