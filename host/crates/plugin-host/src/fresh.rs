//! Answers that hold for a while (`freshness` of the contract): given again, without a call, to who is the same in all that the answer was
//! made of.
//!
//! Kept for one version with one configuration: another one asks anew. By which terms answers may hold is told at the load: a message that
//! takes a call over cannot make terms of its own, and what it answers is kept for those who are like itself alone. Of these it can have
//! nobody refused, filed away or found bad, unless they come from the same address or network.

mod like;
mod looks;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maitred_mail::header::Fields;
use maitred_mail::{Address, Recipient, ReversePath};
use maitred_policy::{Decision, Edit, Hook, HookCall, SessionFacts, Verdict};

use like::Like;
use looks::Looks;

use crate::bindings::v0_1::exports::maitred::plugin::freshness;

/// The longest that an answer holds.
const SECONDS_MAX: u32 = 3_600;
/// Facts of one term.
const FACTS_MAX: usize = 64;
/// Terms of one version.
const TERMS_MAX: usize = 16;
/// The text of one fact.
const FACT_OCTETS_MAX: usize = 1 << 10;
/// What an answer is found by.
const KEY_OCTETS_MAX: usize = 2 << 10;
/// One answer.
const ANSWER_OCTETS_MAX: usize = 8 << 10;
/// Answers of one hook: half of them younger, half older. When the younger half is full, the older is forgotten.
const OCTETS_MAX: usize = 2 << 20;
/// What an answer takes besides its texts, about.
const ENTRY_OCTETS: usize = 160;

/// What an answer was made of.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    RemoteIp,
    /// Bits of an IPv4 address, of an IPv6 address.
    RemoteNetwork(u8, u8),
    Helo,
    Tls,
    Sender,
    SenderDomain,
    Recipients,
    Header(String),
    SenderLike(Like),
    RecipientLike(Like),
    HeaderLike(String, Like),
    ContentLike(Like),
    FileLike(Like),
    Larger(u64),
}

/// For how long, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    seconds: u32,
    made_of: Vec<Fact>,
}

/// The answers of one version that still hold.
pub(crate) struct Answers {
    terms: Vec<Term>,
    hooks: [Mutex<Shelf>; Hook::ALL.len()],
}

#[derive(Default)]
struct Shelf {
    /// Terms by which something was kept, a bit each.
    terms: u16,
    young: HashMap<Box<[u8]>, Kept>,
    old: HashMap<Box<[u8]>, Kept>,
    young_octets: usize,
}

struct Kept {
    decision: Decision,
    until: Instant,
}

impl Answers {
    pub(crate) fn new(terms: Vec<Term>) -> Self {
        Self { terms, hooks: std::array::from_fn(|_| Mutex::default()) }
    }

    /// What was answered to one like this, if that still holds.
    pub(crate) async fn find(
        &self,
        session: &SessionFacts,
        call: HookCall<'_>,
        now: Instant,
    ) -> Option<Decision> {
        if self.terms.is_empty() {
            return None;
        }
        let used = self.shelf(call.hook())?.terms;
        let mut looks = Looks::default();
        for (at, term) in self.terms.iter().enumerate().filter(|(at, _)| used & bit(*at) != 0) {
            let Some(key) = key(at, term, session, call, &mut looks).await else { continue };
            let shelf = self.shelf(call.hook())?;
            let kept = shelf.young.get(&*key).or_else(|| shelf.old.get(&*key));
            if let Some(kept) = kept.filter(|kept| now < kept.until) {
                return Some(kept.decision.clone());
            }
        }
        None
    }

    /// Keeps an answer for as long as the plugin says that it holds.
    pub(crate) async fn keep(
        &self,
        session: &SessionFacts,
        call: HookCall<'_>,
        decision: &Decision,
        at: usize,
        now: Instant,
    ) {
        let Some(term) = self.terms.get(at).filter(|_| has_terms(call.hook())) else { return };
        let Some(octets) = octets(decision).filter(|_| term.is_of_client() || is_harmless(decision)) else {
            return;
        };
        let Some(key) = key(at, term, session, call, &mut Looks::default()).await else { return };
        let Some(mut shelf) = self.shelf(call.hook()) else { return };
        if shelf.young_octets > OCTETS_MAX / 2 {
            shelf.old = std::mem::take(&mut shelf.young);
            shelf.young_octets = 0;
        }
        shelf.terms |= bit(at);
        shelf.young_octets += octets + key.len() + ENTRY_OCTETS;
        let until = now + Duration::from_secs(term.seconds.into());
        shelf.young.insert(key.into(), Kept { decision: decision.clone(), until });
    }

