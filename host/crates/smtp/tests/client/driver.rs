//! A driver without sockets: what the engine says and asks, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_mail::{Address, BodyType, MailParameters, ReversePath};
use maitred_smtp::client::{Config, Event, Fate, Letter, Limits, Login, Session, TlsUse};
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
    input: Vec<u8>,
    partial: Vec<u8>,
    now: Instant,
    pub is_over: bool,
}

pub fn config(words: &str) -> Config {
    let mut config = Config {
        hostname: "c.test".to_owned(),
        tls: TlsUse::IfOffered,
        login: None,
        limits: Limits::default(),
    };
    for word in words.split_whitespace() {
        match word {
            "plain" => config.tls = TlsUse::Never,
            "require" => config.tls = TlsUse::Required,
            "login" => config.login = Some(Login { username: "u".into(), password: "p".into() }),
            "default" => {}
            "two" => config.limits.recipients_max = 2,
            other => panic!("no setting {other}"),
        }
    }
    config
}

impl Driver {
    pub fn new(config: Config) -> Self {
        let mut driver = Self {
            session: Session::new(Arc::new(config)),
            out: VecDeque::new(),
            ticket: None,
            input: Vec::new(),
            partial: Vec::new(),
            now: Instant::now(),
            is_over: false,
        };
        driver.pump();
        driver
    }

    pub fn send(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        self.pump();
    }

    pub fn hang_up(&mut self) {
        self.session.input(b"");
        self.pump();
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pump();
    }

    /// `to a,b [utf8] [8bit] [octets=n]`, `text …`, `end`, `quit`, `abort`, `tls`.
    pub fn answer(&mut self, text: &str) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        if word == "tls" {
            let tls =
                OverTls::after_handshake("TLSv1.3".into(), "TLS_AES_128_GCM_SHA256".into(), None, false);
            // As every driver of engines does.
            self.input.clear();
            self.session.secured(tls);
            return self.pump();
        }
        let ticket = self.ticket.take().expect("an open question");
        match word {
            "to" => self.session.begin(&ticket, letter(rest)),
            "text" => {
                let octets = maitred_testkit::transcript::unescape(rest);
                self.session.content(&ticket, &Bytes::from(octets));
            }
            "end" => self.session.content(&ticket, &Bytes::new()),
            "quit" => self.session.quit(&ticket),
            "abort" => self.session.abort(&ticket),
            other => panic!("no answer {other}"),
        }
        self.pump();
    }

    fn pump(&mut self) {
        while !self.is_over {
            match self.session.poll(self.now) {
                Step::Send(octets) => {
                    self.partial.extend_from_slice(&octets);
                    while let Some(end) = self.partial.windows(2).position(|pair| pair == b"\r\n") {
                        let line: Vec<u8> = self.partial.drain(..end + 2).collect();
                        self.out.push_back(Out::Line(String::from_utf8_lossy(&line[..end]).into_owned()));
                    }
                }
                Step::Event(event) => {
                    let text = self.describe(event);
                    self.out.push_back(Out::Event(text));
                }
                Step::StartTls => {
                    self.out.push_back(Out::Event("StartTls".into()));
                    return;
                }
                Step::Close => {
                    self.out.push_back(Out::Event("Close".into()));
                    self.is_over = true;
                }
                Step::Wait { .. } => {
                    // An empty piece would be the end of the connection.
                    let taken = if self.input.is_empty() { 0 } else { self.session.input(&self.input) };
                    if taken == 0 {
                        return;
                    }
                    self.input.drain(..taken);
                }
            }
        }
    }

    fn describe(&mut self, event: Event) -> String {
        match event {
            Event::Ready { ticket } => {
                self.ticket = Some(ticket);
                "Ready".to_owned()
            }
            Event::Content { ticket, offset, .. } => {
                self.ticket = Some(ticket);
                format!("Content {offset}")
            }
            Event::Settled(fates) => {
                let words: Vec<_> = fates.iter().map(fate).collect();
                format!("Settled {}", words.join(", "))
            }
            Event::Failed(failure) => format!("Failed {}", failure.status),
        }
    }
}

fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Accepted(reply) => format!("accepted {}", reply.code()),
        Fate::Refused(reply) => format!("refused {}", reply.code()),
        Fate::Unfit(failure) => format!("unfit {}", failure.status),
        Fate::NotTried => "not tried".to_owned(),
        Fate::Lost(failure) => format!("lost {}", failure.status),
    }
}

fn letter(words: &str) -> Letter {
    let mut words = words.split(' ');
    let recipients =
        words.next().unwrap().split(',').map(|name| Address::parse(&format!("{name}@b.test")).unwrap());
    let mut letter = Letter {
        reverse_path: ReversePath::Address(Address::parse("a@a.test").unwrap()),
        parameters: MailParameters::default(),
        recipients: recipients.collect(),
        octets: 5,
    };
    for word in words {
        match word {
            "utf8" => letter.parameters.is_smtputf8 = true,
            "8bit" => letter.parameters.body = BodyType::EightBitMime,
            other => letter.octets = other.strip_prefix("octets=").unwrap().parse().unwrap(),
        }
    }
    letter
}
