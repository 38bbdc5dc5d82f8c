//! Relaying: mail for elsewhere goes out, and what became of it is written down.
//!
//! RFC 5321 §5 (finding hosts), §4.5.4 (queueing), §6.1 (responsibility). A unit of work is one message for one domain. The
//! queue says when, `route` says where, the dialer carries the conversation; results and reports to the reverse-path are one
//! commit. Run by `net::Courier`.
//!
//! Invariants: a result is forgotten only when the store has it; no lock is held across an await; a recipient that was
//! accepted elsewhere is never tried again unless the acknowledgement itself was lost.

mod attempt;
mod conversation;
mod routing;
mod settle;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maitred_mail::dns::Resolver;
use maitred_mail::{Domain, Timestamp};
use maitred_queue::{NotQueued, Queue, QueueId, Standing, Unit};
use maitred_route::Router;

use crate::dialer::Dialer;
use crate::house::House;

pub use conversation::Conversation;
pub(crate) use routing::to_hop;

/// All mail on its way out.
pub struct Relay {
    pub(crate) house: Arc<House>,
    resolver: Arc<dyn Resolver>,
    dialer: Arc<dyn Dialer>,
    /// Wakes whoever runs the queue.
    bell: Box<dyn Fn() + Send + Sync>,
    held: Mutex<Held>,
}

struct Held {
    queue: Queue,
    router: Arc<Router>,
    /// The newest entry that was taken from the store.
    newest: QueueId,
}

impl Relay {
    /// Nothing is loaded yet. `bell` is rung when there is something to do that the store does not tell of.
    pub fn new(
        house: Arc<House>,
        router: Router,
        queue: maitred_queue::Config,
        resolver: Arc<dyn Resolver>,
        dialer: Arc<dyn Dialer>,
        bell: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let held =
            Held { queue: Queue::new(queue), router: Arc::new(router), newest: maitred_mail::MessageId(0) };
        Self { house, resolver, dialer, bell, held: Mutex::new(held) }
    }

    /// Other routes from now on; attempts that run go on by the old ones.
    pub fn set_router(&self, router: Router) {
        self.lock().router = Arc::new(router);
    }

    /// Takes what the store has queued since the last call.
    ///
    /// # Errors
    /// The store's; call it again then.
    pub async fn take_new(&self) -> Result<(), maitred_store::Error> {
        let newest = self.lock().newest;
        let entries = self.house.store.queue_after(newest).await?;
        let mut held = self.lock();
        for (id, entry, _) in entries {
            held.newest = held.newest.max(id);
            held.queue.load(id, entry);
        }
        Ok(())
    }

    /// The next message to try; give it to [`Relay::attempt`].
    pub fn next_unit(&self) -> Option<Unit> {
        let now = self.house.now();
        self.lock().queue.next_unit(now)
    }

    /// The next entry with something to write down though nobody tried it; give it to [`Relay::settle`].
    pub fn next_overdue(&self) -> Option<QueueId> {
        let now = self.house.now();
        self.lock().queue.next_overdue(now)
    }

    /// When there is something to do next.
    pub fn next_wake(&self, has_room: bool) -> Option<Timestamp> {
        self.lock().queue.next_wake(has_room)
    }

    /// What time it is for the queue.
    pub fn now(&self) -> Timestamp {
        self.house.now()
    }

    /// Completes when the store's queue changed.
    pub async fn changed(&self) {
        self.house.store.queue_changed().await;
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// More for a destination to which a connection is open.
    fn next_unit_for(&self, domain: &Domain) -> Option<Unit> {
        let now = self.house.now();
        self.lock().queue.next_unit_for(domain, now)
    }

    pub(crate) fn router(&self) -> Arc<Router> {
        Arc::clone(&self.lock().router)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operator's words.
impl Relay {
    /// All entries, oldest first.
    pub fn list(&self) -> Vec<Standing> {
        self.lock().queue.list()
    }

    /// One entry.
    ///
    /// # Errors
    /// When there is none.
    pub fn show(&self, id: QueueId) -> Result<Standing, NotQueued> {
        self.lock().queue.show(id)
    }

    /// Try it now.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn retry(&self, id: QueueId) -> Result<(), NotQueued> {
        let now = self.house.now();
        self.lock().queue.retry(id, now)?;
        (self.bell)();
        Ok(())
    }

    /// Keep it back until it is released.
    ///
    /// # Errors
    /// When there is no such entry.
    pub async fn hold(&self, id: QueueId) -> Result<(), NotQueued> {
        self.lock().queue.hold(id)?;
        self.settle(id).await;
        Ok(())
    }

    /// Let it go.
    ///
    /// # Errors
    /// When there is no such entry.
    pub async fn release(&self, id: QueueId) -> Result<(), NotQueued> {
        self.lock().queue.release(id)?;
        self.settle(id).await;
        (self.bell)();
        Ok(())
    }

    /// Remove it without telling anyone.
    ///
    /// # Errors
    /// When there is no such entry.
    pub async fn cancel(&self, id: QueueId) -> Result<(), NotQueued> {
        self.lock().queue.cancel(id)?;
        self.settle(id).await;
        Ok(())
    }
}
