//! One question to a plugin as JSON: what fixtures are written in and recordings are made of.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use maitred_mail::{
    Address, Class, Domain, EnhancedStatus, Envelope, MailParameters, MessageId, Recipient, ReversePath,
    Timestamp,
};
use maitred_policy::facts::{Notes, plain};
use maitred_policy::{
    Direction, Findings, Hop, HopHost, HopTls, LoginAttempt, LoginFacts, LoginProtocol, MailboxChange,
    MailboxFacts, MessageFacts, OutcomeFacts, OutcomeKind, Peer, Question, SessionFacts, TlsFacts,
    TransactionFacts,
};
use serde::{Deserialize, Serialize};

/// A question. What a hook does not need is left out; what it needs and is not given has the defaults of [`SessionStep`] and below.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Which hook.
    pub hook: String,
    /// The session.
    pub session: SessionStep,
    /// What the client says in HELO: `helo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// MAIL FROM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The recipient that is asked about: `rcpt`, `resolve`, `deliver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// As first given: `rcpt`, `deliver`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// All recipients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<RecipientStep>,
    /// The account that it leads to: `deliver`; that logs in: `login`, `auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where to: `route`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What static routes or the DNS say: `route`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<HopStep>,
    /// The message, with LF or CRLF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The message as it is, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_base64: Option<String>,
    /// A file beside the fixture with the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_file: Option<String>,
    /// The message's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Findings of earlier plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<(String, f32)>,
    /// Tags of earlier plugins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// SASL mechanism, and whether the password was right: `auth`, `login`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// Whether the password was right: `auth`, `login`. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    /// `smtp`, `pop3`, `imap`: `login`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What became of mail: `outcome`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OutcomeStep>,
    /// What happened: `mailbox`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventStep>,
}

/// The session of a [`Step`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionStep {
    pub id: String,
    pub listener: String,
    pub direction: Direction,
    pub remote_ip: IpAddr,
    pub remote_port: u16,
    pub local_ip: IpAddr,
    pub local_port: u16,
    pub helo: Option<String>,
    pub tls: Option<TlsStep>,
    pub account: Option<String>,
    pub mechanism: Option<String>,
    pub may_relay: bool,
    pub started_ms: i64,
    pub transaction: Option<TransactionStep>,
    /// What plugins noted: plugin, key, octets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(String, String, Vec<u8>)>,
}

/// TLS of a [`SessionStep`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsStep {
    pub version: String,
    pub cipher: String,
    #[serde(default)]
    pub server_name: Option<String>,
}

/// The transaction of a [`SessionStep`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactionStep {
    pub id: String,
    pub sender: String,
    pub recipients: Vec<RecipientStep>,
    #[serde(default)]
    pub size: Option<u64>,
}

/// One of several recipients: an address, or one that came instead of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecipientStep {
    Plain(String),
    Changed { address: String, original: String },
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HopStep {
    pub host: String,
    pub port: u16,
    pub tls: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeStep {
    pub kind: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub sender: String,
    pub recipient: String,
    #[serde(default)]
    pub remote: Option<String>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub text: String,
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub at_ms: i64,
}

/// What happened in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventStep {
    pub account: String,
    pub mailbox: String,
    pub uids: Vec<u32>,
    #[serde(default)]
    pub uid_validity: u32,
    /// `appended`, `expunged`, or `flags` with these.
    pub change: String,
    #[serde(default)]
    pub flags: Vec<String>,
}

impl Default for SessionStep {
    fn default() -> Self {
        Self {
            id: "0000000000001".to_owned(),
            listener: "smtp".to_owned(),
            direction: Direction::Inbound,
            remote_ip: IpAddr::from([192, 0, 2, 1]),
            remote_port: 40_000,
            local_ip: IpAddr::from([198, 51, 100, 1]),
            local_port: 25,
            helo: Some("client.example".to_owned()),
            tls: None,
            account: None,
            mechanism: None,
            may_relay: false,
            started_ms: 0,
            transaction: None,
            notes: Vec::new(),
        }
    }
}

/// Octets of a message that is written down.
const MESSAGE_OCTETS_MAX: u64 = 1 << 20;

