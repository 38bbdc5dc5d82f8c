//! Everything outside: a DNS that is a table and counts questions, and servers that do as they are told.

use std::collections::HashMap;
use std::future::{Future, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use maitred_flow::{Arrival, Call, Conversation, DialError, Dialer, House, Receive};
use maitred_mail::Domain;
use maitred_mail::dns::{Answer, DnsError, Mx, Resolver};
use maitred_policy::Peer;
use maitred_smtp::client::Session;
use maitred_smtp::server;
use maitred_wire::{Engine as _, Handler as _, OverTls, Step};
use tokio::sync::Notify;

/// A message that a server has said yes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub at: String,
    pub from: String,
    pub to: Vec<String>,
    pub content: String,
    pub is_encrypted: bool,
}

/// How a server behaves.
#[derive(Clone)]
pub struct Host {
    offers: Vec<&'static str>,
    rules: Vec<Rule>,
    is_down: bool,
    cannot_shake: bool,
    messages_max: usize,
    mood: Option<Mood>,
    house: Option<Arc<House>>,
}

/// A server that answers as it likes.
#[derive(Clone)]
struct Mood {
    state: u64,
    /// How many of a hundred answers are not those that one would expect.
    percent: u64,
}

impl Mood {
    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn reply(&mut self, line: &str) -> Option<&'static str> {
        if self.next() % 100 >= self.percent {
            return None;
        }
        let all = [
            "250 2.0.0 Ok",
            "354 go on",
            "451 4.3.0 later",
            "452 4.5.3 too many",
            "550 5.1.1 never",
            "552 too many",
            "421 4.3.2 going down",
            "what?",
            "250-2.0.0 several\r\n250 2.0.0 lines",
            GONE,
        ];
        let reply = all[usize::try_from(self.next()).unwrap_or(0) % all.len()];
        // Who says that a message is taken has taken it.
        (line != "DATA" || !reply.starts_with('3')).then_some(reply)
    }
}

#[derive(Clone)]
struct Rule {
    prefix: &'static str,
    reply: &'static str,
    /// After so many that it does not apply to.
    skip: usize,
    is_once: bool,
}

/// Said instead of a reply: the connection is gone.
pub const GONE: &str = "";

impl Host {
    pub fn new() -> Self {
        Self {
            offers: vec!["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000"],
            rules: Vec::new(),
            is_down: false,
            cannot_shake: false,
            messages_max: usize::MAX,
            mood: None,
            house: None,
        }
    }

    /// It says this to every command that begins so; `.` is the end of data, and `CONNECT` the connection.
    pub fn says(self, prefix: &'static str, reply: &'static str) -> Self {
        self.rule(prefix, reply, 0, false)
    }

    /// The same, but to the first such command only.
    pub fn says_once(self, prefix: &'static str, reply: &'static str) -> Self {
        self.rule(prefix, reply, 0, true)
    }

    /// The same, but to the one after so many of them.
    pub fn says_after(self, skip: usize, prefix: &'static str, reply: &'static str) -> Self {
        self.rule(prefix, reply, skip, true)
    }

    fn rule(mut self, prefix: &'static str, reply: &'static str, skip: usize, is_once: bool) -> Self {
        self.rules.push(Rule { prefix, reply, skip, is_once });
        self
    }

    pub fn offers(mut self, keyword: &'static str) -> Self {
        self.offers.push(keyword);
        self
    }

    pub fn without(mut self, keyword: &str) -> Self {
        self.offers.retain(|offered| *offered != keyword);
        self
    }

    /// Nobody answers.
    pub fn down() -> Self {
        Self { is_down: true, ..Self::new() }
    }

    /// TLS does not come about.
    pub fn cannot_shake(self) -> Self {
        Self { cannot_shake: true, ..self }.offers("STARTTLS")
    }

    /// It closes after so many messages.
    pub fn closes_after(self, messages_max: usize) -> Self {
        Self { messages_max, ..self }
    }

    /// It answers as it likes, so many times of a hundred.
    pub fn moody(seed: u64, percent: u64) -> Self {
        Self { mood: Some(Mood { state: seed, percent }), ..Self::new() }
    }

