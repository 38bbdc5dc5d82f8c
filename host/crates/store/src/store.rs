//! The store as its users see it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use maitred_mail::{
    AccountId, Address, Body, BodyError, Directory, Durable, MailboxId, MessageId, Snapshot, Uid,
};
use maitred_queue::QueueId;
use tokio::sync::{Notify, watch};

use crate::Error;
use crate::credentials::Credentials;
use crate::intent::{Batch, Changed, Intent, Receipt, Urgency};
use crate::model::{Model, Stored, canonical};
use crate::record::{Account, BodyRef, Extent, MailboxRecord, MessageRecord};
use crate::spool::Draft;

/// All mail state. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    model: Mutex<Model>,
    directory: ArcSwap<Directory>,
    watched: Mutex<HashMap<MailboxId, watch::Sender<Arc<Snapshot>>>>,
    queue_changed: Notify,
    credentials: Credentials,
    faults: Faults,
    next_message: std::sync::atomic::AtomicU64,
}

/// Makes the memory engine fail: what tests of error paths need.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Option<(u32, Error)>>>);

impl Faults {
    /// The commit after `skip` more fails with this error, once.
    pub fn fail_after(&self, skip: u32, error: Error) {
        *lock(&self.0) = Some((skip, error));
    }

    fn next(&self) -> Result<(), Error> {
        let mut planned = lock(&self.0);
        match planned.take() {
            Some((0, error)) => Err(error),
            Some((skip, error)) => {
                *planned = Some((skip - 1, error));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a session on a mailbox holds: its state now, and when it changes.
pub struct Watch {
    store: Store,
    mailbox: MailboxId,
    receiver: watch::Receiver<Arc<Snapshot>>,
}

impl Watch {
    /// The mailbox as it is now. Shared, never copied.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.receiver.borrow())
    }

    /// Completes when the mailbox has changed since the last call. Nothing is lost when it is dropped before.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The mailbox is gone: there is nothing to tell any more.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the UIDs that no session has been told as recent yet (RFC 3501 §2.3.2).
    pub fn claim_recent(&self) -> std::ops::Range<u32> {
        lock(&self.store.0.model).claim_recent(self.mailbox)
    }
}

impl Store {
    /// An engine that keeps everything in memory and can be told to fail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a source of randomness.
    pub fn memory() -> Result<(Self, Faults), Error> {
        let faults = Faults::default();
        let inner = Inner {
            model: Mutex::default(),
            directory: ArcSwap::default(),
            watched: Mutex::default(),
            queue_changed: Notify::new(),
            credentials: Credentials::new()?,
            faults: faults.clone(),
            next_message: std::sync::atomic::AtomicU64::new(1),
        };
        Ok((Self(Arc::new(inner)), faults))
    }

    /// Who is here, as of the last commit. Never waits.
    pub fn directory(&self) -> Arc<Directory> {
        self.0.directory.load_full()
    }

    /// A message content that begins to arrive.
    pub fn draft(&self) -> Draft {
        Draft::new(u64::MAX)
    }

    /// A name for a message in logs, traces and Received fields.
    pub fn next_message_id(&self) -> MessageId {
        MessageId(self.0.next_message.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    /// Does all intents or none. When it returns with [`Urgency::Now`], they are durable.
    ///
    /// # Errors
    /// What kept it from doing any of it.
    pub async fn commit(&self, mut batch: Batch) -> Result<Receipt, Error> {
        self.0.faults.next()?;
        let mut model = lock(&self.0.model);
        let mut next = model.clone();
        next.touched.clear();
        let bodies: Vec<Stored> = batch.bodies.iter_mut().map(|body| stored(&mut next, body)).collect();
        let changes: Vec<Changed> =
            batch.intents.iter().map(|intent| next.apply(intent, &bodies)).collect::<Result<_, _>>()?;
        *model = next;
        self.after(&model, &batch.intents);
        let durable = (batch.urgency == Urgency::Now).then(Durable::after_sync);
        Ok(Receipt { changes, durable })
    }

    /// Tells everybody who waits for what was just done.
    fn after(&self, model: &Model, intents: &[Intent]) {
        let watched = lock(&self.0.watched);
        for id in &model.touched {
            if let (Some(sender), Some(snapshot)) = (watched.get(id), model.snapshot(*id)) {
                sender.send_replace(Arc::new(snapshot));
            }
        }
        drop(watched);
        for intent in intents {
            match intent {
                Intent::Enqueue { .. } | Intent::UpdateQueue { .. } | Intent::RemoveQueue { .. } => {
                    self.0.queue_changed.notify_one();
                }
                Intent::SetPassword { address, .. } => {
                    if let Some(account) = model.directory.account(address) {
                        self.0.credentials.forget(account);
                    }
                }
                Intent::AddDomain(_)
                | Intent::RemoveDomain(_)
                | Intent::AddAccount { .. }
                | Intent::RemoveAccount(_)
                | Intent::SetAlias { .. }
                | Intent::RemoveAlias(_) => self.0.directory.store(Arc::new(model.directory.clone())),
                _ => {}
            }
        }
    }

    /// All mailboxes of an account, by name.
    ///
    /// # Errors
    /// [`Error::AccountGone`].
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRecord>, Error> {
        lock(&self.0.model).mailboxes(account)
    }

    /// One mailbox by name.
    ///
    /// # Errors
    /// [`Error::NoMailbox`], [`Error::BadName`].
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxRecord, Error> {
        let name = canonical(name)?;
        let found = self.mailboxes(account).await?.into_iter().find(|record| record.name == name);
        found.filter(|record| record.id.is_some()).ok_or(Error::NoMailbox)
    }

    /// Follows a mailbox.
    ///
    /// # Errors
    /// [`Error::NoMailbox`].
    pub async fn watch(&self, mailbox: MailboxId) -> Result<Watch, Error> {
        let model = lock(&self.0.model);
        let snapshot = model.snapshot(mailbox).ok_or(Error::NoMailbox)?;
        let mut watched = lock(&self.0.watched);
        let sender = watched.entry(mailbox).or_insert_with(|| watch::Sender::new(Arc::new(snapshot)));
        Ok(Watch { store: self.clone(), mailbox, receiver: sender.subscribe() })
    }

    /// The records of these messages, in this order; those not there are passed over.
    ///
    /// # Errors
    /// [`Error::NoMailbox`].
    pub async fn records(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<MessageRecord>, Error> {
        lock(&self.0.model).records(mailbox, uids)
    }

    /// A stored content, whole.
    pub fn body(&self, body: &BodyRef) -> Arc<dyn Body> {
        self.content(body, 0)
    }

    /// A stored content without what is for local readers only: what is sent to other servers.
    pub fn relay_body(&self, body: &BodyRef) -> Arc<dyn Body> {
        self.content(body, body.local_head)
    }

    fn content(&self, body: &BodyRef, from: u32) -> Arc<dyn Body> {
        match lock(&self.0.model).contents.get(&body.digest) {
            Some(content) => Arc::new(content.slice((from as usize).min(content.len())..)),
            None => Arc::new(Missing),
        }
    }

    /// All that waits in the queue.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn queue(&self) -> Result<Vec<(QueueId, maitred_queue::Entry, BodyRef)>, Error> {
        let model = lock(&self.0.model);
        Ok(model.queue.iter().map(|(id, (entry, body))| (*id, entry.clone(), body.clone())).collect())
    }

    /// One entry of the queue.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<(maitred_queue::Entry, BodyRef)>, Error> {
        Ok(lock(&self.0.model).queue.get(&id).cloned())
    }

    /// Completes after the queue changed.
    pub async fn queue_changed(&self) {
        self.0.queue_changed.notified().await;
    }

    /// All accounts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        Ok(lock(&self.0.model).accounts())
    }

    /// One account. Never waits.
    pub fn account(&self, id: AccountId) -> Option<Account> {
        lock(&self.0.model).account(id)
    }

    /// Whose login and password these are. A login is the account's address.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn verify(&self, login: &str, password: &str) -> Result<Option<(AccountId, Address)>, Error> {
        let found = Address::parse(login).ok().and_then(|address| {
            let model = lock(&self.0.model);
            let id = model.directory.account(&address)?;
            Some((id, address.folded(), model.password_hash(id)?))
        });
        let account = found.as_ref().map(|(id, _, phc)| (*id, phc.clone()));
        let is_right = self.0.credentials.verify(account, password).await?;
        Ok(found.filter(|_| is_right).map(|(id, address, _)| (id, address)))
    }

    /// A PHC string for a new password.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn hash_password(&self, password: &str) -> Result<String, Error> {
        self.0.credentials.hash(password).await
    }

    /// Ends all work; what was acknowledged is on disk.
    pub async fn close(&self) {}
}

fn stored(model: &mut Model, body: &mut crate::NewBody) -> Stored {
    let mut whole = BytesMut::from(body.head.as_ref());
    whole.extend_from_slice(&body.tail.freeze());
    let octets = whole.len() as u64;
    let whole: Bytes = whole.freeze();
    let mut digest = [0; 16];
    digest.copy_from_slice(blake3::hash(&whole).as_bytes().get(..16).unwrap_or(&[0; 16]));
    model.contents.insert(digest, whole);
    let head = Extent { octets: body.head.len() as u64, ..Extent::default() };
    let tail = Extent { octets: octets - head.octets, ..Extent::default() };
    let reference = BodyRef { digest, head, tail, local_head: body.local_head };
    Stored { body: reference, octets, summary: body.summary.clone() }
}

struct Missing;

impl Body for Missing {
    fn octets(&self) -> u64 {
        0
    }

    fn read(&self, _: u64, _: usize) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        Box::pin(async { Err(BodyError("the content is not there".to_owned())) })
    }
}
