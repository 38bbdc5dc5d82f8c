//! A store with two accounts, and short words for what tests do with it.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{AccountId, Address, Domain, Flags, MailboxId, Snapshot, Timestamp, Uid};
use maitred_store::{
    Batch, BodyRef, Changed, Config, Error, FlagChange, FlagOp, Intent, MessageRecord, NewBody, Store,
    Urgency,
};
use tempfile::TempDir;

pub const ALICE: &str = "alice@a.test";
pub const BOB: &str = "bob@a.test";
pub const DATE: Timestamp = Timestamp(1_700_000_000_000);
/// Every head of [`Kit::body`] begins with so many octets for local readers only.
pub const LOCAL_HEAD: &str = "Return-Path: <>\r\n";

pub struct Kit {
    pub store: Store,
    pub alice: AccountId,
    pub bob: AccountId,
    pub folder: Option<TempDir>,
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// Small segments and a small inline limit, so that little mail passes all ways; nothing is synced, which only a power cut
/// would notice.
pub fn config(path: &Path) -> Config {
    Config {
        should_sync: false,
        segment_octets: 64 << 10,
        inline_octets_max: 16 << 10,
        snapshots_max: 0,
        reserve_octets: 0,
        ..Config::new(path)
    }
}

/// The same check on each engine.
pub async fn on_both(check: impl AsyncFn(Kit)) {
    println!("in memory");
    check(Kit::memory().await).await;
    println!("on disk");
    check(Kit::disk().await).await;
}

impl Kit {
    pub async fn memory() -> Self {
        Self::furnish(Store::memory().unwrap().0, None).await
    }