    /// Our own server, in another house.
    pub fn house(house: Arc<House>) -> Self {
        Self { house: Some(house), ..Self::new() }
    }
}

#[derive(Default)]
pub struct World(Mutex<State>);

#[derive(Default)]
struct State {
    mx: HashMap<Domain, Result<Vec<Mx>, DnsError>>,
    ip: HashMap<Domain, Result<Vec<IpAddr>, DnsError>>,
    hosts: HashMap<IpAddr, Host>,
    questions: usize,
    /// One for each connection: whom, and what was said to it.
    calls: Vec<(Call, Vec<String>)>,
    received: Vec<Received>,
    gate: Option<Arc<Gate>>,
}

/// Where a conversation stops until it may go on.
pub struct Gate {
    before: &'static str,
    pub reached: Notify,
    pub open: Notify,
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The next conversation stops before it says this.
    pub fn gate(&self, before: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate { before, reached: Notify::new(), open: Notify::new() });
        self.state().gate = Some(Arc::clone(&gate));
        gate
    }

    async fn pass_gate(&self, octets: &[u8]) {
        let gate = {
            let mut state = self.state();
            let is_there = |gate: &mut Arc<Gate>| octets.starts_with(gate.before.as_bytes());
            state.gate.take_if(is_there)
        };
        if let Some(gate) = gate {
            gate.reached.notify_one();
            gate.open.notified().await;
        }
    }

    /// `.` is the root: no mail.
    pub fn has_mx(&self, domain: &str, records: &[(u16, &str)]) {
        let exchange = |name: &str| (name != ".").then(|| Domain::parse(name).unwrap());
        let records =
            records.iter().map(|(preference, name)| Mx { preference: *preference, exchange: exchange(name) });
        self.answers_mx(domain, Ok(records.collect()));
    }

    pub fn answers_mx(&self, domain: &str, answer: Result<Vec<Mx>, DnsError>) {
        self.state().mx.insert(Domain::parse(domain).unwrap(), answer);
    }

    /// With a server that takes everything, if there is none yet.
    pub fn has_address(&self, name: &str, ip: &str) {
        let ip: IpAddr = ip.parse().unwrap();
        self.answers_ip(name, Ok(vec![ip]));
        self.state().hosts.entry(ip).or_insert_with(Host::new);
    }

    pub fn answers_ip(&self, name: &str, answer: Result<Vec<IpAddr>, DnsError>) {
        self.state().ip.insert(Domain::parse(name).unwrap(), answer);
    }

    pub fn host(&self, ip: &str, host: Host) {
        self.state().hosts.insert(ip.parse().unwrap(), host);
    }

    pub fn questions(&self) -> usize {
        self.state().questions
    }

    /// Whom we called, oldest first.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.iter().map(|(call, _)| call.to.ip().to_string()).collect()
    }

    pub fn last_call(&self) -> Call {
        self.state().calls.last().unwrap().0.clone()
    }

    /// What we said on this connection, counted from 0; of messages only their ends.
    pub fn said(&self, connection: usize) -> Vec<String> {
        self.state().calls[connection].1.clone()
    }

    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }
}

fn answer<T: Clone + Send + 'static>(
    state: &mut State,
    table: impl Fn(&State) -> Option<Result<T, DnsError>>,
) -> Answer<'static, T> {
    state.questions += 1;
    Box::pin(ready(table(state).unwrap_or(Err(DnsError::NoSuchName))))
}

impl Resolver for World {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Vec<Mx>> {
        answer(&mut self.state(), |state| state.mx.get(domain).cloned())
    }

    fn ip<'a>(&'a self, host: &'a Domain) -> Answer<'a, Vec<IpAddr>> {
        answer(&mut self.state(), |state| state.ip.get(host).cloned())
    }

    fn ptr(&self, _: IpAddr) -> Answer<'_, Vec<Domain>> {
        Box::pin(ready(Err(DnsError::NoRecord)))
    }

    fn txt<'a>(&'a self, _: &'a Domain) -> Answer<'a, Vec<String>> {
        Box::pin(ready(Err(DnsError::NoRecord)))
    }

    fn listed<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<std::net::Ipv4Addr>> {
        Box::pin(ready(Err(DnsError::NoSuchName)))
    }
}

