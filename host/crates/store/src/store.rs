//! The store as its users see it.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use maitred_mail::{AccountId, Address, Body, Directory, MailboxId, MessageId, Snapshot, Uid, UidValidity};
use maitred_queue::QueueId;
use tokio::sync::{Notify, oneshot, watch};

use crate::body::{Contents, StoredBody};
use crate::check::{self, Checked};
use crate::codec::{self, Message, Summary};
use crate::coming::{Announced, Coming};
use crate::commit::{Committer, Log, ReadyBody, Request};
use crate::credentials::Credentials;
use crate::index::Index;
use crate::index::memory::MemoryIndex;
use crate::intent::{Batch, Receipt};
use crate::log::{Folder, Writer};
use crate::open::{self, Opened};
use crate::plan::accounts::{AccountRecord, alias_key};
use crate::plan::mailboxes::{NameRecord, canonical, names};
use crate::record::{Account, BodyRef, MailboxRecord, MessageRecord};
use crate::shared::{Shared, Stats, lock};
use crate::spool::{Draft, disk};
use crate::tables::{self, Tables};
use crate::view::{Read, View};
use crate::{Config, Error, apply, keys};

/// All mail state. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    requests: Mutex<Option<SyncSender<Request>>>,
    threads: Mutex<Vec<JoinHandle<bool>>>,
    tables: Arc<Tables>,
    folder: Option<Arc<Folder>>,
    inline_octets_max: usize,
    next_message: AtomicU64,
    /// The folder and its lock, held as long as the store is open.
    home: Option<(std::path::PathBuf, File)>,
    opened: Opened,
}

/// Makes the memory engine fail: what tests of error paths need.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Option<(u32, Error)>>>);

impl Faults {
    /// The commit after `skip` more fails with this error, once.
    pub fn fail_after(&self, skip: u32, error: Error) {
        *lock(&self.0) = Some((skip, error));
    }

    pub(crate) fn next(&self) -> Result<(), Error> {
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

/// What a session on a mailbox holds: its state now, and when it changes.
pub struct Watch {
    shared: Arc<Shared>,
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
        self.shared.claim_recent(&self.snapshot())
    }
}

/// Commits that may wait for the committer, groups for the applier.
const REQUESTS_WAITING: usize = 4096;
const GROUPS_WAITING: usize = 256;

impl Store {
    /// Opens the store in a folder, and recovers it from whatever happened to it. Blocks: call it at start-up.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Full`] when the folder cannot be used, or another process uses it.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let parts = open::open(config)?;
        let writer = Writer::begin(&parts.folder, config.segment_octets).map_err(disk)?;
        open::remove_unused(&parts.folder, &parts.segments, parts.opened.is_after_crash).map_err(disk)?;
        let contents = Contents::disk(Arc::clone(&parts.folder));
        let home = Some((config.directory.clone(), parts.lock));
        Self::start(
            config,
            parts.index,
            Log::Disk(writer),
            contents,
            Faults::default(),
            Some(parts.folder),
            home,
            parts.opened,
        )
    }

