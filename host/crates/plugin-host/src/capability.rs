//! What plugins can ask the host: the message and the session here, all else below. Each call is charged to the budget.

mod free;
mod granted;

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use maitred_mail::header::{self, Field, Fields};
use maitred_policy::{Direction, MessageFacts, SessionFacts};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::v0_1::maitred::plugin::{decisions, host_message, host_session, types};
use crate::parts::{self, Place};
use crate::state::{Exhausted, State};

/// A message in a guest's hands.
pub struct MessageHandle {
    pub(crate) facts: MessageFacts,
    /// At `on-headers` there is no body yet.
    pub(crate) has_body: bool,
    /// Once somebody asked.
    pub(crate) parts: Option<Arc<Vec<Place>>>,
}

/// A session in a guest's hands.
pub struct SessionHandle {
    pub(crate) facts: SessionFacts,
}

/// Notes of one plugin in one session.
const NOTES_OCTETS_MAX: usize = 64 << 10;
/// Octets of a message at once.
const READ_OCTETS_MAX: u32 = 1 << 20;
/// The value of a header field as text.
const VALUE_OCTETS_MAX: usize = 64 << 10;
/// Header fields asked for at once: each is looked for in the whole header section.
const NAMES_MAX: usize = 256;

impl State {
    fn message(&self, handle: &Resource<MessageHandle>) -> Result<&MessageHandle> {
        Ok(self.table.get(handle)?)
    }

    fn session(&self, handle: &Resource<SessionHandle>) -> Result<&SessionHandle> {
        Ok(self.table.get(handle)?)
    }

    /// Whose notes: what is only tried out has its own.
    fn notes_key(&self) -> String {
        let name = &self.plugin.name;
        if self.means.is_void { format!("{name}/trial") } else { name.to_string() }
    }

    fn head(&self, handle: &Resource<MessageHandle>) -> Result<Bytes> {
        Ok(self.message(handle)?.facts.head.clone())
    }

    /// What the message is made of.
    async fn places(&mut self, this: &Resource<MessageHandle>) -> Result<Arc<Vec<Place>>> {
        let message = self.message(this)?;
        if !message.has_body {
            return Ok(Arc::default());
        }
        if let Some(places) = &message.parts {
            return Ok(Arc::clone(places));
        }
        let facts = message.facts.clone();
        let places = Arc::new(parts::find(&facts).await?);
        self.table.get_mut(this)?.parts = Some(Arc::clone(&places));
        Ok(places)
    }

    /// Octets from an offset in what stands before the body (empty when only the body is wanted) and the body.
    async fn read(
        &mut self,
        this: &Resource<MessageHandle>,
        before: &[u8],
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>> {
        let want = usize::try_from(len.min(READ_OCTETS_MAX))?;
        self.budget.spend(want)?;
        let message = self.message(this)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut out: Vec<u8> = before.get(from..).unwrap_or_default().iter().take(want).copied().collect();
        if message.has_body && out.len() < want {
            let body = Arc::clone(&message.facts.body);
            let read = body.read(offset.saturating_sub(before.len() as u64), want - out.len()).await;
            out.extend_from_slice(&read.map_err(|error| wasmtime::Error::msg(error.to_string()))?);
        }
        Ok(out)
    }
}

/// The value as people read it.
pub(crate) fn text(field: &Field<'_>) -> String {
    header::decode_words(&field.unfolded(), VALUE_OCTETS_MAX)
}

impl types::Host for State {}
impl decisions::Host for State {}
impl host_message::Host for State {}
impl host_session::Host for State {}

impl host_message::HostMessage for State {
    async fn id(&mut self, this: Resource<MessageHandle>) -> Result<String> {
        self.budget.spend(13)?;
        Ok(self.message(&this)?.facts.id.to_string())
    }

