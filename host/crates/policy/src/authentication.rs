//! Whether mail comes from where it says: what is found (RFC 8601), who finds it, and what of it is known at which hook.
//!
//! [`SenderAuth`] is the seam: the real one asks the DNS, fakes answer what a test says. Nothing is verified until a plugin asks; what
//! was found is kept in the session's [`Findings`], so that several plugins and hooks share it. Verified is the message as it came,
//! whatever plugins have made of it since.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join3;
use futures_util::lock::Mutex;
use maitred_mail::{Address, Body, MessageId, ReversePath};
use serde::{Deserialize, Serialize};

use crate::facts::{Direction, HookCall, MessageFacts, SessionFacts};

/// What one method found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodResult {
    /// `iprev`, `spf`, `dkim`, `arc`, `dmarc` (RFC 8601 §2.7).
    pub method: String,
    /// What.
    pub result: AuthResult,
    /// Why, in words.
    pub reason: Option<String>,
    /// What it is about: `smtp.mailfrom`, `header.d` … with its value (RFC 8601 §2.3).
    pub properties: Vec<(String, String)>,
}

/// The results of RFC 8601 §2.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthResult {
    /// There is nothing to verify: no record, no signature.
    None,
    /// As it says.
    Pass,
    /// Not as it says.
    Fail,
    /// Probably not as it says.
    Softfail,
    /// Neither; or a signature that cannot be judged.
    Neutral,
    /// It cannot be verified now.
    Temperror,
    /// It can never be verified: a record or signature that is wrong.
    Permerror,
    /// Not verified, or not accepted, by a rule of this server's.
    Policy,
}

/// A message as it came.
#[derive(Clone)]
pub struct Original {
    /// The header section with its line ends, without the empty line.
    pub head: Bytes,
    /// What follows the empty line.
    pub body: Arc<dyn Body>,
}

/// Whose word is looked up by SPF (RFC 7208 §2.3, §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfIdentity<'a> {
    /// That of HELO.
    Helo,
    /// That of MAIL FROM.
    MailFrom(&'a Address),
}

/// What SPF is asked.
#[derive(Debug, Clone, Copy)]
pub struct SpfQuestion<'a> {
    /// The client.
    pub client: IpAddr,
    /// What it said in HELO.
    pub helo: &'a str,
    /// Whose word.
    pub identity: SpfIdentity<'a>,
}

/// Who verifies where mail comes from. Each answers in time: what takes longer than the patience is [`AuthResult::Temperror`].
#[async_trait]
pub trait SenderAuth: Send + Sync {
    /// Whether the client's address has a name that has this address (RFC 8601 §3).
    async fn iprev(&self, client: IpAddr, patience: Duration) -> MethodResult;

    /// Whether the client may say what it says (RFC 7208).
    async fn spf(&self, question: SpfQuestion<'_>, patience: Duration) -> MethodResult;

    /// DKIM (RFC 6376), one result a signature, ARC (RFC 8617) and DMARC (RFC 9989), which also looks at what SPF found of MAIL FROM.
    async fn message(
        &self,
        original: &Original,
        mail_from: &MethodResult,
        patience: Duration,
    ) -> Vec<MethodResult>;
}

/// What was found in a session so far; the latest of each.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    iprev: Option<MethodResult>,
    /// Of this name.
    helo: Option<(String, MethodResult)>,
    /// Of this name and path.
    mail_from: Option<((String, ReversePath), MethodResult)>,
    message: Option<(MessageId, Vec<MethodResult>)>,
}

/// What a call is about, as far as it can be verified.
#[derive(Clone)]
pub struct Subject {
    client: IpAddr,
    helo: Option<String>,
    reverse_path: Option<ReversePath>,
    message: Option<(MessageId, Original)>,
    findings: Findings,
}

impl MethodResult {
    /// Without a reason.
    pub fn new(method: &str, result: AuthResult) -> Self {
        Self { method: method.to_owned(), result, reason: None, properties: Vec::new() }
    }

    /// With a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// With one more property.
    #[must_use]
    pub fn with(mut self, property: &str, value: impl Into<String>) -> Self {
        self.properties.push((property.to_owned(), value.into()));
        self
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Octets, for budgets.
    pub fn octets(&self) -> usize {
        let texts = self.properties.iter().map(|(name, value)| name.len() + value.len());
        16 + self.method.len() + self.reason.as_ref().map_or(0, String::len) + texts.sum::<usize>()
    }
}

impl AuthResult {
    /// As RFC 8601 spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Softfail => "softfail",
            Self::Neutral => "neutral",
            Self::Temperror => "temperror",
            Self::Permerror => "permerror",
            Self::Policy => "policy",
        }
    }
}