impl Step {
    /// The question as JSON. `None` when its message is larger than 1 MiB or cannot be read.
    pub(crate) async fn of(session: &SessionFacts, question: &Question) -> Option<Self> {
        let mut step = Self {
            hook: question.as_call().hook().name().to_owned(),
            session: SessionStep::of(session),
            ..Self::default()
        };
        match question {
            Question::Connect | Question::Disconnect | Question::Tick => {}
            Question::Helo(name) => step.name = Some(name.clone()),
            Question::Auth(login) => step.set_login(login),
            Question::Mail(path) => step.sender = Some(plain(path)),
            Question::Rcpt(path, to) => {
                step.sender = Some(plain(path));
                step.set_recipient(to);
            }
            Question::Headers(of) | Question::Message(of) => step.set_message(of).await?,
            Question::Resolve(path, to) => {
                step.sender = Some(plain(path));
                step.recipient = Some(to.to_string());
            }
            Question::Route(of, domain, hops) => {
                step.set_message(of).await?;
                step.domain = Some(domain.to_string());
                step.candidates = hops.iter().map(HopStep::of).collect();
            }
            Question::Deliver(of, to, account) => {
                step.set_message(of).await?;
                step.set_recipient(to);
                step.account = Some(account.to_string());
            }
            Question::Login(of) => {
                step.set_login(&of.login);
                step.session.remote_ip = of.remote;
                step.protocol = Some(protocol_name(of.protocol).to_owned());
                step.session.tls = of.has_tls.then(|| TlsStep {
                    version: "TLS".to_owned(),
                    cipher: String::new(),
                    server_name: None,
                });
            }
            Question::Outcomes(outcomes) => step.outcomes = outcomes.iter().map(OutcomeStep::of).collect(),
            Question::Mailbox(events) => step.events = events.iter().map(EventStep::of).collect(),
        }
        Some(step)
    }

    fn set_login(&mut self, login: &LoginFacts) {
        self.account = Some(login.identity.clone());
        self.mechanism = Some(login.mechanism.clone());
        self.succeeded = Some(login.has_succeeded);
    }

    fn set_recipient(&mut self, to: &Recipient) {
        self.recipient = Some(to.address.to_string());
        self.original = to.original.as_ref().map(Address::to_string);
    }

    async fn set_message(&mut self, of: &MessageFacts) -> Option<()> {
        if of.body.octets() > MESSAGE_OCTETS_MAX {
            return None;
        }
        let mut whole = of.head.to_vec();
        whole.extend_from_slice(b"\r\n");
        let before = whole.len() as u64;
        while (whole.len() as u64) < before + of.body.octets() {
            let piece = of.body.read(whole.len() as u64 - before, 64 << 10).await.ok()?;
            if piece.is_empty() {
                break;
            }
            whole.extend_from_slice(&piece);
        }
        match String::from_utf8(whole) {
            // Text has the line ends of a person's editor: others would be made the same.
            Ok(text) if !text.replace("\r\n", "").contains(['\r', '\n']) => self.message = Some(text),
            Ok(text) => self.message_base64 = Some(STANDARD.encode(text)),
            Err(error) => self.message_base64 = Some(STANDARD.encode(error.as_bytes())),
        }
        self.id = Some(of.id.to_string());
        self.sender = Some(plain(&of.envelope.reverse_path));
        self.recipients = of.envelope.recipients.iter().map(RecipientStep::of).collect();
        self.symbols.clone_from(&of.symbols);
        self.tags.clone_from(&of.tags);
        Some(())
    }