    pub async fn disk() -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&config(folder.path())).unwrap();
        Self::furnish(store, Some(folder)).await
    }

    async fn furnish(store: Store, folder: Option<TempDir>) -> Self {
        let mut kit = Self { store, alice: AccountId(0), bob: AccountId(0), folder };
        let account = |name| Intent::AddAccount {
            address: address(name),
            password_hash: "none".to_owned(),
            quota: None,
        };
        let made = kit.commit([Intent::AddDomain(domain("a.test")), account(ALICE), account(BOB)]).await;
        let [_, Changed::Account(alice), Changed::Account(bob)] = made[..] else { panic!("{made:?}") };
        (kit.alice, kit.bob) = (alice, bob);
        kit
    }

    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().to_owned()
    }

    /// Ends the store and opens it again.
    pub async fn reopen(self) -> Self {
        let Self { store, alice, bob, folder } = self;
        store.close().await;
        drop(store);
        let store = Store::open(&config(folder.as_ref().unwrap().path())).unwrap();
        Self { store, alice, bob, folder }
    }

    pub async fn body(&self, text: &[u8]) -> NewBody {
        let mut tail = self.store.draft();
        for piece in text.chunks(5000) {
            tail.write(piece).await.unwrap();
        }
        let head = Bytes::from(format!("{LOCAL_HEAD}Subject: test\r\n\r\n"));
        NewBody { head, tail, summary: Bytes::from_static(b"summary"), local_head: LOCAL_HEAD.len() as u32 }
    }

    pub async fn try_commit(&self, intents: impl IntoIterator<Item = Intent>) -> Result<Vec<Changed>, Error> {
        let batch = Batch { intents: intents.into_iter().collect(), ..Batch::default() };
        self.store.commit(batch).await.map(|receipt| receipt.changes)
    }

    pub async fn commit(&self, intents: impl IntoIterator<Item = Intent>) -> Vec<Changed> {
        self.try_commit(intents).await.unwrap()
    }

    /// Commits with one body.
    pub async fn try_commit_with(
        &self,
        text: &[u8],
        intents: impl IntoIterator<Item = Intent>,
    ) -> Result<Vec<Changed>, Error> {
        let bodies = vec![self.body(text).await];
        let batch = Batch { bodies, intents: intents.into_iter().collect(), urgency: Urgency::Now };
        self.store.commit(batch).await.map(|receipt| receipt.changes)
    }

    pub async fn deliver(&self, account: AccountId, mailbox: &str, text: &[u8]) -> Uid {
        let changes = self.try_commit_with(text, [deliver(account, mailbox)]).await.unwrap();
        let [Changed::Delivered { uid, .. }] = changes[..] else { panic!("{changes:?}") };
        uid
    }

    pub async fn flags(&self, change: FlagChange) -> (Vec<maitred_mail::Entry>, Vec<Uid>) {
        let mut changes = self.commit([Intent::Flags(change)]).await;
        let Some(Changed::Flags { entries, modified }) = changes.pop() else { panic!("{changes:?}") };
        (entries.to_vec(), modified)
    }

    pub async fn mailbox(&self, account: AccountId, name: &str) -> MailboxId {
        self.store.mailbox(account, name).await.unwrap().id.unwrap()
    }

    pub async fn inbox(&self) -> MailboxId {
        self.mailbox(self.alice, "INBOX").await
    }

    pub async fn snapshot(&self, mailbox: MailboxId) -> Arc<Snapshot> {
        self.store.watch(mailbox).await.unwrap().snapshot()
    }

    pub async fn record(&self, mailbox: MailboxId, uid: Uid) -> Option<MessageRecord> {
        self.store.records(mailbox, &[uid]).await.unwrap().pop()
    }

    pub async fn whole(&self, body: &BodyRef) -> Vec<u8> {
        let body = self.store.body(body);
        body.read(0, body.octets() as usize).await.unwrap().to_vec()
    }

    /// The text that [`Kit::body`] was made of.
    pub async fn text(&self, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
        let record = self.record(mailbox, uid).await.unwrap();
        let whole = self.whole(&record.body).await;
        assert_eq!(whole.len() as u64, record.octets);
        whole.strip_prefix(format!("{LOCAL_HEAD}Subject: test\r\n\r\n").as_bytes()).unwrap().to_vec()
    }

    /// Snapshot, counters and records of every mailbox of an account say the same; what is used is their sum.
    pub async fn audit(&self, account: AccountId) {
        let mut used = 0;
        for found in self.store.mailboxes(account).await.unwrap() {
            let Some(id) = found.id else { continue };
            let snapshot = self.snapshot(id).await;
            let uids: Vec<Uid> = snapshot.iter().map(|entry| entry.uid).collect();
            assert!(uids.is_sorted_by(|a, b| a < b), "UIDs ascend");
            assert!(snapshot.iter().all(|entry| entry.modseq <= snapshot.modseq), "no entry is ahead");
            assert_eq!(found.messages, snapshot.len(), "messages of {}", found.name);
            let unseen = snapshot.iter().filter(|entry| !entry.flags.has(Flags::SEEN)).count();
            assert_eq!(found.unseen as usize, unseen, "unseen of {}", found.name);
            assert_eq!((found.uid_next, found.uid_validity), (snapshot.uid_next, snapshot.uid_validity));
            let records = self.store.records(id, &uids).await.unwrap();
            assert_eq!(records.iter().map(|r| r.uid).collect::<Vec<_>>(), uids, "records of {}", found.name);
            used += records.iter().map(|record| record.octets).sum::<u64>();
        }
        assert_eq!(self.store.account(account).unwrap().used, used, "what is used is the sum");
    }
}

pub fn deliver(account: AccountId, mailbox: &str) -> Intent {
    Intent::Deliver {
        account,
        mailbox: mailbox.into(),
        body: 0,
        flags: Flags(0),
        keywords: Vec::new(),
        internal_date: DATE,
    }
}

pub fn change(mailbox: MailboxId, uids: &[Uid], op: FlagOp, flags: Flags) -> FlagChange {
    FlagChange { mailbox, uids: uids.to_vec(), op, flags, keywords: Vec::new(), unchanged_since: None }
}
