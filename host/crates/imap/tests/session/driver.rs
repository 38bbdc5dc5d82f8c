//! A driver without sockets: what the engine says and asks, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_imap::view::Messages;
use maitred_imap::{Config, Event, Refusal, Selection, Session};
use maitred_mail::{
    AccountId, Address, Authenticated, Entry, Flags, Keywords, MailboxId, ModSeq, Snapshot, Uid, UidValidity,
};
use maitred_wire::{Engine as _, OverTls, Step, Ticket};

/// What came out of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// A line, without CRLF.
    Line(String),
    /// An event, in words.
    Event(String),
}

pub struct Driver {
    pub session: Session,
    pub out: VecDeque<Out>,
    ticket: Option<Ticket>,
    partial: Vec<u8>,
    input: Vec<u8>,
    now: Instant,
    is_over: bool,
}

impl Driver {
    pub fn new(config: Config) -> Self {
        Self {
            session: Session::new(Arc::new(config)),
            out: VecDeque::new(),
            ticket: None,
            partial: Vec::new(),
            input: Vec::new(),
            now: Instant::now(),
            is_over: false,
        }
    }

    /// Octets of the client; those that the engine does not take now are offered again.
    pub fn send(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        self.pump();
    }

    /// The client closes its side.
    pub fn hang_up(&mut self) {
        self.session.input(b"");
        self.pump();
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pump();
    }

    pub fn secure(&mut self) {
        let tls = OverTls::after_handshake("TLSv1.3".into(), "TEST".into(), None, false);
        self.session.secured(tls);
        self.pump();
    }

    pub fn goodbye(&mut self) {
        if let Some(octets) = self.session.goodbye() {
            self.take_output(&octets);
        }
        self.pump();
    }