impl Dialer for World {
    fn converse<'a>(
        &'a self,
        call: &'a Call,
        engine: &'a mut Session,
        conversation: &'a mut Conversation,
    ) -> Pin<Box<dyn Future<Output = Result<(), DialError>> + Send + 'a>> {
        Box::pin(async move {
            let (number, host) = {
                let mut state = self.state();
                state.calls.push((call.clone(), Vec::new()));
                (state.calls.len() - 1, state.hosts.get(&call.to.ip()).cloned())
            };
            let Some(host) = host.filter(|host| !host.is_down) else {
                return Err(DialError::Connect(format!("{}: refused", call.to)));
            };
            let cannot_shake = host.cannot_shake;
            let mut server = match host.house {
                Some(house) => Server::ours(house),
                None => Server::Scripted(Scripted::new(call, number)),
            };
            server.take(self, b"").await;
            loop {
                match engine.poll(Instant::now()) {
                    Step::Send(octets) => {
                        self.pass_gate(&octets).await;
                        server.take(self, &octets).await;
                    }
                    Step::Event(event) => conversation.handle(engine, event).await,
                    Step::StartTls if cannot_shake => {
                        conversation.closed(engine).await;
                        return Err(DialError::Handshake("no cipher in common".into()));
                    }
                    Step::StartTls => {
                        engine.secured(over_tls());
                        server.secured(self).await;
                    }
                    Step::Close => break,
                    Step::Wait { .. } => {
                        let (out, is_closed) = server.out();
                        assert!(!out.is_empty() || is_closed, "both sides wait");
                        let taken = engine.input(out);
                        out.drain(..taken);
                    }
                }
            }
            conversation.closed(engine).await;
            Ok(())
        })
    }
}

fn over_tls() -> OverTls {
    OverTls::after_handshake("TLSv1.3".into(), "TLS_AES_128_GCM_SHA256".into(), None, true)
}

enum Server {
    Scripted(Scripted),
    Ours { session: Box<server::Session>, handler: Box<Receive>, out: Vec<u8>, is_closed: bool },
}

impl Server {
    fn ours(house: Arc<House>) -> Self {
        let config = server::Config::new(server::Mode::Smtp, "mx.b.test");
        let arrival = Arrival {
            session: 1,
            peer: Peer { remote: "192.0.2.1:4025".parse().unwrap(), local: "192.0.2.10:25".parse().unwrap() },
            listener: "smtp",
            mode: server::Mode::Smtp,
            may_relay: false,
        };
        let handler = Box::new(Receive::new(house, &arrival));
        let session = Box::new(server::Session::new(Arc::new(config)));
        Self::Ours { session, handler, out: Vec::new(), is_closed: false }
    }

    fn out(&mut self) -> (&mut Vec<u8>, bool) {
        match self {
            Self::Scripted(server) => (&mut server.out, server.is_closed),
            Self::Ours { out, is_closed, .. } => (out, *is_closed),
        }
    }

    async fn secured(&mut self, world: &World) {
        match self {
            Self::Scripted(server) => server.is_encrypted = true,
            Self::Ours { session, .. } => session.secured(over_tls()),
        }
        self.take(world, b"").await;
    }

    async fn take(&mut self, world: &World, octets: &[u8]) {
        let (session, handler, out, is_closed) = match self {
            Self::Scripted(server) => return server.take(world, octets),
            Self::Ours { session, handler, out, is_closed } => (session, handler, out, is_closed),
        };
        let mut rest = octets;
        loop {
            match session.poll(Instant::now()) {
                Step::Send(octets) => out.extend_from_slice(&octets),
                Step::Event(event) => handler.handle(session, event).await,
                Step::Wait { .. } if !rest.is_empty() => rest = &rest[session.input(rest)..],
                Step::Wait { .. } | Step::StartTls => return,
                Step::Close => {
                    *is_closed = true;
                    return;
                }
            }
        }
    }
}

