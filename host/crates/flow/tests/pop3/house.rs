//! A house with two accounts, and clients to read their mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_flow::read::pop3::Pop3;
use maitred_flow::{Config, House};
use maitred_mail::{AccountId, Address, Domain, Flags, MailboxId, Timestamp, Uid};
use maitred_policy::Chain;
use maitred_pop3::Session;
use maitred_store::{Batch, Faults, Intent, NewBody, Store};
use maitred_wire::{Clock, Engine as _, Handler as _, Step};

pub struct TestClock {
    start: Instant,
    passed_ms: AtomicU64,
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.passed_ms.load(Ordering::Relaxed))
    }

    fn unix_ms(&self) -> i64 {
        1_795_515_244_000
    }
}

pub struct Test {
    pub house: Arc<House>,
    pub faults: Faults,
    clock: Arc<TestClock>,
}

pub const PASSWORD: &str = "correct horse";

impl Test {
    /// bob and amy at a.test, without mail.
    pub async fn new() -> Self {
        let (store, faults) = Store::memory().unwrap();
        Self::fill(&store).await;
        Self::with(store, faults)
    }

    /// The same on disk, where it may be already.
    pub async fn on_disk(folder: &std::path::Path) -> Self {
        let store = Store::open(&maitred_store::Config::new(folder)).unwrap();
        if store.accounts().await.unwrap().is_empty() {
            Self::fill(&store).await;
        }
        Self::with(store, Faults::default())
    }

    async fn fill(store: &Store) {
        let mut batch = Batch::default();
        batch.intents.push(Intent::AddDomain(Domain::parse("a.test").unwrap()));
        let password_hash = store.hash_password(PASSWORD).await.unwrap();
        for name in ["bob@a.test", "amy@a.test"] {
            let password_hash = password_hash.clone();
            batch.intents.push(Intent::AddAccount { address: at(name), password_hash, quota: None });
        }
        store.commit(batch).await.unwrap();
    }

    fn with(store: Store, faults: Faults) -> Self {
        let clock = Arc::new(TestClock { start: Instant::now(), passed_ms: AtomicU64::new(0) });
        let chain = Arc::new(Chain::default());
        let config = Config { hostname: "mx.a.test".to_owned(), ..Config::default() };
        let chains = Arc::new(move || Arc::clone(&chain));
        let house = House::new(store, chains, Arc::clone(&clock) as Arc<dyn Clock>, config);
        Self { house: Arc::new(house), faults, clock }
    }

    pub fn account(&self, address: &str) -> AccountId {
        self.house.store.directory().account(&at(address)).unwrap()
    }

    /// Puts messages into bob's INBOX, all at once.
    pub async fn deliver(&self, contents: &[&[u8]]) {
        let mut batch = Batch::default();
        for (body, content) in contents.iter().enumerate() {
            let end =
                content.windows(4).position(|four| four == b"\r\n\r\n").map_or(content.len(), |at| at + 4);
            let (head, tail) = content.split_at(end);
            let mut draft = self.house.store.draft();
            draft.write(tail).await.unwrap();
            let head = Bytes::copy_from_slice(head);
            batch.bodies.push(NewBody { head, tail: draft, summary: Bytes::new(), local_head: 0 });
            batch.intents.push(Intent::Deliver {
                account: self.account("bob@a.test"),
                mailbox: "INBOX".into(),
                body,
                flags: Flags::default(),
                keywords: Vec::new(),
                internal_date: Timestamp(0),
            });
        }
        self.house.store.commit(batch).await.unwrap();
    }

    pub async fn inbox(&self) -> MailboxId {
        self.house.store.mailbox(self.account("bob@a.test"), "INBOX").await.unwrap().id.unwrap()
    }

    /// UIDs and whether they are seen.
    pub async fn entries(&self) -> Vec<(u32, bool)> {
        let snapshot = self.house.store.watch(self.inbox().await).await.unwrap().snapshot();
        snapshot.iter().map(|entry| (entry.uid.0, entry.flags.has(Flags::SEEN))).collect()
    }

    /// Another client expunges.
    pub async fn expunge(&self, uids: &[u32]) {
        let uids = Some(uids.iter().copied().map(Uid).collect());
        let intent = Intent::Expunge { mailbox: self.inbox().await, uids, only_deleted: false };
        self.house.store.commit(Batch { intents: vec![intent], ..Batch::default() }).await.unwrap();
    }

    pub async fn connect(&self) -> Client {
        let mut config = maitred_pop3::Config::new("mx.a.test");
        config.allow_plaintext = true;
        let mut client = Client {
            session: Session::new(Arc::new(config)),
            handler: Pop3::new(Arc::clone(&self.house), 7, "192.0.2.9:4025".parse().unwrap()),
            clock: Arc::clone(&self.clock),
            is_over: false,
        };
        assert_eq!(client.pump(b"").await, b"+OK mx.a.test POP3 ready\r\n");
        client
    }

    /// A client that has logged in as bob.
    pub async fn bob(&self) -> Client {
        let mut client = self.connect().await;
        let said = client.log_in("bob@a.test", PASSWORD).await;
        assert!(said.starts_with("+OK "), "{said}");
        client
    }
}

pub fn at(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A client on one connection. Dropping it without more ado is what a crashed driver would do.
pub struct Client {
    session: Session,
    handler: Pop3,
    clock: Arc<TestClock>,
    pub is_over: bool,
}

impl Client {
    /// Says a line; what comes back.
    pub async fn say(&mut self, line: &str) -> String {
        String::from_utf8(self.octets(line).await).unwrap()
    }

    /// Says a line; what comes back, as octets.
    pub async fn octets(&mut self, line: &str) -> Vec<u8> {
        self.pump(format!("{line}\r\n").as_bytes()).await
    }

    /// The response to PASS.
    pub async fn log_in(&mut self, name: &str, password: &str) -> String {
        self.say(&format!("USER {name}")).await;
        self.say(&format!("PASS {password}")).await
    }

    /// The connection is gone, as the driver tells it.
    pub async fn vanish(mut self) {
        self.handler.closed(&mut self.session).await;
    }

    async fn pump(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = octets;
        loop {
            match self.session.poll(self.clock.now()) {
                Step::Send(octets) => out.extend_from_slice(&octets),
                Step::Event(event) => self.handler.handle(&mut self.session, event).await,
                Step::Wait { .. } if !rest.is_empty() => {
                    let taken = self.session.input(rest);
                    rest = &rest[taken..];
                    if taken == 0 {
                        break;
                    }
                }
                // A response is held back: time passes.
                Step::Wait { until: Some(until) } if until < self.clock.now() + Duration::from_mins(1) => {
                    let wait = until - self.clock.now();
                    let ms = u64::try_from(wait.as_millis()).unwrap() + 1;
                    self.clock.passed_ms.fetch_add(ms, Ordering::Relaxed);
                }
                Step::Wait { .. } => break,
                Step::Close | Step::StartTls => {
                    self.is_over = true;
                    break;
                }
            }
        }
        out
    }
}