    /// Answers the last event that asked, as a transcript writes it.
    pub fn answer(&mut self, answer: &str) {
        let (verb, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        match verb {
            "delay" => return self.session.delay(Duration::from_secs(rest.parse().expect("seconds"))),
            "update" => {
                self.session.update(Arc::new(snapshot(rest)), 0..0);
                return self.pump();
            }
            "note" => return self.session.note(&entries(rest)),
            "tls" => return self.secure(),
            "goodbye" => return self.goodbye(),
            _ => {}
        }
        let ticket = self.ticket.take().expect("no event asked");
        match verb {
            "done" => self.session.done(ticket),
            "refuse" => self.session.refuse(ticket, refusal(rest)),
            "login" => {
                let address = Address::parse(rest).expect("an address");
                let login = Authenticated::after_verification(AccountId(1), address);
                self.session.authenticate(ticket, login);
            }
            "select" => {
                let snapshot = Arc::new(snapshot(rest));
                let recent = snapshot.uid_next.0.saturating_sub(1)..snapshot.uid_next.0;
                self.session.select(ticket, Selection { snapshot, recent, has_unseen: true });
            }
            "page" => {
                let octets = maitred_testkit::transcript::unescape(rest);
                self.session.page(ticket, octets.into());
            }
            "accept" => self.session.accept(ticket),
            "appended" => self.session.appended(ticket, UidValidity(7), Uid(rest.parse().expect("a UID"))),
            "stored" => self.session.stored(ticket, &entries(rest)),
            "copied" => {
                let pair = |word: &str| {
                    let (from, to) = word.split_once('=').expect("FROM=TO");
                    (Uid(from.parse().expect("a UID")), Uid(to.parse().expect("a UID")))
                };
                let pairs: Vec<_> = rest.split_whitespace().map(pair).collect();
                self.session.copied(ticket, UidValidity(8), &pairs);
            }
            other => panic!("no answer {other:?}"),
        }
        self.pump();
    }

    pub fn pump(&mut self) {
        while !self.is_over {
            match self.session.poll(self.now) {
                Step::Send(octets) => self.take_output(&octets),
                Step::Event(event) => self.take_event(event),
                Step::StartTls => {
                    self.out.push_back(Out::Event("StartTls".into()));
                    self.input.clear();
                    return;
                }
                Step::Close => {
                    self.out.push_back(Out::Event("Close".into()));
                    self.is_over = true;
                }
                Step::Wait { .. } => {
                    if self.input.is_empty() {
                        return;
                    }
                    let taken = self.session.input(&self.input);
                    self.input.drain(..taken);
                    if taken == 0 {
                        return;
                    }
                }
            }
        }
    }

    pub fn is_asking(&self) -> bool {
        self.ticket.is_some()
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn take_output(&mut self, octets: &[u8]) {
        self.partial.extend_from_slice(octets);
        while let Some(at) = self.partial.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = self.partial.drain(..at + 2).collect();
            self.out.push_back(Out::Line(String::from_utf8_lossy(&line[..at]).into_owned()));
        }
    }

    fn take_event(&mut self, event: Event) {
        let (ticket, text) = in_words(event);
        if ticket.is_some() {
            assert!(self.ticket.is_none(), "two questions at once");
            self.ticket = ticket;
        }
        // Neighbouring chunks count as one: where they are cut does not matter.
        if let (Some(more), Some(Out::Event(before))) = (text.strip_prefix("Chunk "), self.out.back_mut())
            && before.starts_with("Chunk ")
        {
            before.push_str(more);
            return;
        }
        self.out.push_back(Out::Event(text));
    }
}

fn in_words(event: Event) -> (Option<Ticket>, String) {
    match event {
        Event::Authenticate { ticket, credentials, .. } => {
            let words = format!("Authenticate {} {}", credentials.authentication, credentials.password);
            (Some(ticket), words)
        }
        Event::Noop { ticket } => (Some(ticket), "Noop".to_owned()),
        Event::Select { ticket, mailbox, is_read_only } => {
            (Some(ticket), format!("{} {mailbox}", if is_read_only { "Examine" } else { "Select" }))
        }
        Event::Deselected => (None, "Deselected".to_owned()),
        Event::Create { ticket, mailbox } => (Some(ticket), format!("Create {mailbox}")),
        Event::Delete { ticket, mailbox } => (Some(ticket), format!("Delete {mailbox}")),
        Event::Rename { ticket, from, to } => (Some(ticket), format!("Rename {from} {to}")),
        Event::Subscribe { ticket, mailbox, is_subscribed } => {
            (Some(ticket), format!("{} {mailbox}", if is_subscribed { "Subscribe" } else { "Unsubscribe" }))
        }
        Event::List { ticket, list, is_lsub } => {
            let which = if is_lsub { "Lsub" } else { "List" };
            (Some(ticket), format!("{which} {:?} {:?}", list.reference, list.patterns))
        }
        Event::Status { ticket, mailbox, items } => (Some(ticket), format!("Status {mailbox} {items:?}")),
        Event::Append { ticket, append } => {
            (Some(ticket), format!("Append {} {:?} {}", append.mailbox, append.flags.keywords, append.octets))
        }
        Event::Chunk(octets) => (None, format!("Chunk {}", octets.escape_ascii())),
        Event::Abandoned => (None, "Abandoned".to_owned()),
        Event::Appended { ticket } => (Some(ticket), "Appended".to_owned()),
        Event::Fetch { ticket, messages, items, may_set_seen, .. } => {
            let mark = if may_set_seen { "" } else { " read-only" };
            (Some(ticket), format!("Fetch {} {items:?}{mark}", numbered(messages)))
        }
        Event::More { ticket } => (Some(ticket), "More".to_owned()),
        Event::Store { ticket, uids, operation, .. } => {
            let uids: Vec<_> = uids.iter().map(|uid| uid.0).collect();
            (Some(ticket), format!("Store {uids:?} {:?}", operation.action))
        }
        Event::Search { ticket, key, numbers, .. } => (Some(ticket), format!("Search {numbers:?} {key:?}")),
        Event::Copy { ticket, uids, to, is_move, .. } => {
            let uids: Vec<_> = uids.iter().map(|uid| uid.0).collect();
            (Some(ticket), format!("{} {uids:?} {to}", if is_move { "Move" } else { "Copy" }))
        }
        Event::Expunge { ticket, uids, .. } => {
            let uids = uids.map(|uids| uids.iter().map(|uid| uid.0).collect::<Vec<_>>());
            (Some(ticket), uids.map_or("Expunge".to_owned(), |uids| format!("Expunge {uids:?}")))
        }
        Event::Idle => (None, "Idle".to_owned()),
        Event::IdleEnded => (None, "IdleEnded".to_owned()),
    }
}

fn numbered(mut messages: Messages) -> String {
    let page = messages.next_page(usize::MAX);
    page.iter().map(|(seq, entry)| format!("{seq}={}", entry.uid)).collect::<Vec<_>>().join(",")
}

fn refusal(name: &str) -> Refusal {
    match name {
        "AlreadyExists" => Refusal::AlreadyExists,
        "BadName" => Refusal::BadName,
        "Expunged" => Refusal::Expunged,
        "Credentials" => Refusal::Credentials,
        "NoMailbox" => Refusal::NoMailbox,
        "NoDestination" => Refusal::NoDestination,
        "OverQuota" => Refusal::OverQuota,
        "Unavailable" => Refusal::Unavailable,
        other => panic!("no refusal {other:?}"),
    }
}

/// A mailbox in words: `3 5S 9SDk next=12` has three messages, flags by their first letter (T is `\Draft`), `k` a keyword.
pub fn snapshot(words: &str) -> Snapshot {
    let mut snapshot = Snapshot::new(MailboxId(1), UidValidity(7));
    for entry in entries(words) {
        snapshot.push(entry);
        snapshot.uid_next = Uid(entry.uid.0 + 1);
    }
    if words.contains('k') {
        snapshot.keyword_names = Arc::new(vec!["$k".into()]);
    }
    snapshot
}

fn entries(words: &str) -> Vec<Entry> {
    words.split_whitespace().map(entry).collect()
}

fn entry(word: &str) -> Entry {
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (uid, letters) = word.split_at(end);
    let flag = |letter| match letter {
        'A' => Flags::ANSWERED,
        'F' => Flags::FLAGGED,
        'D' => Flags::DELETED,
        'S' => Flags::SEEN,
        'T' => Flags::DRAFT,
        _ => Flags::default(),
    };
    Entry {
        uid: Uid(uid.parse().expect("a UID")),
        flags: letters.chars().fold(Flags::default(), |flags, letter| flags.with(flag(letter))),
        keywords: Keywords(u64::from(letters.contains('k'))),
        modseq: ModSeq(1),
    }
}
