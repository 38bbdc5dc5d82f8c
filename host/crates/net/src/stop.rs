//! The word that ends everything, shared by all who run.

use tokio::sync::watch;

/// Says stop, once.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

/// Hears it.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and who hears it.
pub fn stop() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Everything comes to its end from now on.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// True when it was said.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when it is said; never, when nobody is left to say it.
    pub async fn stopped(&mut self) {
        if self.0.wait_for(|is_stopping| *is_stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn stop_is_heard_by_all_and_a_lost_stopper_stops_nobody() {
        let is_ready =
            |stop: &mut Stop| pin!(stop.stopped()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let (stopper, mut stop) = stop();
        let mut other = stop.clone();
        assert!(!is_ready(&mut stop) && !other.is_stopping());
        stopper.stop();
        assert!(is_ready(&mut stop) && is_ready(&mut other) && other.is_stopping());
        let (stopper, mut stop) = super::stop();
        drop(stopper);
        assert!(!is_ready(&mut stop) && !stop.is_stopping());
    }
}
