//! A house with two accounts, and clients to read their mail.

use std::future::Future as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use maitred_flow::read::imap::Imap;
use maitred_flow::{Config, House};
use maitred_imap::Session;
use maitred_mail::{AccountId, Address, Domain};
use maitred_policy::Chain;
use maitred_store::{Batch, Faults, Intent, Store};
use maitred_wire::{Clock, Engine as _, Handler as _, Step};

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.0
    }

    fn unix_ms(&self) -> i64 {
        1_795_515_244_000
    }
}

pub struct Test {
    pub house: Arc<House>,
    pub faults: Faults,
}

pub const PASSWORD: &str = "correct horse";
pub const LETTER: &str = "Subject: hello\r\nFrom: A <a@c.test>\r\n\r\nHello, world\r\n";

impl Test {
    /// bob at a.test, without mail; full at a.test, with a quota of 100 octets.
    pub async fn new() -> Self {
        let (store, faults) = Store::memory().unwrap();
        let mut batch = Batch::default();
        batch.intents.push(Intent::AddDomain(Domain::parse("a.test").unwrap()));
        let password_hash = store.hash_password(PASSWORD).await.unwrap();
        for (name, quota) in [("bob@a.test", None), ("full@a.test", Some(100))] {
            let password_hash = password_hash.clone();
            batch.intents.push(Intent::AddAccount {
                address: Address::parse(name).unwrap(),
                password_hash,
                quota,
            });
        }
        store.commit(batch).await.unwrap();
        let chain = Arc::new(Chain::default());
        let mut config = Config { hostname: "mx.a.test".to_owned(), ..Config::default() };
        // Wrong passwords are answered at once: this clock stands still.
        config.limits.auth_failures = 0;
        let clock = Arc::new(TestClock(Instant::now())) as Arc<dyn Clock>;
        let house = House::new(store, Arc::new(move || Arc::clone(&chain)), clock, config);
        Self { house: Arc::new(house), faults }
    }

    pub fn account(&self, address: &str) -> AccountId {
        self.house.store.directory().account(&Address::parse(address).unwrap()).unwrap()
    }

    /// A connection that has been greeted.
    pub async fn connect(&self) -> Client {
        self.connect_with(65_536).await
    }

    /// One whose answers are made in pages of so many octets.
    pub async fn connect_with(&self, page_octets: usize) -> Client {
        let mut config = maitred_imap::Config::new("mx.a.test");
        config.allow_plaintext = true;
        config.limits.page_octets = page_octets;
        let mut client = Client {
            session: Session::new(Arc::new(config)),
            handler: Imap::new(Arc::clone(&self.house), 7, "192.0.2.9:4025".parse().unwrap()),
            house: Arc::clone(&self.house),
            largest: 0,
        };
        client.send(b"").await;
        client
    }

    /// What another session of bob is told when it selects a mailbox.
    pub async fn connect_to(&self, mailbox: &str) -> String {
        let mut client = self.connect().await;
        client.log_in("bob@a.test").await;
        client.ok(&format!("SELECT {mailbox}")).await
    }

    /// bob, with INBOX selected.
    pub async fn bob(&self) -> Client {
        let mut client = self.connect().await;
        client.log_in("bob@a.test").await;
        client.ok("SELECT INBOX").await;
        client
    }
}

/// A client on one connection.
pub struct Client {
    session: Session,
    handler: Imap,
    house: Arc<House>,
    /// The most octets that were sent in one piece.
    pub largest: usize,
}

impl Client {
    pub async fn log_in(&mut self, name: &str) {
        self.ok(&format!("LOGIN {name} \"{PASSWORD}\"")).await;
    }

    /// A command; what comes back, tagged line and all.
    pub async fn say(&mut self, command: &str) -> String {
        let octets = self.send(format!("t {command}\r\n").as_bytes()).await;
        String::from_utf8(octets).unwrap()
    }

    /// A command that succeeds; its untagged responses.
    pub async fn ok(&mut self, command: &str) -> String {
        let said = self.say(command).await;
        let at = said.rfind("t OK").unwrap_or_else(|| panic!("{command}: {said}"));
        said[..at].to_owned()
    }

    /// A command that is refused; the tagged line.
    pub async fn no(&mut self, command: &str) -> String {
        let said = self.say(command).await;
        let at = said.rfind("t NO").unwrap_or_else(|| panic!("{command}: {said}"));
        said[at..].to_owned()
    }

    /// Puts a message into a mailbox without waiting; what comes back.
    pub async fn append(&mut self, mailbox: &str, message: &str) -> String {
        self.say(&format!("APPEND {mailbox} {{{}+}}\r\n{message}", message.len())).await
    }

    /// The handler has something to tell; what it says. Waits for it.
    pub async fn woken(&mut self) -> String {
        tokio::time::timeout(Duration::from_secs(10), self.handler.wake()).await.expect("nothing to tell");
        self.told().await
    }

    /// What it tells now that it is awake.
    pub async fn told(&mut self) -> String {
        self.handler.woken(&mut self.session).await;
        String::from_utf8(self.send(b"").await).unwrap()
    }

    /// True when the handler has something to tell at this moment.
    pub fn is_awake(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(pin!(self.handler.wake()).poll(&mut context), Poll::Ready(()))
    }

    pub async fn send(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = octets;
        loop {
            match self.session.poll(self.house.clock.now()) {
                Step::Send(octets) => {
                    self.largest = self.largest.max(octets.len());
                    out.extend_from_slice(&octets);
                }
                Step::Event(event) => self.handler.handle(&mut self.session, event).await,
                Step::Wait { .. } if !rest.is_empty() => {
                    let taken = self.session.input(rest);
                    rest = &rest[taken..];
                    if taken == 0 {
                        break;
                    }
                }
                Step::Wait { .. } | Step::Close | Step::StartTls => break,
            }
        }
        out
    }
}