    /// An engine that keeps everything in memory and can be told to fail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without threads or a source of randomness.
    pub fn memory() -> Result<(Self, Faults), Error> {
        let faults = Faults::default();
        let config = Config::new("");
        let index = Arc::new(MemoryIndex::default());
        let contents = Contents::Memory(Mutex::default());
        let log = Log::Memory { next: 1 };
        let store =
            Self::start(&config, index, log, contents, faults.clone(), None, None, Opened::default())?;
        Ok((store, faults))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "called twice, by the two engines above, with what they differ in"
    )]
    fn start(
        config: &Config,
        index: Arc<dyn Index>,
        log: Log,
        contents: Contents,
        faults: Faults,
        folder: Option<Arc<Folder>>,
        home: Option<(std::path::PathBuf, File)>,
        opened: Opened,
    ) -> Result<Self, Error> {
        let view = View::new(index);
        let directory = read_directory(&view)?;
        let shared = Arc::new(Shared {
            view,
            directory: ArcSwap::from_pointee(directory),
            contents: Arc::new(contents),
            credentials: Credentials::new()?,
            watched: Mutex::default(),
            recent: Mutex::default(),
            queue_changed: Notify::new(),
            coming: Announced::new(),
            counts: crate::shared::Counts::default(),
            faults,
            snapshots_max: config.snapshots_max,
            is_full: AtomicBool::new(false),
        });
        let (requests, receiver) = sync_channel(REQUESTS_WAITING);
        let (applier, groups) = sync_channel(GROUPS_WAITING);
        let committer = Committer {
            shared: Arc::clone(&shared),
            log,
            requests: receiver,
            applier,
            soon: config.soon,
            is_after_crash: opened.is_after_crash,
            skipped: Default::default(),
            group: 0,
            unsynced_since: None,
            broken: None,
            unapplied: Vec::new(),
        };
        let for_applier = Arc::clone(&shared);
        let tables = Arc::new(Tables::new(Arc::clone(&shared), requests.clone(), config.soon));
        let for_flusher = Arc::clone(&tables);
        let room = Room { directory: config.directory.clone(), reserve_octets: config.reserve_octets };
        let is_on_disk = folder.is_some();
        let has_room = move || !is_on_disk || room.is_left();
        shared.is_full.store(!has_room(), Ordering::Relaxed);
        let threads = vec![
            spawn("store-commit", move || committer.run())?,
            spawn("store-apply", move || apply::run(&for_applier, &groups, &has_room))?,
            spawn("store-tables", move || tables::run(&for_flusher))?,
        ];
        Ok(Self(Arc::new(Inner {
            shared,
            requests: Mutex::new(Some(requests)),
            threads: Mutex::new(threads),
            tables,
            folder,
            inline_octets_max: config.inline_octets_max,
            // Unix time in 2^-20 seconds: grows over restarts, and faster than messages come.
            next_message: AtomicU64::new(u64::from(Shared::unix_seconds()) << 20),
            home,
            opened,
        })))
    }

    /// What opening it came to.
    pub fn opened(&self) -> &Opened {
        &self.0.opened
    }

    /// Who is here, as of the last commit. Never waits.
    pub fn directory(&self) -> Arc<Directory> {
        self.0.shared.directory.load_full()
    }

    /// A message content that begins to arrive.
    pub fn draft(&self) -> Draft {
        Draft::new(self.0.folder.clone(), self.0.inline_octets_max)
    }

    /// Says that a commit is on its way, until what this answers is dropped: before the commit is sent, or when it comes to nothing. A
    /// group that is about to be written waits for it, half a millisecond at most.
    pub fn announce(&self) -> Coming {
        self.0.shared.coming.announce()
    }

    /// A name for a message in logs, traces and Received fields.
    pub fn next_message_id(&self) -> MessageId {
        MessageId(self.0.next_message.fetch_add(1, Ordering::Relaxed))
    }

    /// Does all intents or none. When it returns with [`crate::Urgency::Now`], they are durable.
    ///
    /// # Errors
    /// What kept it from doing any of it.
    pub async fn commit(&self, batch: Batch) -> Result<Receipt, Error> {
        let mut bodies = Vec::with_capacity(batch.bodies.len());
        for body in batch.bodies {
            let tail = body.tail.finish().await?;
            bodies.push(ReadyBody {
                head: body.head,
                tail,
                summary: body.summary,
                local_head: body.local_head,
            });
        }
        let (answer, receipt) = oneshot::channel();
        let request = Request { bodies, intents: batch.intents, urgency: batch.urgency, answer };
        self.hand_over(request).await?;
        receipt.await.map_err(|_| stopping())?
    }

    /// Gives a request to the committer; when too many wait, so does this one.
    async fn hand_over(&self, mut request: Request) -> Result<(), Error> {
        loop {
            let sender = lock(&self.0.requests).clone().ok_or_else(stopping)?;
            match sender.try_send(request) {
                Ok(()) => return Ok(()),
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(stopping()),
                Err(std::sync::mpsc::TrySendError::Full(back)) => request = back,
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// All mailboxes of an account, by name, and names that are only subscribed.
    ///
    /// # Errors
    /// [`Error::AccountGone`].
    pub async fn mailboxes(&self, account: AccountId) -> Result<Vec<MailboxRecord>, Error> {
        let shared = &self.0.shared;
        shared.view.get(&keys::account(account))?.ok_or(Error::AccountGone(account))?;
        let prefix = keys::subscription(account, "");
        let subscribed =
            shared.view.range(&prefix, &keys::behind(&prefix), crate::plan::mailboxes::NAMES_MAX)?;
        let mut subscribed: std::collections::BTreeSet<Box<str>> =
            subscribed.iter().filter_map(|(key, _)| keys::name_of(key)).map(Box::from).collect();
        let mut records = Vec::new();
        for (name, record) in names(&shared.view, account)? {
            let is_subscribed = subscribed.remove(&name);
            records.push(self.record(name, record, is_subscribed)?);
        }
        for name in subscribed {
            records.push(self.record(name, NameRecord { mailbox: None, special_use: None }, true)?);
        }
        records.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(records)
    }

    /// One mailbox by name.
    ///
    /// # Errors
    /// [`Error::NoMailbox`], [`Error::BadName`].
    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<MailboxRecord, Error> {
        let name = canonical(name)?;
        let view = &self.0.shared.view;
        let value = view.get(&keys::name(account, &name))?.ok_or(Error::NoMailbox)?;
        let record: NameRecord = serde_json::from_slice(&value)
            .map_err(|error| Error::Damaged(format!("a mailbox name: {error}")))?;
        if record.mailbox.is_none() {
            return Err(Error::NoMailbox);
        }
        let is_subscribed = view.get(&keys::subscription(account, &name))?.is_some();
        self.record(name, record, is_subscribed)
    }

    fn record(
        &self,
        name: Box<str>,
        record: NameRecord,
        is_subscribed: bool,
    ) -> Result<MailboxRecord, Error> {
        let NameRecord { mailbox: id, special_use } = record;
        let mut found = MailboxRecord {
            id,
            name,
            special_use,
            is_subscribed,
            uid_validity: UidValidity(0),
            uid_next: Uid(1),
            messages: 0,
            unseen: 0,
            recent: 0,
        };
        if let Some(id) = id {
            let head = self.0.shared.head(id)?;
            let recent_from = lock(&self.0.shared.recent).get(&id).copied().unwrap_or(head.recent_from);
            found.uid_validity = head.uid_validity;
            found.uid_next = head.uid_next;
            found.messages = head.messages;
            found.unseen = head.unseen;
            found.recent = head.uid_next.0.saturating_sub(recent_from.0).min(head.messages);
        }
        Ok(found)
    }

    /// Follows a mailbox.
    ///
    /// # Errors
    /// [`Error::NoMailbox`].
    pub async fn watch(&self, mailbox: MailboxId) -> Result<Watch, Error> {
        let receiver = self.0.shared.watch(mailbox)?;
        Ok(Watch { shared: Arc::clone(&self.0.shared), receiver })
    }

    /// The records of these messages (UIDs in ascending order); those not there are passed over.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn records(&self, mailbox: MailboxId, uids: &[Uid]) -> Result<Vec<MessageRecord>, Error> {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(Vec::new()) };
        let view = &self.0.shared.view;
        let span = (last.0.saturating_sub(first.0) as usize).saturating_add(1);
        let mut found = Vec::with_capacity(uids.len());
        if span <= uids.len().saturating_mul(2) {
            // Mostly neighbours: one range instead of a look-up each.
            let to = keys::behind(&keys::message(mailbox, *last));
            let mut wanted = uids.iter().copied().peekable();
            for (key, value) in view.range(&keys::message(mailbox, *first), &to, span)? {
                let uid =
                    keys::uid_of(&key).ok_or_else(|| Error::Damaged("a key of a message".to_owned()))?;
                while wanted.peek().is_some_and(|next| *next < uid) {
                    wanted.next();
                }
                if wanted.peek() == Some(&uid) {
                    found.push(message(uid, value)?);
                }
            }
        } else {
            for uid in uids {
                if let Some(value) = view.get(&keys::message(mailbox, *uid))? {
                    found.push(message(*uid, value)?);
                }
            }
        }
        // A page is read without waiting for anything: let others have the thread before the next one.
        if uids.len() > 1 {
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    /// What was computed at delivery of a message, however large.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub async fn summary(&self, record: &MessageRecord) -> Result<bytes::Bytes, Error> {
        let Some(extent) = record.large_summary else { return Ok(record.summary.clone()) };
        let read = self.0.shared.contents.read_all(extent).await;
        read.map_err(|error| Error::Damaged(error.to_string()))
    }

    /// A stored content, whole.
    pub fn body(&self, body: &BodyRef) -> Arc<dyn Body> {
        Arc::new(StoredBody { contents: Arc::clone(&self.0.shared.contents), body: body.clone(), from: 0 })
    }

    /// A stored content without what is for local readers only: what is sent to other servers.
    pub fn relay_body(&self, body: &BodyRef) -> Arc<dyn Body> {
        let from = u64::from(body.local_head);
        Arc::new(StoredBody { contents: Arc::clone(&self.0.shared.contents), body: body.clone(), from })
    }

    /// All that waits in the queue.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn queue(&self) -> Result<Vec<(QueueId, maitred_queue::Entry, BodyRef)>, Error> {
        self.queue_after(MessageId(0)).await
    }

    /// What was queued after this entry, oldest first: numbers grow in the order of commits.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn queue_after(
        &self,
        newest: QueueId,
    ) -> Result<Vec<(QueueId, maitred_queue::Entry, BodyRef)>, Error> {
        let from = keys::queue(newest.0.saturating_add(1));
        let pairs = self.0.shared.view.range(&from, &keys::behind(b"q"), usize::MAX)?;
        let decoded = pairs.into_iter().map(|(key, value)| {
            let id = keys::number_of(&key).ok_or_else(|| Error::Damaged("a key of the queue".to_owned()))?;
            let (entry, body) = codec::decode_queue(value)?;
            Ok((MessageId(id), entry, body))
        });
        decoded.collect()
    }

    /// One entry of the queue.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn queue_entry(&self, id: QueueId) -> Result<Option<(maitred_queue::Entry, BodyRef)>, Error> {
        self.0.shared.view.get(&keys::queue(id.0))?.map(codec::decode_queue).transpose()
    }

    /// Completes after the queue changed.
    pub async fn queue_changed(&self) {
        self.0.shared.queue_changed.notified().await;
    }

    /// All accounts.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let pairs = self.0.shared.view.range(b"a", &keys::behind(b"a"), usize::MAX)?;
        let ids = pairs.iter().filter_map(|(key, _)| keys::number_of(key)).map(AccountId);
        Ok(ids.filter_map(|id| self.account(id)).collect())
    }

    /// One account. Never waits long.
    pub fn account(&self, id: AccountId) -> Option<Account> {
        let view = &self.0.shared.view;
        let AccountRecord { address, quota, .. } = AccountRecord::read(view, id).ok()?;
        let used =
            view.get(&keys::used(id)).ok()?.and_then(|value| codec::decode_number(&value).ok()).unwrap_or(0);
        Some(Account { id, address, used, quota })
    }

    /// Where plugins keep things.
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.0.tables)
    }

    /// Whose login and password these are. A login is the account's address.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn verify(&self, login: &str, password: &str) -> Result<Option<(AccountId, Address)>, Error> {
        let found = Address::parse(login).ok().and_then(|address| {
            let id = self.directory().account(&address)?;
            let record = AccountRecord::read(&self.0.shared.view, id).ok()?;
            Some((id, record.address, record.password_hash))
        });
        let account = found.as_ref().map(|(id, _, phc)| (*id, phc.clone()));
        let is_right = self.0.shared.credentials.verify(account, password).await?;
        Ok(found.filter(|_| is_right).map(|(id, address, _)| (id, address)))
    }

    /// A PHC string for a new password.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn hash_password(&self, password: &str) -> Result<String, Error> {
        self.0.shared.credentials.hash(password).await
    }

    /// Reads all that is stored and holds it against its checksums. Takes as long as reading the disk takes; everything goes
    /// on meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk cannot be read.
    pub async fn check(&self) -> Result<Checked, Error> {
        let Some(folder) = self.0.folder.clone() else { return Ok(Checked::default()) };
        let shared = Arc::clone(&self.0.shared);
        let work = tokio::task::spawn_blocking(move || check::check(&shared.view, &folder));
        work.await.map_err(|error| Error::Unavailable(error.to_string()))?
    }

    /// True when there is no room left, so that nothing is taken any more.
    pub fn is_full(&self) -> bool {
        self.0.shared.is_full.load(Ordering::Relaxed)
    }

    /// Figures since the start.
    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }

    /// Ends all work: what was acknowledged is on disk, the index is up to date, the next start is quick.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.0);
        // A failure of the threads was logged by them.
        let _ = tokio::task::spawn_blocking(move || inner.stop()).await;
    }
}