    /// The question.
    ///
    /// # Errors
    /// One line that says which key is wrong.
    pub(crate) fn question(&self) -> Result<(SessionFacts, Question), String> {
        let session = self.session.facts()?;
        let question = match self.hook.as_str() {
            "connect" => Question::Connect,
            "helo" => Question::Helo(self.name.clone().unwrap_or_else(|| "client.example".to_owned())),
            "auth" => Question::Auth(self.login()),
            "mail" => Question::Mail(self.sender()?),
            "rcpt" => Question::Rcpt(self.sender()?, self.recipient()?),
            "headers" => Question::Headers(self.message()?),
            "message" => Question::Message(self.message()?),
            "disconnect" => Question::Disconnect,
            "resolve" => Question::Resolve(self.sender()?, self.recipient()?.address),
            "route" => {
                let domain = self.domain.as_deref().unwrap_or("b.test");
                let domain = Domain::parse(domain).map_err(|error| format!("domain: {error}"))?;
                let hops = self.candidates.iter().map(HopStep::hop).collect::<Result<_, _>>()?;
                Question::Route(self.message()?, domain, hops)
            }
            "deliver" => {
                let to = self.recipient()?;
                let account = match &self.account {
                    Some(text) => address("account", text)?,
                    None => to.address.clone(),
                };
                Question::Deliver(self.message()?, to, account)
            }
            "outcome" => {
                Question::Outcomes(self.outcomes.iter().map(OutcomeStep::facts).collect::<Result<_, _>>()?)
            }
            "login" => Question::Login(LoginAttempt {
                protocol: match self.protocol.as_deref() {
                    Some("pop3") => LoginProtocol::Pop3,
                    Some("smtp") => LoginProtocol::Smtp,
                    Some("imap") | None => LoginProtocol::Imap,
                    Some(other) => return Err(format!("protocol: {other:?} is not smtp, pop3 or imap")),
                },
                login: self.login(),
                remote: self.session.remote_ip,
                has_tls: self.session.tls.is_some(),
            }),
            "mailbox" => {
                Question::Mailbox(self.events.iter().map(EventStep::facts).collect::<Result<_, _>>()?)
            }
            "tick" => Question::Tick,
            other => return Err(format!("hook: there is none named {other:?}")),
        };
        Ok((session, question))
    }

    fn login(&self) -> LoginFacts {
        LoginFacts {
            mechanism: self.mechanism.clone().unwrap_or_else(|| "PLAIN".to_owned()),
            identity: self.account.clone().unwrap_or_else(|| "bob@a.test".to_owned()),
            has_succeeded: self.succeeded.unwrap_or(true),
        }
    }

    fn sender(&self) -> Result<ReversePath, String> {
        reverse_path(self.sender.as_deref().unwrap_or("alice@b.test"))
    }

    fn recipient(&self) -> Result<Recipient, String> {
        let original = self.original.as_deref().map(|text| address("original", text)).transpose()?;
        let text = self.recipient.as_deref().unwrap_or("bob@a.test");
        Ok(Recipient { address: address("recipient", text)?, original })
    }

    fn message(&self) -> Result<MessageFacts, String> {
        let octets = match (&self.message, &self.message_base64) {
            (_, Some(encoded)) => {
                STANDARD.decode(encoded).map_err(|error| format!("message_base64: {error}"))?
            }
            // Whatever a person's editor writes.
            (Some(text), None) => text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes(),
            (None, None) => b"Subject: hello\r\n\r\nhello\r\n".to_vec(),
        };
        let octets = Bytes::from(octets);
        let end = if octets.starts_with(b"\r\n") {
            Some(0)
        } else {
            octets.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 2)
        };
        let (head, body) = match end {
            Some(end) => (octets.slice(..end), octets.slice(end + 2..)),
            None => (octets.clone(), Bytes::new()),
        };
        let recipients = if self.recipients.is_empty() {
            vec![self.recipient()?]
        } else {
            self.recipients.iter().map(RecipientStep::facts).collect::<Result<_, _>>()?
        };
        Ok(MessageFacts {
            id: self.id.as_deref().map_or(Ok(MessageId(1)), message_id)?,
            envelope: Arc::new(Envelope {
                reverse_path: self.sender()?,
                parameters: MailParameters::default(),
                recipients,
            }),
            head,
            body: Arc::new(body),
            structure: None,
            original: None,
            symbols: self.symbols.clone(),
            tags: self.tags.clone(),
        })
    }
}

