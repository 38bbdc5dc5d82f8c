//! A POP3 session is answered: logins, the locked maildrop, contents, and the step that removes.
//!
//! RFC 1939 §4, §5, §6; RFC 2449 §8.1.1 (IN-USE). Driven by `net` through the engine [`maitred_pop3::Session`].
//!
//! Invariants: a maildrop belongs to one session, and is free again before the client hears the last word, or when the
//! session is dropped; messages go by QUIT alone, in one durable commit, all that were marked or none; message numbers
//! are those of the login, so a message that IMAP expunged meanwhile is missing, and one that came meanwhile is not
//! seen. A message that RETR handed out whole becomes `\Seen` when the session ends, however it ends (as Dovecot does by
//! default, so that other clients do not show it as new); TOP leaves it alone.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maitred_mail::{Address, Authenticated, Body, Durable, Flags, MailboxId, Uid, UidValidity};
use maitred_policy::{LoginProtocol, MailboxChange};
use maitred_pop3::{Event, Maildrop, Refusal, Session};
use maitred_store::{Batch, Changed, Error, FlagChange, FlagOp, Intent, Urgency};
use maitred_wire::sasl::Credentials;
use maitred_wire::{Handler, Ticket};

use crate::house::House;
use crate::login::{LoginError, LoginPeer};
use crate::maildrop::MaildropLock;

/// Answers one session.
pub struct Pop3 {
    house: Arc<House>,
    /// The session's number, in logs.
    session: u64,
    peer: SocketAddr,
    failed_logins: u32,
    open: Option<Open>,
}

/// The maildrop of who logged in.
struct Open {
    lock: MaildropLock,
    address: Address,
    mailbox: MailboxId,
    uid_validity: UidValidity,
    /// The message that is read piece by piece.
    reading: Option<(Uid, Arc<dyn Body>)>,
    /// Handed out whole.
    retrieved: BTreeSet<Uid>,
}

impl Pop3 {
    /// A session that has just been accepted, by its number, with this peer.
    pub fn new(house: Arc<House>, session: u64, peer: SocketAddr) -> Self {
        Self { house, session, peer, failed_logins: 0, open: None }
    }

    async fn authenticate(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        mechanism: &str,
        credentials: &Credentials,
    ) {
        let peer = self.peer.ip();
        let has_tls = session.tls().is_some();
        let from = LoginPeer { protocol: LoginProtocol::Pop3, peer, has_tls, mechanism };
        let login = match self.house.admit(&from, credentials).await {
            Ok(login) => login,
            Err(error) => {
                tracing::info!(session = self.session, protocol = "pop3", peer.addr = %peer, %error, "login refused");
                session.delay(self.delay_of(&error));
                return session.refuse(ticket, refusal_of_login(&error));
            }
        };
        match self.open(&login, session.config().limits.messages_max).await {
            Ok((open, maildrop)) => {
                tracing::info!(
                    session = self.session, protocol = "pop3", account = %login.address(), peer.addr = %peer,
                    "logged in"
                );
                self.open = Some(open);
                session.authenticate(ticket, login, maildrop);
            }
            Err(refusal) => {
                tracing::info!(
                    session = self.session, protocol = "pop3", account = %login.address(), peer.addr = %peer,
                    ?refusal, "maildrop not opened"
                );
                session.refuse(ticket, refusal);
            }
        }
    }

    /// Each further wrong login of a session waits a second longer for its answer.
    fn delay_of(&mut self, error: &LoginError) -> Duration {
        let limits = &self.house.config.limits;
        if limits.auth_failures == 0 || matches!(error, LoginError::Store(_)) {
            return Duration::ZERO;
        }
        self.failed_logins += 1;
        Duration::from_secs(self.failed_logins.into()).min(limits.delay_max)
    }

    /// Locks the maildrop and takes down what is in it.
    async fn open(&self, login: &Authenticated, messages_max: usize) -> Result<(Open, Maildrop), Refusal> {
        let lock = self.house.maildrops.lock(login.account()).ok_or(Refusal::InUse)?;
        let store = &self.house.store;
        let record = store.mailbox(login.account(), "INBOX").await.map_err(self.refusal())?;
        let mailbox = record.id.ok_or(Refusal::Permanent)?;
        // Dropped again below: what comes and goes meanwhile is no matter of this session.
        let snapshot = store.watch(mailbox).await.map_err(self.refusal())?.snapshot();
        let count = messages_max.min(snapshot.len() as usize);
        let mut maildrop = Maildrop::new(snapshot.uid_validity, count);
        let mut uids = snapshot.iter().take(count).map(|entry| entry.uid);
        loop {
            let page: Vec<Uid> = uids.by_ref().take(PAGE).collect();
            if page.is_empty() {
                break;
            }
            for record in store.records(mailbox, &page).await.map_err(self.refusal())? {
                maildrop.push(record.uid, record.octets);
            }
        }
        let (address, uid_validity) = (login.address().clone(), snapshot.uid_validity);
        Ok((
            Open { lock, address, mailbox, uid_validity, reading: None, retrieved: BTreeSet::new() },
            maildrop,
        ))
    }