    fn shelf(&self, hook: Hook) -> Option<MutexGuard<'_, Shelf>> {
        self.hooks.get(hook as usize).map(|shelf| shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Term {
    /// It is about one client, or its neighbours.
    fn is_of_client(&self) -> bool {
        self.made_of.iter().any(|fact| matches!(fact, Fact::RemoteIp | Fact::RemoteNetwork(..)))
    }
}

/// Terms as a component tells them.
///
/// # Errors
/// One line that says what is too much.
pub(crate) fn checked(terms: Vec<freshness::Term>) -> Result<Vec<Term>, String> {
    if terms.len() > TERMS_MAX {
        return Err(format!("{} terms, where {TERMS_MAX} can be", terms.len()));
    }
    let term = |of: freshness::Term| {
        if of.made_of.len() > FACTS_MAX {
            return Err(format!("a term of {} facts, where {FACTS_MAX} can be", of.made_of.len()));
        }
        let made_of = of.made_of.into_iter().map(Fact::checked).collect::<Result<_, _>>()?;
        Ok(Term { seconds: of.seconds.min(SECONDS_MAX), made_of })
    };
    terms.into_iter().map(term).collect()
}

impl Fact {
    fn checked(of: freshness::Fact) -> Result<Self, String> {
        let short = |text: String| {
            if text.len() > FACT_OCTETS_MAX {
                return Err(format!("a fact of {} octets, where {FACT_OCTETS_MAX} can be", text.len()));
            }
            Ok(text)
        };
        let like = |text| short(text).map(|text| Like::new(&text));
        Ok(match of {
            freshness::Fact::RemoteIp => Self::RemoteIp,
            freshness::Fact::RemoteNetwork((v4, v6)) => Self::RemoteNetwork(v4, v6),
            freshness::Fact::Helo => Self::Helo,
            freshness::Fact::Tls => Self::Tls,
            freshness::Fact::Sender => Self::Sender,
            freshness::Fact::SenderDomain => Self::SenderDomain,
            freshness::Fact::Recipients => Self::Recipients,
            freshness::Fact::Header(name) => Self::Header(short(name)?),
            freshness::Fact::SenderLike(text) => Self::SenderLike(like(text)?),
            freshness::Fact::RecipientLike(text) => Self::RecipientLike(like(text)?),
            freshness::Fact::HeaderLike((name, text)) => Self::HeaderLike(short(name)?, like(text)?),
            freshness::Fact::ContentLike(text) => Self::ContentLike(like(text)?),
            freshness::Fact::FileLike(text) => Self::FileLike(like(text)?),
            freshness::Fact::Larger(octets) => Self::Larger(octets),
        })
    }
}

fn bit(term: usize) -> u16 {
    u32::try_from(term).ok().and_then(|term| 1_u16.checked_shl(term)).unwrap_or(0)
}

/// Whoever gets it in vain loses nothing: it lets mail go on as it is, but for header fields and tags.
fn is_harmless(decision: &Decision) -> bool {
    let is_plain = |edit: &Edit| {
        matches!(
            edit,
            Edit::AddHeader { .. }
                | Edit::ChangeHeader { .. }
                | Edit::RemoveHeader { .. }
                | Edit::RemoveAllHeaders(_)
                | Edit::Tag(..)
        )
    };
    matches!(decision.verdict, Verdict::Next | Verdict::Accept) && decision.edits.iter().all(is_plain)
}

/// At which hooks an answer can hold for longer than the call.
fn has_terms(hook: Hook) -> bool {
    matches!(hook, Hook::Connect | Hook::Helo | Hook::Mail | Hook::Rcpt | Hook::Headers | Hook::Message)
}

/// What an answer takes; `None` of one that is about one message alone, or too long.
fn octets(decision: &Decision) -> Option<usize> {
    let texts = match &decision.verdict {
        Verdict::Next | Verdict::Accept => 0,
        Verdict::Reject(refusal) | Verdict::Tempfail(refusal) | Verdict::Disconnect(refusal) => {
            refusal.text.len()
        }
        Verdict::Quarantine(reason) | Verdict::Discard(reason) => reason.len(),
    };
    let edits = decision.edits.iter().map(|edit| {
        let texts = match edit {
            Edit::AddHeader { name, value, .. } | Edit::ChangeHeader { name, value, .. } => {
                name.len() + value.len()
            }
            Edit::RemoveHeader { name, .. } | Edit::RemoveAllHeaders(name) | Edit::AddFlag(name) => {
                name.len()
            }
            Edit::Symbol { name, detail, .. } => name.len() + detail.len(),
            Edit::Tag(name, value) => name.len() + value.len(),
            Edit::Place { mailbox, flags } => {
                mailbox.len() + flags.iter().map(|flag| flag.len() + size_of::<String>()).sum::<usize>()
            }
            Edit::Delay(_) => 0,
            Edit::ReplaceBody(_)
            | Edit::SetSender(_)
            | Edit::AddRecipient(_)
            | Edit::RemoveRecipient(_)
            | Edit::ChangeRecipient { .. } => return None,
        };
        Some(texts + size_of::<Edit>())
    });
    let all = edits.sum::<Option<usize>>()? + texts;
    (all <= ANSWER_OCTETS_MAX).then_some(all)
}

/// All facts of a term, one behind the other; `None` when one of them is not known, or all are too long to be looked for.
async fn key(
    at: usize,
    term: &Term,
    session: &SessionFacts,
    call: HookCall<'_>,
    looks: &mut Looks,
) -> Option<Vec<u8>> {
    let mut key = Key(Vec::with_capacity(128));
    let login = session.login.as_ref().filter(|login| login.has_succeeded);
    key.0.extend([u8::try_from(at).ok()?, session.direction as u8, session.may_relay.into()]);
    key.put(session.listener.as_bytes());
    key.put_maybe(login.map(|login| login.identity.as_bytes()));
    for fact in &term.made_of {
        match looks.is_like(fact, session, call).await? {
            Some(is_like) => key.0.push(is_like.into()),
            None => key.fact(fact, session, call),
        }
        if key.0.len() > KEY_OCTETS_MAX {
            return None;
        }
    }
    Some(key.0)
}

/// Facts that cannot be taken for others: each with its length.
struct Key(Vec<u8>);

impl Key {
    fn put(&mut self, value: &[u8]) {
        self.0.extend_from_slice(&value.len().to_le_bytes());
        self.0.extend_from_slice(value);
    }

    fn put_maybe(&mut self, value: Option<&[u8]>) {
        self.0.push(value.is_some().into());
        self.put(value.unwrap_or_default());
    }

    /// One that is told as it is.
    fn fact(&mut self, fact: &Fact, session: &SessionFacts, call: HookCall<'_>) {
        match fact {
            Fact::SenderLike(_)
            | Fact::RecipientLike(_)
            | Fact::HeaderLike(..)
            | Fact::ContentLike(_)
            | Fact::FileLike(_)
            | Fact::Larger(_) => {}
            Fact::RemoteIp => self.network(session.peer.remote.ip(), (32, 128)),
            Fact::RemoteNetwork(v4, v6) => self.network(session.peer.remote.ip(), (*v4, *v6)),
            Fact::Helo => match call {
                HookCall::Helo(name) => self.put_maybe(Some(name.as_bytes())),
                _ => self.put_maybe(session.helo.as_deref().map(str::as_bytes)),
            },
            Fact::Tls => {
                let tls = session.tls.as_ref();
                self.put_maybe(tls.map(|tls| tls.version.as_bytes()));
                self.put_maybe(tls.map(|tls| tls.cipher.as_bytes()));
                self.put_maybe(tls.and_then(|tls| tls.server_name.as_deref()).map(str::as_bytes));
            }
            Fact::Sender => {
                let path = sender(session, call);
                self.0.push(path.is_some().into());
                self.address(path.and_then(ReversePath::address));
            }
            Fact::SenderDomain => {
                let domain = sender(session, call).and_then(ReversePath::address);
                let domain = domain.map(|address| address.domain().as_str().to_ascii_lowercase());
                self.put_maybe(domain.as_deref().map(str::as_bytes));
            }
            Fact::Recipients => {
                let recipients = recipients(call);
                self.0.extend_from_slice(&recipients.len().to_le_bytes());
                for recipient in recipients {
                    self.address(Some(&recipient.address));
                    self.address(recipient.original.as_ref());
                }
            }
            Fact::Header(name) => {
                let before = self.0.len();
                self.0.push(0);
                for field in Fields::new(head(call)).filter(|field| field.is(name)) {
                    self.put(&field.unfolded());
                    if let Some(count) = self.0.get_mut(before) {
                        // Where they are so many that it does not hold, the key is too long.
                        *count = count.saturating_add(1);
                    }
                }
            }
        }
    }

    fn address(&mut self, address: Option<&Address>) {
        self.0.push(address.is_some().into());
        if let Some(address) = address {
            self.put(address.local_part().as_str().as_bytes());
            self.put(address.domain().as_str().as_bytes());
        }
    }

    fn network(&mut self, ip: IpAddr, (v4, v6): (u8, u8)) {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let kept = u32::MAX.checked_shl(32 - u32::from(v4.min(32))).unwrap_or(0);
                self.put(&(ip.to_bits() & kept).to_be_bytes());
            }
            IpAddr::V6(ip) => {
                let kept = u128::MAX.checked_shl(128 - u32::from(v6.min(128))).unwrap_or(0);
                self.put(&(ip.to_bits() & kept).to_be_bytes());
            }
        }
    }
}

fn sender<'a>(session: &'a SessionFacts, call: HookCall<'a>) -> Option<&'a ReversePath> {
    match call {
        HookCall::Mail(path) | HookCall::Rcpt(path, _) => Some(path),
        HookCall::Headers(message) | HookCall::Message(message) => Some(&message.envelope.reverse_path),
        _ => session.transaction.as_ref().map(|transaction| &transaction.reverse_path),
    }
}

fn recipients<'a>(call: HookCall<'a>) -> &'a [Recipient] {
    match call {
        HookCall::Rcpt(_, recipient) => std::slice::from_ref(recipient),
        HookCall::Headers(message) | HookCall::Message(message) => &message.envelope.recipients,
        _ => &[],
    }
}

fn head<'a>(call: HookCall<'a>) -> &'a [u8] {
    match call {
        HookCall::Headers(message) | HookCall::Message(message) => &message.head,
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
