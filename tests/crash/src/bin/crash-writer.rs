//! Commits to a store until it is killed: `crash-writer DIRECTORY FIRST-NUMBER`. Says what was acknowledged, a line each.
//!
//! With a third argument it makes so many small commits, one after the other, and ends.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use maitred_mail::{AccountId, Address, Domain, Flags, MailboxId, Timestamp, Uid};
use maitred_store::{Batch, Changed, FlagChange, FlagOp, Intent, NewBody, Store, Urgency};
use tests_crash::{ACCOUNTS, Chance, config, letter};

/// How many sessions commit at once.
const TASKS: u64 = 12;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().context("no directory")?;
    let first: u64 = arguments.next().context("no first number")?.parse()?;
    let count: Option<u64> = arguments.next().map(|count| count.parse()).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(write(Path::new(&directory), first, count))
}

async fn write(directory: &Path, first: u64, count: Option<u64>) -> Result<()> {
    let store = Store::open(&config(directory))?;
    if store.directory().domains.is_empty() {
        furnish(&store).await?;
    }
    if let Some(count) = count {
        // Numbers that are delivered to one account, and small.
        for number in
            (first..).filter(|number| letter::accounts(*number).len() == 1).take(usize::try_from(count)?)
        {
            deliver(&store, number).await?;
        }
        return Ok(());
    }
    let next = Arc::new(AtomicU64::new(first));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(session(store.clone(), Arc::clone(&next), Chance(first ^ (task << 32)))))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn furnish(store: &Store) -> Result<()> {
    let mut intents = vec![Intent::AddDomain(Domain::parse("a.test")?)];
    for account in 0..ACCOUNTS {
        let address = Address::parse(&format!("a{account}@a.test"))?;
        intents.push(Intent::AddAccount { address, password_hash: "none".to_owned(), quota: None });
    }
    store.commit(Batch { intents, ..Batch::default() }).await?;
    Ok(())
}

/// One line, in one write: it is seen whole or not at all.
fn say(line: &str) -> Result<()> {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

async fn session(store: Store, next: Arc<AtomicU64>, mut chance: Chance) -> Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        for (account, mailbox, uid) in deliver(&store, number).await? {
            match chance.below(8) {
                0 | 1 => flag(&store, number, account, mailbox, uid, Urgency::Now).await?,
                2 => flag(&store, number, account, mailbox, uid, Urgency::Soon).await?,
                3 | 4 => {
                    say(&format!("x {number} {account}"))?;
                    let expunge = Intent::Expunge { mailbox, uids: Some(vec![uid]), only_deleted: false };
                    store.commit(Batch { intents: vec![expunge], ..Batch::default() }).await?;
                    say(&format!("X {number} {account}"))?;
                }
                _ => {}
            }
        }
    }
}

async fn deliver(store: &Store, number: u64) -> Result<Vec<(u64, MailboxId, Uid)>> {
    let mut tail = store.draft();
    for piece in letter::text(number).chunks(8192) {
        tail.write(piece).await?;
    }
    let head = Bytes::from_static(b"Return-Path: <>\r\nSubject: a letter\r\n\r\n");
    let body = NewBody { head, tail, summary: Bytes::from_static(b"none"), local_head: 17 };
    let accounts = letter::accounts(number);
    let mut intents = Vec::new();
    for account in &accounts {
        intents.push(Intent::Deliver {
            account: account_id(store, *account)?,
            mailbox: "INBOX".into(),
            body: 0,
            flags: Flags(0),
            keywords: Vec::new(),
            internal_date: Timestamp(0),
        });
    }
    let receipt = store.commit(Batch { bodies: vec![body], intents, urgency: Urgency::Now }).await?;
    let mut delivered = Vec::new();
    for (account, changed) in accounts.into_iter().zip(receipt.changes) {
        let Changed::Delivered { mailbox, uid, .. } = changed else { bail!("not delivered: {changed:?}") };
        say(&format!("D {number} {account} {}", uid.0))?;
        delivered.push((account, mailbox, uid));
    }
    Ok(delivered)
}

async fn flag(
    store: &Store,
    number: u64,
    account: u64,
    mailbox: MailboxId,
    uid: Uid,
    urgency: Urgency,
) -> Result<()> {
    let flags = Flags::SEEN.with(Flags::FLAGGED);
    let change = FlagChange {
        mailbox,
        uids: vec![uid],
        op: FlagOp::Add,
        flags,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    store.commit(Batch { intents: vec![Intent::Flags(change)], urgency, ..Batch::default() }).await?;
    if urgency == Urgency::Now {
        say(&format!("F {number} {account} {}", flags.0))?;
    }
    Ok(())
}

fn account_id(store: &Store, account: u64) -> Result<AccountId> {
    let address = Address::parse(&format!("a{account}@a.test"))?;
    store.directory().account(&address).context("no such account")
}