impl Subject {
    /// What a call is about. `None` where there is no stranger's word to verify: users of ours, networks that may relay, LMTP (the
    /// server in front has looked), what this server does by itself, calls without a session.
    pub fn of(session: &SessionFacts, call: HookCall<'_>) -> Option<Self> {
        if session.direction != Direction::Inbound || session.may_relay || session.listener == "lmtp" {
            return None;
        }
        let mut subject = Self {
            client: session.peer.remote.ip().to_canonical(),
            helo: session.helo.clone(),
            reverse_path: session.transaction.as_ref().map(|of| of.reverse_path.clone()),
            message: None,
            findings: session.findings.clone(),
        };
        match call {
            HookCall::Connect => (subject.helo, subject.reverse_path) = (None, None),
            HookCall::Helo(name) => {
                // What it says now; what it said before does not hold any more.
                (subject.helo, subject.reverse_path) = (Some(name.to_owned()), None);
            }
            HookCall::Mail(path) | HookCall::Rcpt(path, _) | HookCall::Resolve(path, _) => {
                subject.reverse_path.get_or_insert_with(|| path.clone());
            }
            HookCall::Message(of) | HookCall::Deliver(of, ..) => subject.read(of),
            HookCall::Auth(_) | HookCall::Headers(_) | HookCall::Disconnect => {}
            HookCall::Route(..)
            | HookCall::Outcomes(_)
            | HookCall::Login(_)
            | HookCall::Mailbox(_)
            | HookCall::Tick => return None,
        }
        Some(subject)
    }

    fn read(&mut self, of: &MessageFacts) {
        self.reverse_path.get_or_insert_with(|| of.envelope.reverse_path.clone());
        let as_it_is = || Original { head: of.head.clone(), body: Arc::clone(&of.body) };
        self.message = Some((of.id, of.original.clone().unwrap_or_else(as_it_is)));
    }

    /// Whether the result of such a method can be known at this call.
    pub fn knows(&self, of: &MethodResult) -> bool {
        match of.method.as_str() {
            "iprev" => true,
            "spf" if of.property("smtp.helo").is_some() => self.helo.is_some(),
            "spf" => self.reverse_path.is_some(),
            _ => self.message.is_some(),
        }
    }

    /// What is found: what is known already, the rest verified now, in about this time.
    pub async fn results(&self, by: &dyn SenderAuth, patience: Duration) -> Vec<MethodResult> {
        // Whoever asks at the same time waits, and finds it done.
        let mut found = self.findings.0.lock().await;
        // The message is verified when the rest is there.
        let each = if self.message.is_some() { patience / 2 } else { patience };
        self.find_identities(&mut found, by, each).await;
        let mut results: Vec<MethodResult> = found.iprev.iter().cloned().collect();
        if self.helo.is_some() {
            results.extend(found.helo.iter().map(|(_, result)| result.clone()));
        }
        let mail_from = found.mail_from.as_ref().map(|(_, result)| result.clone());
        if self.reverse_path.is_some() {
            results.extend(mail_from.clone());
        }
        if let Some((id, original)) = &self.message {
            let none = || MethodResult::new("spf", AuthResult::None);
            let known = found.message.take().filter(|(known, _)| known == id);
            let of_message = match known {
                Some((_, known)) => known,
                None => by.message(original, &mail_from.unwrap_or_else(none), each).await,
            };
            results.extend(of_message.iter().cloned());
            found.message = Some((*id, of_message));
        }
        results
    }

    /// iprev and SPF, each that is not known yet, at the same time.
    async fn find_identities(&self, found: &mut Found, by: &dyn SenderAuth, patience: Duration) {
        let helo = self.helo.as_deref().unwrap_or_default();
        let has_iprev = found.iprev.is_some();
        let has_helo = self.helo.is_none() || found.helo.as_ref().is_some_and(|(name, _)| name == helo);
        let iprev = async { if has_iprev { None } else { Some(by.iprev(self.client, patience).await) } };
        let spf = |identity| by.spf(SpfQuestion { client: self.client, helo, identity }, patience);
        let of_helo = async { if has_helo { None } else { Some(spf(SpfIdentity::Helo).await) } };
        let of_path = async {
            match &self.reverse_path {
                Some(ReversePath::Address(address)) if !self.knows_path(found, helo) => {
                    Some(spf(SpfIdentity::MailFrom(address)).await)
                }
                _ => None,
            }
        };
        let (iprev, of_helo, of_path) = join3(iprev, of_helo, of_path).await;
        found.iprev = iprev.or(found.iprev.take());
        if let Some(result) = of_helo {
            found.helo = Some((helo.to_owned(), result));
        }
        let of_path = of_path.or_else(|| self.of_null_path(found, helo));
        if let (Some(result), Some(path)) = (of_path, &self.reverse_path) {
            found.mail_from = Some(((helo.to_owned(), path.clone()), result));
        }
    }

    fn knows_path(&self, found: &Found, helo: &str) -> bool {
        let known = found.mail_from.as_ref();
        known.is_some_and(|((name, path), _)| name == helo && Some(path) == self.reverse_path.as_ref())
    }

    /// RFC 7208 §2.4: without a reverse-path it is postmaster of the name in HELO, whom HELO was checked for already.
    fn of_null_path(&self, found: &Found, helo: &str) -> Option<MethodResult> {
        if self.reverse_path != Some(ReversePath::Null) {
            return None;
        }
        let of_helo = found.helo.as_ref().map(|(_, result)| result.clone());
        let result = of_helo.unwrap_or_else(|| MethodResult::new("spf", AuthResult::None));
        let properties = vec![("smtp.mailfrom".to_owned(), format!("postmaster@{helo}"))];
        Some(MethodResult { properties, ..result })
    }
}