/// A server that does as it is told.
struct Scripted {
    ip: IpAddr,
    number: usize,
    unread: Vec<u8>,
    out: Vec<u8>,
    is_closed: bool,
    is_encrypted: bool,
    is_new: bool,
    messages: usize,
    from: String,
    to: Vec<String>,
    content: Option<String>,
}

impl Scripted {
    fn new(call: &Call, number: usize) -> Self {
        Self {
            ip: call.to.ip(),
            number,
            unread: Vec::new(),
            out: Vec::new(),
            is_closed: false,
            is_encrypted: false,
            is_new: true,
            messages: 0,
            from: String::new(),
            to: Vec::new(),
            content: None,
        }
    }

    fn take(&mut self, world: &World, octets: &[u8]) {
        if std::mem::take(&mut self.is_new) {
            self.answer(&mut world.state(), "CONNECT");
        }
        self.unread.extend_from_slice(octets);
        while let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
            if self.is_closed {
                return;
            }
            let line: Vec<u8> = self.unread.drain(..end + 2).take(end).collect();
            let line = String::from_utf8(line).unwrap();
            match &mut self.content {
                Some(content) if line != "." => {
                    *content += line.strip_prefix('.').unwrap_or(&line);
                    *content += "\r\n";
                }
                _ => self.answer(&mut world.state(), &line),
            }
        }
    }

    fn answer(&mut self, state: &mut State, line: &str) {
        if line != "CONNECT" {
            state.calls[self.number].1.push(line.to_owned());
        }
        let host = state.hosts.get_mut(&self.ip).unwrap();
        let rule = host.rules.iter().position(|rule| line.starts_with(rule.prefix));
        let reply = match rule {
            Some(at) if host.rules[at].skip > 0 => {
                host.rules[at].skip -= 1;
                self.default_reply(host, line)
            }
            Some(at) if host.rules[at].is_once => host.rules.remove(at).reply.to_owned(),
            Some(at) => host.rules[at].reply.to_owned(),
            None => match host.mood.as_mut().and_then(|mood| mood.reply(line)) {
                Some(reply) => reply.to_owned(),
                None => self.default_reply(host, line),
            },
        };
        if reply == GONE {
            self.is_closed = true;
            return;
        }
        self.out.extend_from_slice(format!("{reply}\r\n").as_bytes());
        let is_positive = reply.starts_with('2');
        match line.split([' ', ':']).next().unwrap() {
            "MAIL" if is_positive => (self.from, self.to) = (line.to_owned(), Vec::new()),
            "MAIL" | "RSET" => (self.from, self.to) = (String::new(), Vec::new()),
            "RCPT" if is_positive => self.to.push(line.trim_start_matches("RCPT TO:").to_owned()),
            "DATA" if reply.starts_with('3') => self.content = Some(String::new()),
            "." => {
                let content = self.content.take().unwrap();
                let from = std::mem::take(&mut self.from);
                if is_positive {
                    self.messages += 1;
                    state.received.push(Received {
                        at: self.ip.to_string(),
                        from,
                        to: std::mem::take(&mut self.to),
                        content,
                        is_encrypted: self.is_encrypted,
                    });
                }
                self.is_closed = self.messages >= state.hosts[&self.ip].messages_max;
            }
            _ => {}
        }
        self.is_closed |= line == "QUIT" || reply.starts_with("421");
    }

    fn default_reply(&self, host: &Host, line: &str) -> String {
        match line.split([' ', ':']).next().unwrap() {
            "CONNECT" => "220 b ESMTP".to_owned(),
            "EHLO" => {
                let offers = host.offers.iter().filter(|offer| !self.is_encrypted || **offer != "STARTTLS");
                offers.fold("250-b".to_owned(), |reply, offer| reply + "\r\n250-" + offer) + "\r\n250 HELP"
            }
            "RCPT" if self.from.is_empty() => "503 5.5.1 MAIL first".to_owned(),
            "DATA" if self.to.is_empty() => "554 5.5.1 No valid recipients".to_owned(),
            "DATA" => "354 Go on".to_owned(),
            "AUTH" => "235 2.7.0 Welcome".to_owned(),
            "STARTTLS" | "QUIT" => "220 2.0.0 Yes".to_owned(),
            _ => "250 2.0.0 Ok".to_owned(),
        }
    }
}