    async fn envelope(&mut self, this: Resource<MessageHandle>) -> Result<types::Envelope> {
        let envelope = self.message(&this)?.facts.envelope.clone();
        self.budget.spend(64 * (1 + envelope.recipients.len()))?;
        let recipients = envelope.recipients.iter().map(crate::answer::to_recipient).collect();
        Ok(types::Envelope { sender: maitred_policy::facts::plain(&envelope.reverse_path), recipients })
    }

    async fn size(&mut self, this: Resource<MessageHandle>) -> Result<u64> {
        self.budget.spend(8)?;
        let message = self.message(&this)?;
        let head = message.facts.head.len() as u64;
        Ok(if message.has_body { head + 2 + message.facts.body.octets() } else { head })
    }

    async fn header(&mut self, this: Resource<MessageHandle>, name: String) -> Result<Option<String>> {
        let head = self.head(&this)?;
        let found = Fields::new(&head).first(&name).as_ref().map(text);
        self.budget.spend(name.len() + found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    async fn header_all(&mut self, this: Resource<MessageHandle>, name: String) -> Result<Vec<String>> {
        let head = self.head(&this)?;
        let found: Vec<String> =
            Fields::new(&head).filter(|field| field.is(&name)).map(|field| text(&field)).collect();
        self.budget.spend(name.len() + found.iter().map(String::len).sum::<usize>())?;
        Ok(found)
    }

    async fn headers(&mut self, this: Resource<MessageHandle>) -> Result<Vec<types::Header>> {
        let head = self.head(&this)?;
        self.budget.spend(head.len())?;
        let header = |field: Field<'_>| types::Header {
            name: String::from_utf8_lossy(field.name).into_owned(),
            value: field.unfolded().into_owned(),
        };
        Ok(Fields::new(&head).map(header).collect())
    }

    async fn header_many(
        &mut self,
        this: Resource<MessageHandle>,
        names: Vec<String>,
    ) -> Result<Vec<Option<String>>> {
        if names.len() > NAMES_MAX {
            return Err(Exhausted("header names in one call").into());
        }
        let head = self.head(&this)?;
        let all: Vec<Field<'_>> = Fields::new(&head).collect();
        let mut found = Vec::with_capacity(names.len());
        for name in &names {
            let value = all.iter().find(|field| field.is(name)).map(text);
            self.budget.spend(name.len() + value.as_ref().map_or(0, String::len))?;
            found.push(value);
        }
        Ok(found)
    }

    async fn read_body(&mut self, this: Resource<MessageHandle>, offset: u64, len: u32) -> Result<Vec<u8>> {
        self.read(&this, &[], offset, len).await
    }

    async fn read_raw(&mut self, this: Resource<MessageHandle>, offset: u64, len: u32) -> Result<Vec<u8>> {
        let mut before = self.head(&this)?.to_vec();
        if self.message(&this)?.has_body {
            before.extend_from_slice(b"\r\n");
        }
        self.read(&this, &before, offset, len).await
    }

    async fn parts(&mut self, this: Resource<MessageHandle>) -> Result<Vec<types::PartInfo>> {
        let places = self.places(&this).await?;
        self.budget.spend(places.iter().map(Place::octets).sum())?;
        Ok(places.iter().map(|place| place.info.clone()).collect())
    }

    async fn part_text(
        &mut self,
        this: Resource<MessageHandle>,
        index: u32,
        max: u32,
    ) -> Result<Option<String>> {
        let places = self.places(&this).await?;
        self.budget.spend(0)?;
        let Some(place) = places.get(usize::try_from(index)?).filter(|place| place.is_text()) else {
            return Ok(None);
        };
        let facts = self.message(&this)?.facts.clone();
        let max = usize::try_from(max.min(READ_OCTETS_MAX))?;
        Ok(Some(place.source.text(&facts, &mut self.budget, max).await?))
    }

    async fn part_read(
        &mut self,
        this: Resource<MessageHandle>,
        index: u32,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>> {
        let places = self.places(&this).await?;
        self.budget.spend(0)?;
        let Some(place) = places.get(usize::try_from(index)?) else { return Ok(Vec::new()) };
        let facts = self.message(&this)?.facts.clone();
        let want = usize::try_from(len.min(READ_OCTETS_MAX))?;
        place.source.read(&facts, &mut self.budget, offset, want).await
    }

    async fn symbols(&mut self, this: Resource<MessageHandle>) -> Result<Vec<(String, f32)>> {
        let symbols = self.message(&this)?.facts.symbols.clone();
        self.budget.spend(symbols.iter().map(|(name, _)| name.len() + 4).sum())?;
        Ok(symbols)
    }

    async fn tag(&mut self, this: Resource<MessageHandle>, name: String) -> Result<Option<String>> {
        let tags = &self.message(&this)?.facts.tags;
        let found = tags.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        self.budget.spend(name.len() + found.as_ref().map_or(0, String::len))?;
        Ok(found)
    }

    async fn drop(&mut self, this: Resource<MessageHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl host_session::HostSession for State {
    async fn info(&mut self, this: Resource<SessionHandle>) -> Result<types::SessionInfo> {
        let recipients = self.session(&this)?.facts.transaction.as_ref().map_or(0, |of| of.recipients.len());
        self.budget.spend(256 + 64 * recipients)?;
        Ok(session_info(&self.session(&this)?.facts))
    }

    async fn get_note(&mut self, this: Resource<SessionHandle>, key: String) -> Result<Option<Vec<u8>>> {
        let notes = Arc::clone(&self.session(&this)?.facts.notes);
        let found =
            notes.lock().unwrap_or_else(PoisonError::into_inner).get(&(self.notes_key(), key)).cloned();
        self.budget.spend(found.as_ref().map_or(0, Vec::len))?;
        Ok(found)
    }

    async fn set_note(&mut self, this: Resource<SessionHandle>, key: String, value: Vec<u8>) -> Result<()> {
        self.budget.spend(key.len() + value.len())?;
        let notes = Arc::clone(&self.session(&this)?.facts.notes);
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (self.notes_key(), key);
        let others = notes.iter().filter(|(known, _)| known.0 == place.0 && **known != place);
        let octets: usize = others.map(|((plugin, key), value)| plugin.len() + key.len() + value.len()).sum();
        if octets + place.0.len() + place.1.len() + value.len() > NOTES_OCTETS_MAX {
            return Err(Exhausted("session notes").into());
        }
        notes.insert(place, value);
        Ok(())
    }

    async fn drop(&mut self, this: Resource<SessionHandle>) -> Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn session_info(facts: &SessionFacts) -> types::SessionInfo {
    types::SessionInfo {
        id: facts.id.clone(),
        listener: facts.listener.clone(),
        direction: match facts.direction {
            Direction::Inbound => types::Direction::Inbound,
            Direction::Submission => types::Direction::Submission,
            Direction::Internal => types::Direction::Internal,
        },
        remote_ip: facts.peer.remote.ip().to_string(),
        remote_port: facts.peer.remote.port(),
        local_ip: facts.peer.local.ip().to_string(),
        local_port: facts.peer.local.port(),
        helo: facts.helo.clone(),
        tls: facts.tls.as_ref().map(|tls| types::TlsInfo {
            version: tls.version.clone(),
            cipher: tls.cipher.clone(),
            server_name: tls.server_name.clone(),
        }),
        auth: facts.login.as_ref().filter(|login| login.has_succeeded).map(|login| types::AuthInfo {
            mechanism: login.mechanism.clone(),
            identity: login.identity.clone(),
        }),
        may_relay: facts.may_relay,
        transaction: facts.transaction.as_ref().map(|of| types::TransactionInfo {
            id: of.id.to_string(),
            sender: maitred_policy::facts::plain(&of.reverse_path),
            recipients: of.recipients.iter().map(crate::answer::to_recipient).collect(),
            size: of.size,
            attributes: Vec::new(),
        }),
        started: u64::try_from(facts.started.0).unwrap_or(0),
        attributes: Vec::new(),
    }
}
