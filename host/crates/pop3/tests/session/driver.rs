//! A driver without sockets: what the engine says and asks, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_mail::{AccountId, Address, Authenticated, Durable, Uid, UidValidity};
use maitred_pop3::{Config, Event, Maildrop, Refusal, Session};
use maitred_testkit::transcript::unescape;
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
    /// What a login finds.
    pub maildrop: Maildrop,
    ticket: Option<Ticket>,
    partial: Vec<u8>,
    input: Vec<u8>,
    now: Instant,
    is_over: bool,
}

impl Driver {
    pub fn new(config: Config, octets: &[u64]) -> Self {
        let mut maildrop = Maildrop::new(UidValidity(7), 0);
        for (uid, octets) in (1..).zip(octets) {
            maildrop.push(Uid(uid * 10), *octets);
        }
        Self {
            session: Session::new(Arc::new(config)),
            out: VecDeque::new(),
            maildrop,
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
    }

    /// Answers the last event that asked, as a transcript writes it.
    pub fn answer(&mut self, answer: &str) {
        let (verb, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        if verb == "delay" {
            return self.session.delay(Duration::from_secs(rest.parse().expect("seconds")));
        }
        let ticket = self.ticket.take().expect("no event asked");
        match (verb, rest) {
            ("login", _) => {
                let address = Address::parse("mrose@mx.test").expect("an address");
                let login = Authenticated::after_verification(AccountId(1), address);
                self.session.authenticate(ticket, login, self.maildrop.clone());
            }
            ("content", text) => self.session.content(ticket, &unescape(text)),
            ("updated", "") => self.session.updated(ticket, None),
            ("updated", _) => self.session.updated(ticket, Some(Durable::after_sync())),
            ("refuse", why) => self.session.refuse(ticket, refusal(why)),
            (other, _) => panic!("no answer {other:?}"),
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
                    // What came behind STLS would go to the handshake.
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

    /// Responses of one line are sent whole; contents are cut anywhere.
    fn take_output(&mut self, octets: &[u8]) {
        self.partial.extend_from_slice(octets);
        while let Some(end) = self.partial.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = self.partial.drain(..end + 2).take(end).collect();
            assert!(line.len() <= 510);
            self.out.push_back(Out::Line(line.escape_ascii().to_string()));
        }
    }

    fn take_event(&mut self, event: Event) {
        let (ticket, text) = match event {
            Event::Authenticate { ticket, mechanism, credentials } => {
                let mechanism = mechanism.map_or("USER", maitred_wire::sasl::Mechanism::name);
                let (name, password) = (credentials.authentication, credentials.password);
                (Some(ticket), format!("Authenticate {mechanism} {name} {password}"))
            }
            Event::Content { ticket, uid, offset, octets_max } => {
                (Some(ticket), format!("Content {uid} {offset} {octets_max}"))
            }
            Event::Retrieved(uid) => (None, format!("Retrieved {uid}")),
            Event::Update { ticket, uids } => {
                let uids: Vec<u32> = uids.iter().map(|uid| uid.0).collect();
                (Some(ticket), format!("Update {uids:?}"))
            }
        };
        if ticket.is_some() {
            assert!(self.ticket.is_none(), "two questions at once");
            self.ticket = ticket;
        }
        self.out.push_back(Out::Event(text));
    }

    pub fn is_asking(&self) -> bool {
        self.ticket.is_some()
    }

    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

fn refusal(why: &str) -> Refusal {
    match why {
        "in-use" => Refusal::InUse,
        "wrong-login" => Refusal::WrongLogin,
        "too-many-logins" => Refusal::TooManyLogins,
        "no-message" => Refusal::NoMessage,
        "temporary" => Refusal::Temporary,
        "permanent" => Refusal::Permanent,
        other => panic!("no refusal {other:?}"),
    }
}
