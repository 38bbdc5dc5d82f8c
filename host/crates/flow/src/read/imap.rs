//! An IMAP session is answered: logins, mailboxes, messages and their flags, changes as they come.
//!
//! RFC 3501, with the extensions that `maitred_imap` names. Driven by `net` through the engine [`maitred_imap::Session`].
//!
//! Invariants: APPEND, COPY, MOVE, EXPUNGE and everything about mailboxes are answered OK when they are durable; flags are
//! durable a moment later (see [`maitred_store::Urgency::Soon`]); the engine gets the newest state of the selected mailbox
//! before each answer, and in IDLE as soon as it changes; an answer holds one page of records and one piece of a body,
//! however much is asked.

mod append;
mod change;
mod content;
mod fetch;
mod mailboxes;
mod search;
mod told;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use maitred_imap::{Event, Refusal, Selection, Session};
use maitred_mail::{AccountId, Address, Uid};
use maitred_policy::LoginProtocol;
use maitred_store::{Batch, Changed, Error, Intent, Urgency, Watch};
use maitred_wire::sasl::Credentials;
use maitred_wire::{Handler, Ticket};

use crate::house::House;
use crate::login::{LoginError, LoginPeer};

use append::Appending;
use fetch::Fetching;
use search::Searching;

/// Answers one session.
pub struct Imap {
    house: Arc<House>,
    /// The session's number, in logs.
    session: u64,
    peer: SocketAddr,
    failed_logins: u32,
    /// Who logged in.
    account: Option<AccountId>,
    /// Its address.
    address: Option<Address>,
    open: Option<Box<Open>>,
    running: Option<Running>,
    is_idle: bool,
}

/// The selected mailbox.
struct Open {
    /// As the client called it.
    name: String,
    watch: Watch,
    is_read_only: bool,
    /// UIDs below were claimed as recent, by this session or another one.
    claimed: Uid,
}

/// A command whose answer takes more than one step.
enum Running {
    Append(Box<Appending>),
    Fetch(Box<Fetching>),
    Search(Box<Searching>),
    /// The last page was said.
    Said,
}

/// Octets of a content that are read at once.
const PIECE_OCTETS: usize = 65_536;

impl Imap {
    /// A session that has just been accepted, by its number, with this peer.
    pub fn new(house: Arc<House>, session: u64, peer: SocketAddr) -> Self {
        Self {
            house,
            session,
            peer,
            failed_logins: 0,
            account: None,
            address: None,
            open: None,
            running: None,
            is_idle: false,
        }
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
        let from = LoginPeer { protocol: LoginProtocol::Imap, peer, has_tls, mechanism };
        match self.house.admit(&from, credentials).await {
            Ok(login) => {
                tracing::info!(
                    session = self.session, protocol = "imap", account = %login.address(), peer.addr = %peer,
                    "logged in"
                );
                self.account = Some(login.account());
                self.address = Some(login.address().clone());
                session.authenticate(ticket, login);
            }
            Err(error) => {
                tracing::info!(session = self.session, protocol = "imap", peer.addr = %peer, %error, "login refused");
                session.delay(self.delay_of(&error));
                session.refuse(ticket, refusal_of_login(&error));
            }
        }
    }

    /// Guessing becomes slow, within a session too.
    fn delay_of(&mut self, error: &LoginError) -> Duration {
        let limits = &self.house.config.limits;
        if limits.auth_failures == 0 || matches!(error, LoginError::Store(_)) {
            return Duration::ZERO;
        }
        self.failed_logins += 1;
        Duration::from_secs(self.failed_logins.into()).min(limits.delay_max)
    }

    async fn select(&mut self, session: &mut Session, ticket: Ticket, name: &str, is_read_only: bool) {
        // RFC 3501 §6.3.1: the mailbox before is closed, whatever comes of this.
        self.open = None;
        match self.open(name, is_read_only).await {
            Ok((open, selection)) => {
                self.open = Some(Box::new(open));
                session.select(ticket, selection);
            }
            Err(refusal) => session.refuse(ticket, refusal),
        }
    }

