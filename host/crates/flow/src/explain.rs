//! How mail would travel: the chain of plugins is asked with its effects void, aliases and routes are looked at, nothing is sent.
//!
//! For `maitred explain`. What plugins change of the header section is seen by the next one; the body stays as it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{Address, Body, Envelope, ForwardPath, MailParameters, Recipient, ReversePath};
use maitred_policy::facts::Notes;
use maitred_policy::{
    Answer, Called, Chain, Direction, Edit, Findings, Hook, HookCall, LoginFacts, MessageFacts, Original,
    Peer, Resolution, SessionFacts, TransactionFacts,
};
use maitred_queue::Unit;
use serde::{Deserialize, Serialize};

use crate::head;
use crate::relay::Relay;
use crate::resolve::{self, Place};

/// Which mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// For whom.
    pub to: Address,
    /// From whom; `None`: the null reverse-path.
    pub from: Option<Address>,
    /// From which client.
    pub ip: IpAddr,
    /// What it says in EHLO.
    pub helo: String,
    /// Who is logged in.
    pub login: Option<Address>,
    /// The message, with LF or CRLF; a short one without.
    pub message: Option<String>,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// `connect`, `resolve`, `message`, … or `alias`, `deliver`, `route`.
    pub stage: &'static str,
    /// Which plugin, as `rules 1.0.0@0123abcd`; nothing for the server itself.
    pub plugin: Option<String>,
    /// What comes of it, on one line.
    pub says: String,
    /// Microseconds.
    pub elapsed_us: u64,
}

/// The way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Each step.
    pub stages: Vec<Stage>,
    /// It ends before delivery.
    pub is_refused: bool,
}

impl Explanation {
    fn note(&mut self, stage: &'static str, says: impl Into<String>) {
        self.stages.push(Stage { stage, plugin: None, says: says.into(), elapsed_us: 0 });
    }

    /// Asks every plugin of a hook until one decides; what it answered then.
    async fn ask(&mut self, chain: &Chain, session: &SessionFacts, call: HookCall<'_>) -> Option<Answer> {
        let hook = call.hook();
        for plugin in chain.of(hook) {
            let called = plugin.rehearse(session, call).await;
            self.tell(hook, plugin.name(), &called);
            if let Some(answer) = called.answer.ok().filter(|answer| !answer.is_next()) {
                return Some(answer);
            }
        }
        None
    }

    fn tell(&mut self, hook: Hook, plugin: &str, called: &Called) {
        let says = match &called.answer {
            Ok(answer) => answer.summary(),
            Err(fault) => format!("fault: {fault}"),
        };
        self.stages.push(Stage {
            stage: hook.name(),
            plugin: Some(format!("{plugin} {}", called.version)),
            says,
            elapsed_us: u64::try_from(called.elapsed.as_micros()).unwrap_or(u64::MAX),
        });
    }

    fn is_refusal(&mut self, answer: Option<&Answer>) -> bool {
        let refuses = ["reject", "tempfail", "disconnect", "discard"];
        let is_refused = answer.is_some_and(|answer| refuses.contains(&answer.name()));
        self.is_refused |= is_refused;
        is_refused
    }
}