impl Inner {
    fn stop(&self) {
        self.tables.stop();
        drop(lock(&self.requests).take());
        let threads: Vec<_> = lock(&self.threads).drain(..).collect();
        if threads.is_empty() {
            return;
        }
        let ends: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap_or(false)).collect();
        let is_well = ends.into_iter().all(|is_well| is_well);
        if let (true, Some((directory, _))) = (is_well, &self.home)
            && let Err(error) = open::put_clean_mark(directory)
        {
            tracing::warn!(error = %error, "clean end not marked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the disk has room left.
struct Room {
    directory: std::path::PathBuf,
    reserve_octets: u64,
}

impl Room {
    fn is_left(&self) -> bool {
        crate::room::free_octets(&self.directory).is_none_or(|free| free >= self.reserve_octets)
    }
}

fn message(uid: Uid, value: bytes::Bytes) -> Result<MessageRecord, Error> {
    let Message { internal_date, octets, body, summary } = Message::decode(value)?;
    let (summary, large_summary) = match summary {
        Summary::Inline(summary) => (summary, None),
        Summary::InLog(extent) => (bytes::Bytes::new(), Some(extent)),
    };
    Ok(MessageRecord { uid, internal_date, octets, body, summary, large_summary })
}

fn stopping() -> Error {
    Error::Unavailable("the store is stopping".to_owned())
}

fn spawn(name: &str, work: impl FnOnce() -> bool + Send + 'static) -> Result<JoinHandle<bool>, Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(disk)
}

fn read_directory(view: &View) -> Result<Directory, Error> {
    let all = |letter: &[u8]| view.range(letter, &keys::behind(letter), usize::MAX);
    let text = |key: &[u8]| String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned();
    let mut directory = Directory::default();
    for (key, _) in all(b"d")? {
        directory.domains.extend(maitred_mail::Domain::parse(&text(&key)).ok());
    }
    for (key, value) in all(b"a")? {
        if let Some(id) = keys::number_of(&key) {
            directory.accounts.insert(AccountRecord::decode(&value)?.address, AccountId(id));
        }
    }
    for (key, value) in all(b"l")? {
        let targets =
            serde_json::from_slice(&value).map_err(|error| Error::Damaged(format!("an alias: {error}")))?;
        directory.aliases.extend(alias_key(&text(&key)).map(|key| (key, targets)));
    }
    Ok(directory)
}