    async fn open(&self, name: &str, is_read_only: bool) -> Result<(Open, Selection), Refusal> {
        let account = self.account()?;
        let store = &self.house.store;
        let record = store.mailbox(account, name).await.map_err(self.refusal())?;
        let watch = store.watch(record.id.ok_or(Refusal::NoMailbox)?).await.map_err(self.refusal())?;
        let snapshot = watch.snapshot();
        // RFC 3501 §6.3.2: EXAMINE leaves them recent for the next session.
        let recent = match is_read_only {
            true => snapshot.uid_next.0.saturating_sub(record.recent)..snapshot.uid_next.0,
            false => watch.claim_recent(),
        };
        let open = Open {
            name: name.to_owned(),
            watch,
            is_read_only,
            claimed: Uid(recent.end).max(snapshot.uid_next),
        };
        Ok((open, Selection { snapshot, recent, has_unseen: record.unseen > 0 }))
    }

    /// Tells the engine how the selected mailbox is now.
    fn update(&mut self, session: &mut Session) {
        let Some(open) = &mut self.open else { return };
        let now = open.watch.snapshot();
        let recent = if now.uid_next > open.claimed && !open.is_read_only {
            let claimed = open.watch.claim_recent();
            open.claimed = now.uid_next.max(Uid(claimed.end));
            claimed
        } else {
            0..0
        };
        session.update(now, recent);
    }

    fn done(&mut self, session: &mut Session, ticket: Ticket) {
        self.update(session);
        session.done(ticket);
    }

    fn refuse(&mut self, session: &mut Session, ticket: Ticket, refusal: Refusal) {
        self.update(session);
        session.refuse(ticket, refusal);
    }

    fn answer(&mut self, session: &mut Session, ticket: Ticket, answer: Result<(), Refusal>) {
        match answer {
            Ok(()) => self.done(session, ticket),
            Err(refusal) => self.refuse(session, ticket, refusal),
        }
    }

    /// Does one thing durably.
    async fn commit(&self, intent: Intent) -> Result<Changed, Error> {
        self.commit_when(intent, Urgency::Now).await
    }

    async fn commit_when(&self, intent: Intent, urgency: Urgency) -> Result<Changed, Error> {
        let batch = Batch { bodies: Vec::new(), intents: vec![intent], urgency };
        let mut receipt = self.house.store.commit(batch).await?;
        receipt.changes.pop().ok_or_else(|| Error::Unavailable("no receipt".to_owned()))
    }

    fn account(&self) -> Result<AccountId, Refusal> {
        self.account.ok_or(Refusal::Broken)
    }

    /// What the client is told of an error of the store; ours are logged.
    fn refusal(&self) -> impl Fn(Error) -> Refusal + use<> {
        let session = self.session;
        move |error| {
            let refusal = refusal_of(&error);
            if matches!(refusal, Refusal::Unavailable | Refusal::Broken) {
                tracing::error!(session, protocol = "imap", %error, "the store did not do it");
            }
            refusal
        }
    }

    /// The next page of whatever is running.
    async fn more(&mut self, session: &mut Session, ticket: Ticket) {
        match self.running.take() {
            Some(Running::Fetch(fetching)) => self.go_on_fetching(session, ticket, fetching).await,
            Some(Running::Search(searching)) => self.go_on_searching(session, ticket, searching).await,
            Some(Running::Said) => self.done(session, ticket),
            Some(Running::Append(_)) | None => self.refuse(session, ticket, Refusal::Broken),
        }
    }

    /// An answer of one page.
    fn say(&mut self, session: &mut Session, ticket: Ticket, octets: Vec<u8>) {
        self.running = Some(Running::Said);
        session.page(ticket, octets.into());
    }
}