impl Relay {
    /// How this mail would travel now.
    pub async fn explain(&self, inquiry: &Inquiry) -> Explanation {
        let mut explanation = Explanation::default();
        let house = &self.house;
        let chain = (house.chains)();
        let reverse_path = inquiry.from.clone().map_or(ReversePath::Null, ReversePath::Address);
        let mut session = session(inquiry, house.now());
        for call in [HookCall::Connect, HookCall::Helo(&inquiry.helo), HookCall::Mail(&reverse_path)] {
            if call.hook() == Hook::Mail {
                session.transaction = Some(TransactionFacts {
                    id: house.store.next_message_id(),
                    reverse_path: reverse_path.clone(),
                    size: None,
                    recipients: Arc::default(),
                });
            }
            let answer = explanation.ask(&chain, &session, call).await;
            if explanation.is_refusal(answer.as_ref()) {
                return explanation;
            }
        }
        let Some(place) =
            self.explain_place(&mut explanation, &chain, &session, (&reverse_path, inquiry)).await
        else {
            explanation.is_refused = true;
            return explanation;
        };
        let answer = explanation.ask(&chain, &session, HookCall::Rcpt(&reverse_path, &place.recipient)).await;
        if explanation.is_refusal(answer.as_ref()) {
            return explanation;
        }
        let mut message = message(inquiry, &session, &reverse_path, &place.recipient);
        let headers = MessageFacts { body: Arc::new(Bytes::new()), ..message.clone() };
        let answer = explanation.ask(&chain, &session, HookCall::Headers(&headers)).await;
        if explanation.is_refusal(answer.as_ref()) {
            return explanation;
        }
        if explain_message(&mut explanation, &chain, &session, &mut message).await {
            return explanation;
        }
        self.explain_delivery(&mut explanation, &chain, &session, (&message, &place)).await;
        explanation
    }

    async fn explain_place(
        &self,
        explanation: &mut Explanation,
        chain: &Chain,
        session: &SessionFacts,
        (reverse_path, inquiry): (&ReversePath, &Inquiry),
    ) -> Option<Place> {
        let directory = self.house.store.directory();
        let to = &inquiry.to;
        if directory.is_local(to.domain()) || session.may_relay {
            let answer = explanation.ask(chain, session, HookCall::Resolve(reverse_path, to)).await;
            match answer {
                Some(Answer::Resolution(Resolution::Rewrite(others))) => {
                    let place = resolve::rewritten(&directory, &self.house.config, to, &others);
                    return place.map_err(|refusal| explanation.note("alias", refused(&refusal))).ok();
                }
                Some(_) => return None,
                None => {}
            }
        }
        let path = ForwardPath::Address(to.clone());
        match resolve::place(&directory, &self.house.config, &path, session.may_relay) {
            Ok(place) => {
                let accounts = place
                    .accounts
                    .iter()
                    .map(|(_, address)| format!("account {}", directory.own_address(address)));
                let remote = place.remote.iter().map(|address| format!("elsewhere {address}"));
                let all: Vec<String> = accounts.chain(remote).collect();
                explanation.note("alias", format!("{to} leads to {}", all.join(", ")));
                Some(place)
            }
            Err(refusal) => {
                explanation.note("alias", refused(&refusal));
                None
            }
        }
    }

    async fn explain_delivery(
        &self,
        explanation: &mut Explanation,
        chain: &Chain,
        session: &SessionFacts,
        (message, place): (&MessageFacts, &Place),
    ) {
        let directory = self.house.store.directory();
        for (_, address) in &place.accounts {
            let own = directory.own_address(address);
            let asked = Recipient { address: address.clone(), original: place.recipient.original.clone() };
            let answer = explanation.ask(chain, session, HookCall::Deliver(message, &asked, &own)).await;
            if answer.is_none() {
                explanation.note("deliver", format!("{own}: INBOX, or where the filters have placed it"));
            }
        }
        for address in &place.remote {
            let unit = Unit {
                id: message.id,
                domain: address.domain().clone(),
                recipients: vec![Recipient { address: address.clone(), original: None }],
                reverse_path: message.envelope.reverse_path.clone(),
                parameters: MailParameters::default(),
                accepted: self.house.now(),
            };
            let found = self.hops(&self.router(), &unit).await;
            let told = match &found {
                Ok(hops) => {
                    let hops: Vec<String> = hops
                        .iter()
                        .map(|hop| format!("{}:{} TLS {:?}", hop.host, hop.port, hop.tls))
                        .collect();
                    format!("{}: {}", address.domain(), hops.join(", "))
                }
                Err(error) => format!("{}: {error}", address.domain()),
            };
            let hops: Vec<_> = found.unwrap_or_default();
            let candidates: Vec<_> = hops.iter().map(crate::relay::to_hop).collect();
            let call = HookCall::Route(message, address.domain(), &candidates);
            if explanation.ask(chain, session, call).await.is_none() {
                explanation.note("route", told);
            }
        }
    }
}