    async fn content(&mut self, session: &mut Session, ticket: Ticket, piece: Piece) {
        match self.read(piece).await {
            Ok(octets) => session.content(ticket, &octets),
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    async fn read(&mut self, piece: Piece) -> Result<bytes::Bytes, Refusal> {
        let refusal = self.refusal();
        let open = self.open.as_mut().ok_or_else(broken)?;
        let body = match open.reading.take() {
            Some((uid, body)) if uid == piece.uid && piece.offset > 0 => body,
            _ => {
                let records = self.house.store.records(open.mailbox, &[piece.uid]).await.map_err(refusal)?;
                let record = records.first().ok_or(Refusal::NoMessage)?;
                self.house.store.body(&record.body)
            }
        };
        let octets = body.read(piece.offset, piece.octets_max).await.map_err(|error| {
            let account = open.lock.account().0;
            tracing::error!(session = self.session, account, uid = piece.uid.0, %error, "content not read");
            Refusal::Temporary
        })?;
        let is_last = piece.offset.saturating_add(octets.len() as u64) >= body.octets();
        open.reading = (!is_last).then_some((piece.uid, body));
        Ok(octets)
    }

    async fn update(&mut self, session: &mut Session, ticket: Ticket, uids: Vec<Uid>) {
        let Some(open) = self.open.take() else { return session.refuse(ticket, broken()) };
        let count = uids.len();
        let removed = self.remove(&open, uids).await;
        // Before the client hears of it: it may come again at once.
        drop(open);
        match removed {
            Ok(durable) => {
                tracing::info!(
                    session = self.session,
                    protocol = "pop3",
                    removed = count,
                    "maildrop updated"
                );
                session.updated(ticket, durable);
            }
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    /// RFC 1939 §6: removes what was marked, all or nothing.
    async fn remove(&self, open: &Open, uids: Vec<Uid>) -> Result<Option<Durable>, Refusal> {
        if uids.is_empty() {
            self.note_seen(open).await;
            return Ok(None);
        }
        let seen = open.seen(&uids);
        let expunge = Intent::Expunge { mailbox: open.mailbox, uids: Some(uids), only_deleted: false };
        let intents = [expunge].into_iter().chain(seen).collect();
        let batch = Batch { intents, urgency: Urgency::Now, ..Batch::default() };
        let receipt = self.house.store.commit(batch).await.map_err(self.refusal())?;
        if let Some(Changed::Expunged(gone)) = receipt.changes.first() {
            let uids = gone.iter().map(|uid| uid.0).collect();
            let (address, validity) = (&open.address, open.uid_validity.0);
            self.house.tell_mailbox(address, "INBOX", validity, uids, MailboxChange::Expunged);
        }
        Ok(receipt.durable)
    }

    /// Flags what was handed out, without removing anything.
    async fn note_seen(&self, open: &Open) {
        let Some(intent) = open.seen(&[]) else { return };
        let batch = Batch { intents: vec![intent], urgency: Urgency::Soon, ..Batch::default() };
        if let Err(error) = self.house.store.commit(batch).await {
            tracing::warn!(session = self.session, %error, "retrieved messages not flagged");
        }
    }

    /// What the client is told of an error of the store, which is logged.
    fn refusal(&self) -> impl Fn(Error) -> Refusal + use<> {
        let session = self.session;
        move |error| {
            tracing::error!(session, protocol = "pop3", %error, "the store refused");
            if error.status().is_permanent() { Refusal::Permanent } else { Refusal::Temporary }
        }
    }
}

/// What is asked for of a content.
struct Piece {
    uid: Uid,
    offset: u64,
    octets_max: usize,
}

impl Open {
    /// `\Seen` for what was handed out and stays.
    fn seen(&self, removed: &[Uid]) -> Option<Intent> {
        let stays = |uid: &&Uid| removed.binary_search(uid).is_err();
        let uids: Vec<Uid> = self.retrieved.iter().filter(stays).copied().collect();
        (!uids.is_empty()).then(|| {
            Intent::Flags(FlagChange {
                mailbox: self.mailbox,
                uids,
                op: FlagOp::Add,
                flags: Flags::SEEN,
                keywords: Vec::new(),
                unchanged_since: None,
            })
        })
    }
}

impl Handler<Session> for Pop3 {
    async fn handle(&mut self, session: &mut Session, event: Event) {
        match event {
            Event::Authenticate { ticket, mechanism, credentials } => {
                let mechanism = mechanism.map_or("USER", |of| of.name());
                self.authenticate(session, ticket, mechanism, &credentials).await;
            }
            Event::Content { ticket, uid, offset, octets_max } => {
                self.content(session, ticket, Piece { uid, offset, octets_max }).await;
            }
            Event::Retrieved(uid) => {
                if let Some(open) = &mut self.open {
                    open.retrieved.insert(uid);
                }
            }
            Event::Update { ticket, uids } => self.update(session, ticket, uids).await,
        }
    }

    async fn closed(&mut self, _session: &mut Session) {
        if let Some(open) = self.open.take() {
            // RFC 1939 §6: without QUIT nothing is removed.
            self.note_seen(&open).await;
        }
    }
}

fn refusal_of_login(error: &LoginError) -> Refusal {
    match error {
        LoginError::Wrong | LoginError::Denied(_) => Refusal::WrongLogin,
        LoginError::Slow { .. } => Refusal::TooManyLogins,
        LoginError::Store(_) => Refusal::Temporary,
    }
}

/// The engine asked for what cannot be: a defect of ours, not of the peer.
fn broken() -> Refusal {
    tracing::error!("the engine asked out of sequence");
    Refusal::Temporary
}

/// How many sizes are read at once.
const PAGE: usize = 1024;