impl SessionStep {
    fn of(of: &SessionFacts) -> Self {
        let login = of.login.as_ref().filter(|login| login.has_succeeded);
        let notes: BTreeMap<_, _> = of.notes.lock().map(|notes| notes.clone()).unwrap_or_default();
        Self {
            id: of.id.clone(),
            listener: of.listener.clone(),
            direction: of.direction,
            remote_ip: of.peer.remote.ip(),
            remote_port: of.peer.remote.port(),
            local_ip: of.peer.local.ip(),
            local_port: of.peer.local.port(),
            helo: of.helo.clone(),
            tls: of.tls.as_ref().map(|tls| TlsStep {
                version: tls.version.clone(),
                cipher: tls.cipher.clone(),
                server_name: tls.server_name.clone(),
            }),
            account: login.map(|login| login.identity.clone()),
            mechanism: login.map(|login| login.mechanism.clone()),
            may_relay: of.may_relay,
            started_ms: of.started.0,
            transaction: of.transaction.as_ref().map(|of| TransactionStep {
                id: of.id.to_string(),
                sender: plain(&of.reverse_path),
                recipients: of.recipients.iter().map(RecipientStep::of).collect(),
                size: of.size,
            }),
            notes: notes.into_iter().map(|((plugin, key), value)| (plugin, key, value)).collect(),
        }
    }

    fn facts(&self) -> Result<SessionFacts, String> {
        let notes = self.notes.iter().cloned().map(|(plugin, key, value)| ((plugin, key), value));
        Ok(SessionFacts {
            id: self.id.clone(),
            listener: self.listener.clone(),
            direction: self.direction,
            peer: Peer {
                remote: SocketAddr::new(self.remote_ip, self.remote_port),
                local: SocketAddr::new(self.local_ip, self.local_port),
            },
            helo: self.helo.clone(),
            tls: self.tls.as_ref().map(|tls| TlsFacts {
                version: tls.version.clone(),
                cipher: tls.cipher.clone(),
                server_name: tls.server_name.clone(),
            }),
            login: self.account.as_ref().map(|account| LoginFacts {
                mechanism: self.mechanism.clone().unwrap_or_else(|| "PLAIN".to_owned()),
                identity: account.clone(),
                has_succeeded: true,
            }),
            may_relay: self.may_relay,
            transaction: self.transaction.as_ref().map(TransactionStep::facts).transpose()?,
            started: Timestamp(self.started_ms),
            notes: Notes::new(std::sync::Mutex::new(notes.collect())),
            findings: Findings::default(),
        })
    }
}

impl TransactionStep {
    fn facts(&self) -> Result<TransactionFacts, String> {
        Ok(TransactionFacts {
            id: message_id(&self.id)?,
            reverse_path: reverse_path(&self.sender)?,
            size: self.size,
            recipients: Arc::new(self.recipients.iter().map(RecipientStep::facts).collect::<Result<_, _>>()?),
        })
    }
}

impl RecipientStep {
    fn of(of: &Recipient) -> Self {
        let address = of.address.to_string();
        match &of.original {
            None => Self::Plain(address),
            Some(original) => Self::Changed { address, original: original.to_string() },
        }
    }

    fn facts(&self) -> Result<Recipient, String> {
        let (text, original) = match self {
            Self::Plain(text) => (text, None),
            Self::Changed { address: text, original } => (text, Some(address("recipients", original)?)),
        };
        Ok(Recipient { address: address("recipients", text)?, original })
    }
}

impl HopStep {
    pub(crate) fn of(hop: &Hop) -> Self {
        Self {
            host: match &hop.host {
                HopHost::Name(name) => name.to_string(),
                HopHost::Ip(ip) => ip.to_string(),
            },
            port: hop.port,
            tls: match hop.tls {
                HopTls::None => "none",
                HopTls::Opportunistic => "opportunistic",
                HopTls::Required => "required",
            }
            .to_owned(),
            source_ip: hop.source,
        }
    }

    fn hop(&self) -> Result<Hop, String> {
        let host = match self.host.parse() {
            Ok(ip) => HopHost::Ip(ip),
            Err(_) => HopHost::Name(Domain::parse(&self.host).map_err(|error| format!("host: {error}"))?),
        };
        let tls = match self.tls.as_str() {
            "none" => HopTls::None,
            "opportunistic" => HopTls::Opportunistic,
            "required" => HopTls::Required,
            other => return Err(format!("tls: none, opportunistic or required, not {other:?}")),
        };
        Ok(Hop { host, port: self.port, tls, source: self.source_ip })
    }
}