/// True when it ends there. Each plugin sees what the one before left.
async fn explain_message(
    explanation: &mut Explanation,
    chain: &Chain,
    session: &SessionFacts,
    message: &mut MessageFacts,
) -> bool {
    for plugin in chain.of(Hook::Message) {
        let seen = message.clone();
        let called = plugin.rehearse(session, HookCall::Message(&seen)).await;
        let answer = called.answer.clone().ok();
        explanation.tell(Hook::Message, plugin.name(), &called);
        if let Some(Answer::Filter(decision)) = &answer {
            for edit in &decision.edits {
                match edit {
                    Edit::Symbol { name, score, .. } => message.symbols.push((name.clone(), *score)),
                    Edit::Tag(name, value) => message.tags.push((name.clone(), value.clone())),
                    other => message.head = head::edited(&message.head, other),
                }
            }
        }
        if explanation.is_refusal(answer.as_ref()) {
            return true;
        }
        if answer.is_some_and(|answer| !answer.is_next()) {
            break;
        }
    }
    false
}

fn session(inquiry: &Inquiry, now: maitred_mail::Timestamp) -> SessionFacts {
    SessionFacts {
        id: "explain".to_owned(),
        listener: if inquiry.login.is_some() { "submission" } else { "smtp" }.to_owned(),
        direction: if inquiry.login.is_some() { Direction::Submission } else { Direction::Inbound },
        peer: Peer {
            remote: SocketAddr::new(inquiry.ip, 40_000),
            local: SocketAddr::from(([127, 0, 0, 1], 25)),
        },
        helo: Some(inquiry.helo.clone()),
        tls: None,
        login: inquiry.login.as_ref().map(|address| LoginFacts {
            mechanism: "PLAIN".to_owned(),
            identity: address.to_string(),
            has_succeeded: true,
        }),
        may_relay: inquiry.login.is_some(),
        transaction: None,
        started: now,
        notes: Notes::default(),
        findings: Findings::default(),
    }
}

fn message(
    inquiry: &Inquiry,
    session: &SessionFacts,
    reverse_path: &ReversePath,
    to: &Recipient,
) -> MessageFacts {
    let text = inquiry.message.clone().unwrap_or_else(|| {
        let from = inquiry.from.as_ref().map_or_else(|| "nobody@invalid".to_owned(), ToString::to_string);
        format!("From: <{from}>\nTo: <{}>\nSubject: a question\n\nHow would this travel?\n", inquiry.to)
    });
    let octets = Bytes::from(text.replace("\r\n", "\n").replace('\n', "\r\n"));
    let end = memchr::memmem::find(&octets, b"\r\n\r\n").map(|at| at + 2);
    let (head, body) = match end {
        Some(end) => (octets.slice(..end), octets.slice(end + 2..)),
        None => (octets.clone(), Bytes::new()),
    };
    let body: Arc<dyn Body> = Arc::new(body);
    MessageFacts {
        id: session.transaction.as_ref().map_or(maitred_mail::MessageId(0), |of| of.id),
        envelope: Arc::new(Envelope {
            reverse_path: reverse_path.clone(),
            parameters: MailParameters::default(),
            recipients: vec![to.clone()],
        }),
        structure: None,
        original: Some(Original { head: head.clone(), body: Arc::clone(&body) }),
        head,
        body,
        symbols: Vec::new(),
        tags: Vec::new(),
    }
}

fn refused(refusal: &maitred_smtp::Refusal) -> String {
    format!("refused: {} {}", refusal.status, refusal.text)
}
