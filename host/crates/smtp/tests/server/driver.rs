//! A driver without sockets: what the engine says and asks, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maitred_mail::{AccountId, Address, Authenticated, Durable, EnhancedStatus, MessageId};
use maitred_smtp::Refusal;
use maitred_smtp::server::{Config, Event, Session, Settled};
use maitred_wire::{Engine as _, OverTls, Step, Ticket};

/// What came out of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// A line of a reply, without CRLF.
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
    }

    /// Answers the last event that asked, as a transcript writes it.
    pub fn answer(&mut self, answer: &str) {
        let (verb, rest) = answer.split_once(' ').unwrap_or((answer, ""));
        let refusal = |text: &str| {
            let (status, text) = text.split_once(' ').unwrap_or((text, "no"));
            Refusal::new(EnhancedStatus::parse(status).expect("a status"), text)
        };
        if verb == "delay" {
            return self.session.delay(Duration::from_secs(rest.parse().expect("seconds")));
        }
        let ticket = self.ticket.take().expect("no event asked");
        let stored = |refused| Settled::Stored { durable: Durable::after_sync(), id: MessageId(1), refused };
        match verb {
            "accept" => self.session.accept(ticket),
            "refuse" => self.session.refuse(ticket, &refusal(rest)),
            "disconnect" => self.session.disconnect(ticket, &refusal(rest)),
            "login" => {
                let address = Address::parse(rest).expect("an address");
                self.session.authenticate(ticket, Authenticated::after_verification(AccountId(1), address));
            }
            "store" if rest.is_empty() => self.session.settle(ticket, &stored(Vec::new())),
            "store" => {
                let (number, text) = rest.split_once(' ').expect("store NUMBER STATUS");
                let refused = vec![(number.parse().expect("a number"), refusal(text))];
                self.session.settle(ticket, &stored(refused));
            }
            "discard" => self.session.settle(ticket, &Settled::Discarded { id: MessageId(1) }),
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

    fn take_output(&mut self, octets: &[u8]) {
        self.partial.extend_from_slice(octets);
        assert!(self.partial.ends_with(b"\r\n"), "a reply is sent whole");
        let text = String::from_utf8(std::mem::take(&mut self.partial)).expect("replies are ASCII");
        self.out.extend(text.split_terminator("\r\n").map(|line| {
            assert!(line.len() <= 510 && line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{line:?}");
            Out::Line(line.to_owned())
        }));
    }

    fn take_event(&mut self, event: Event) {
        let (ticket, text) = match event {
            Event::Connected { ticket } => (Some(ticket), "Connected".to_owned()),
            Event::Hello { ticket, name, is_extended } => {
                (Some(ticket), format!("Hello {name}{}", if is_extended { "" } else { " (old)" }))
            }
            Event::Authenticate { ticket, mechanism, credentials } => {
                let text = format!(
                    "Authenticate {} {} {}",
                    mechanism.name(),
                    credentials.authentication,
                    credentials.password
                );
                (Some(ticket), text)
            }
            Event::Mail { ticket, reverse_path, parameters } => {
                let mut text = format!("Mail {reverse_path}");
                if let Some(size) = parameters.size {
                    text += &format!(" SIZE={size}");
                }
                (Some(ticket), text)
            }
            Event::Rcpt { ticket, forward_path } => (Some(ticket), format!("Rcpt {forward_path}")),
            Event::Data { ticket } => (Some(ticket), "Data".to_owned()),
            Event::Chunk(octets) => {
                // Neighbouring chunks count as one: where they are cut does not matter.
                let text = octets.escape_ascii().to_string();
                if let Some(Out::Event(before)) = self.out.back_mut()
                    && before.starts_with("Chunk ")
                {
                    before.push_str(&text);
                    return;
                }
                (None, format!("Chunk {text}"))
            }
            Event::EndOfData { ticket, octets } => (Some(ticket), format!("EndOfData {octets}")),
            Event::Reset => (None, "Reset".to_owned()),
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