impl Handler<Session> for Imap {
    async fn handle(&mut self, session: &mut Session, event: Event) {
        self.is_idle = false;
        match event {
            Event::Authenticate { ticket, mechanism, credentials } => {
                let mechanism = mechanism.map_or("LOGIN", |of| of.name());
                self.authenticate(session, ticket, mechanism, &credentials).await;
            }
            Event::Noop { ticket } => self.done(session, ticket),
            Event::Select { ticket, mailbox, is_read_only } => {
                self.select(session, ticket, &mailbox, is_read_only).await;
            }
            Event::Deselected => self.open = None,
            Event::Create { ticket, mailbox } => {
                let answer = self.create(mailbox).await;
                self.answer(session, ticket, answer);
            }
            Event::Delete { ticket, mailbox } => {
                let answer = self.delete(mailbox).await;
                self.answer(session, ticket, answer);
            }
            Event::Rename { ticket, from, to } => {
                let answer = self.rename(from, to).await;
                self.answer(session, ticket, answer);
            }
            Event::Subscribe { ticket, mailbox, is_subscribed } => {
                let answer = self.subscribe(mailbox, is_subscribed).await;
                self.answer(session, ticket, answer);
            }
            Event::List { ticket, list, is_lsub } => match self.list(&list, is_lsub).await {
                Ok(octets) => self.say(session, ticket, octets),
                Err(refusal) => self.refuse(session, ticket, refusal),
            },
            Event::Status { ticket, mailbox, items } => match self.status(&mailbox, &items).await {
                Ok(octets) => self.say(session, ticket, octets),
                Err(refusal) => self.refuse(session, ticket, refusal),
            },
            Event::Append { ticket, append } => self.append(session, ticket, append).await,
            Event::Chunk(octets) => self.take_chunk(octets).await,
            Event::Abandoned => self.running = None,
            Event::Appended { ticket } => self.appended(session, ticket).await,
            Event::Fetch { ticket, messages, numbers, recent, items, may_set_seen } => {
                let fetching = Fetching::new(messages, numbers, recent, &items, may_set_seen);
                self.go_on_fetching(session, ticket, Box::new(fetching)).await;
            }
            Event::More { ticket } => self.more(session, ticket).await,
            Event::Store { ticket, mailbox, uids, operation } => {
                self.store(session, ticket, mailbox, uids, operation).await;
            }
            Event::Search { ticket, told, recent, key, numbers } => {
                let searching = Searching::new(told, recent, &key, numbers);
                self.go_on_searching(session, ticket, Box::new(searching)).await;
            }
            Event::Copy { ticket, from, uids, to, is_move } => {
                self.copy(session, ticket, from, uids, &to, is_move).await;
            }
            Event::Expunge { ticket, mailbox, uids } => {
                let answer = self.expunge(mailbox, uids).await;
                self.answer(session, ticket, answer);
            }
            Event::Idle => {
                self.is_idle = true;
                self.update(session);
            }
            Event::IdleEnded => {}
        }
    }

    /// Only in IDLE the client can be told; at other times it is told with its next command.
    async fn wake(&mut self) {
        match &mut self.open {
            Some(open) if self.is_idle => open.watch.changed().await,
            _ => std::future::pending().await,
        }
    }

    async fn woken(&mut self, session: &mut Session) {
        self.update(session);
    }

    async fn closed(&mut self, _: &mut Session) {
        self.running = None;
        self.open = None;
    }
}

fn refusal_of(error: &Error) -> Refusal {
    match error {
        Error::NoMailbox => Refusal::NoMailbox,
        Error::Exists(_) => Refusal::AlreadyExists,
        Error::BadName(_) => Refusal::BadName,
        Error::InUse(_) => Refusal::InUse,
        Error::TooManyKeywords(_) => Refusal::TooManyKeywords,
        Error::OverQuota(_) => Refusal::OverQuota,
        Error::AccountGone(_) | Error::Full | Error::Unavailable(_) | Error::Damaged(_) => {
            Refusal::Unavailable
        }
        Error::NoAccount(_) | Error::Unknown(_) | Error::Looping(_) => Refusal::Broken,
    }
}

fn refusal_of_login(error: &LoginError) -> Refusal {
    match error {
        LoginError::Wrong | LoginError::Denied(_) => Refusal::Credentials,
        LoginError::Slow { .. } => Refusal::Throttled,
        LoginError::Store(_) => Refusal::Unavailable,
    }
}
