//! Stand-ins for the host, to test a plugin as plain Rust.

#[cfg(all(feature = "fixtures", not(target_family = "wasm")))]
mod answers;
#[cfg(not(target_family = "wasm"))]
mod fakes;
#[cfg(all(feature = "fixtures", not(target_family = "wasm")))]
pub mod fixtures;
mod parts;
#[cfg(all(feature = "fixtures", not(target_family = "wasm")))]
mod told;
mod words;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;

#[cfg(not(target_family = "wasm"))]
pub(crate) use fakes::{authentication, directory, dns, http, metrics, random, store, submit};
#[cfg(not(target_family = "wasm"))]
pub(crate) use world::now_ms;
pub use world::{World, set_now_ms, world};

use crate::{Direction, Envelope, Message, Part, Recipient, Session, SessionInfo};

/// A session that says what it is told to say.
#[derive(Debug, Clone)]
pub struct FakeSession {
    /// What it says.
    pub info: SessionInfo,
    notes: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Default for FakeSession {
    fn default() -> Self {
        let info = SessionInfo {
            id: "s1".to_owned(),
            listener: "smtp".to_owned(),
            direction: Direction::Inbound,
            remote_ip: "192.0.2.1".to_owned(),
            remote_port: 40000,
            helo: Some("client.example".to_owned()),
            tls_version: None,
            account: None,
            may_relay: false,
            transaction: None,
            started_ms: 0,
        };
        Self { info, notes: RefCell::default() }
    }
}

impl Session for FakeSession {
    fn info(&self) -> SessionInfo {
        self.info.clone()
    }

    fn note(&self, key: &str) -> Option<Vec<u8>> {
        self.notes.borrow().get(key).cloned()
    }

    fn set_note(&self, key: &str, value: &[u8]) {
        self.notes.borrow_mut().insert(key.to_owned(), value.to_vec());
    }
}

/// A message made from text.
#[derive(Debug, Clone)]
pub struct FakeMessage {
    /// What it travels with.
    pub envelope: Envelope,
    /// Findings of earlier plugins.
    pub symbols: Vec<(String, f32)>,
    /// Tags of earlier plugins.
    pub tags: BTreeMap<String, String>,
    /// What it is made of, each with its octets. At first as the text says, one level deep and without undoing transfer
    /// encodings.
    pub parts: Vec<(Part, Vec<u8>)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl FakeMessage {
    /// Header fields, an empty line, the body; lines end in LF or CRLF.
    pub fn new(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in head.lines() {
            match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => value.push_str(line),
                (_, _, Some((name, value))) => headers.push((name.to_owned(), value.trim().to_owned())),
                _ => {}
            }
        }
        let recipient = Recipient { address: "bob@a.test".to_owned(), original: None };
        let body = body.replace('\n', "\r\n").into_bytes();
        let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
        Self {
            parts: parts::parts(content_type.map(|(_, value)| value.as_str()), &body),
            envelope: Envelope { sender: "alice@b.test".to_owned(), recipients: vec![recipient] },
            symbols: Vec::new(),
            tags: BTreeMap::new(),
            headers,
            body,
        }
    }
}

impl Message for FakeMessage {
    fn id(&self) -> String {
        "m1".to_owned()
    }

    fn envelope(&self) -> Envelope {
        self.envelope.clone()
    }

    fn size(&self) -> u64 {
        let head: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        (head + 2 + self.body.len()) as u64
    }

    fn header(&self, name: &str) -> Option<String> {
        self.header_all(name).into_iter().next()
    }

    fn header_all(&self, name: &str) -> Vec<String> {
        let of_that_name = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        of_that_name.map(|(_, value)| words::decoded(value)).collect()
    }

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
    }

    fn header_many(&self, names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| self.header(name)).collect()
    }

    fn read_body(&self, offset: u64, octets_max: u32) -> Vec<u8> {
        piece(&self.body, offset, octets_max)
    }

    fn read_raw(&self, offset: u64, octets_max: u32) -> Vec<u8> {
        let head: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        piece(&[head.as_bytes(), b"\r\n", &self.body].concat(), offset, octets_max)
    }

    fn parts(&self) -> Vec<Part> {
        self.parts.iter().map(|(part, _)| part.clone()).collect()
    }

    fn part_text(&self, index: u32, octets_max: u32) -> Option<String> {
        let (part, octets) = self.parts.get(index as usize)?;
        let text = String::from_utf8_lossy(&piece(octets, 0, octets_max)).into_owned();
        part.content_type.starts_with("text/").then_some(text)
    }

    fn part_read(&self, index: u32, offset: u64, octets_max: u32) -> Vec<u8> {
        let part = self.parts.get(index as usize);
        part.map(|(_, octets)| piece(octets, offset, octets_max)).unwrap_or_default()
    }

    fn symbols(&self) -> Vec<(String, f32)> {
        self.symbols.clone()
    }

    fn tag(&self, name: &str) -> Option<String> {
        self.tags.get(name).cloned()
    }
}

fn piece(octets: &[u8], offset: u64, octets_max: u32) -> Vec<u8> {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
    let to = from.saturating_add(octets_max as usize).min(octets.len());
    octets[from..to].to_vec()
}