const OUTCOMES: [(&str, OutcomeKind); 5] = [
    ("stored", OutcomeKind::Stored),
    ("delivered", OutcomeKind::Delivered),
    ("deferred", OutcomeKind::Deferred),
    ("bounced", OutcomeKind::Bounced),
    ("expired", OutcomeKind::Expired),
];

impl OutcomeStep {
    fn of(of: &OutcomeFacts) -> Self {
        let kind = OUTCOMES.iter().find(|(_, kind)| *kind == of.kind).map_or("stored", |(name, _)| name);
        Self {
            kind: kind.to_owned(),
            id: Some(of.id.to_string()),
            sender: plain(&of.reverse_path),
            recipient: of.recipient.to_string(),
            remote: of.remote.clone(),
            status: Some(of.status.to_string()),
            text: of.text.clone(),
            attempts: of.attempts,
            at_ms: of.at.0,
        }
    }

    fn facts(&self) -> Result<OutcomeFacts, String> {
        let kind = OUTCOMES.iter().find(|(name, _)| *name == self.kind);
        Ok(OutcomeFacts {
            kind: kind.ok_or_else(|| format!("kind: there is none named {:?}", self.kind))?.1,
            id: self.id.as_deref().map_or(Ok(MessageId(1)), message_id)?,
            reverse_path: reverse_path(&self.sender)?,
            recipient: address("recipient", &self.recipient)?,
            remote: self.remote.clone(),
            status: self.status.as_deref().map_or(Ok(EnhancedStatus::OK), status)?,
            text: self.text.clone(),
            attempts: self.attempts,
            at: Timestamp(self.at_ms),
        })
    }
}

impl EventStep {
    fn of(of: &MailboxFacts) -> Self {
        let (change, flags) = match &of.change {
            MailboxChange::Appended => ("appended", Vec::new()),
            MailboxChange::FlagsChanged(flags) => ("flags", flags.clone()),
            MailboxChange::Expunged => ("expunged", Vec::new()),
        };
        Self {
            account: of.account.to_string(),
            mailbox: of.mailbox.clone(),
            uids: of.uids.clone(),
            uid_validity: of.uid_validity,
            change: change.to_owned(),
            flags,
        }
    }

    fn facts(&self) -> Result<MailboxFacts, String> {
        Ok(MailboxFacts {
            account: address("account", &self.account)?,
            mailbox: self.mailbox.clone(),
            uids: self.uids.clone(),
            uid_validity: self.uid_validity,
            change: match self.change.as_str() {
                "appended" => MailboxChange::Appended,
                "expunged" => MailboxChange::Expunged,
                "flags" => MailboxChange::FlagsChanged(self.flags.clone()),
                other => return Err(format!("change: appended, flags or expunged, not {other:?}")),
            },
        })
    }
}

fn protocol_name(protocol: LoginProtocol) -> &'static str {
    match protocol {
        LoginProtocol::Smtp => "smtp",
        LoginProtocol::Pop3 => "pop3",
        LoginProtocol::Imap => "imap",
    }
}

fn address(key: &str, text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("{key}: {text:?}: {error}"))
}

fn reverse_path(text: &str) -> Result<ReversePath, String> {
    if text.is_empty() { Ok(ReversePath::Null) } else { Ok(ReversePath::Address(address("sender", text)?)) }
}

fn message_id(text: &str) -> Result<MessageId, String> {
    MessageId::parse(text).ok_or_else(|| format!("id: {text:?} is no message's name"))
}

/// As `5.7.1`.
pub(crate) fn status(text: &str) -> Result<EnhancedStatus, String> {
    let wrong = || format!("status: {text:?} is none");
    let mut parts = text.split('.').map(str::parse::<u16>);
    let mut next = || parts.next().and_then(Result::ok).ok_or_else(wrong);
    let class = match next()? {
        2 => Class::Success,
        4 => Class::Persistent,
        5 => Class::Permanent,
        _ => return Err(wrong()),
    };
    Ok(EnhancedStatus::new(class, next()?, next()?))
}
