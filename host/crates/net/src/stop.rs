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

    /// Completes when it is said, or when nobody is left to say it.
    pub async fn stopped(&mut self) {
        // Without a stopper there is nobody to wait for.
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await;
    }
}
