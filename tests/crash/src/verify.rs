//! The store against the ledger.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use maitred_mail::{AccountId, Address, Entry, Flags, MailboxId, Uid};
use maitred_store::{Opened, Store};

use crate::ledger::{Expunge, Ledger, Mark};
use crate::{ACCOUNTS, config, letter};

/// Opens the store, compares all of it, and ends it cleanly.
///
/// # Errors
/// Whatever was acknowledged and is not so, or went backwards.
pub async fn verify(directory: &Path, ledger: &mut Ledger) -> Result<Opened> {
    let store = Store::open(&config(directory)).context("the store does not open")?;
    let opened = store.opened().clone();
    ensure!(opened.damaged == 0, "damaged: {opened:?}");
    let mut found = BTreeMap::new();
    for account in 0..ACCOUNTS {
        let address = Address::parse(&format!("a{account}@a.test"))?;
        let Some(id) = store.directory().account(&address) else {
            ensure!(ledger.acknowledged == 0, "account {address} is gone");
            continue;
        };
        mailbox(&store, account, id, ledger, &mut found).await?;
    }
    acknowledged(ledger, &found)?;
    whole_batches(ledger, &found)?;
    let checked = store.check().await?;
    ensure!(checked.damage.is_empty() && checked.messages.is_empty(), "spoiled: {checked:?}");
    store.close().await;
    Ok(opened)
}

/// Copies that are there, by number and account.
type Found = BTreeMap<(u64, u64), Entry>;

async fn mailbox(
    store: &Store,
    account: u64,
    id: AccountId,
    ledger: &mut Ledger,
    found: &mut Found,
) -> Result<()> {
    let inbox = store.mailbox(id, "INBOX").await?;
    let mailbox: MailboxId = inbox.id.context("INBOX is a name only")?;
    let snapshot = store.watch(mailbox).await?.snapshot();
    let mark =
        Mark { uid_validity: snapshot.uid_validity, uid_next: snapshot.uid_next, modseq: snapshot.modseq };
    if let Some(before) = ledger.marks.insert(account, mark) {
        ensure!(before.uid_validity == mark.uid_validity, "{account}: {before:?}, then {mark:?}");
        ensure!(
            before.uid_next <= mark.uid_next && before.modseq <= mark.modseq,
            "{account}: {before:?}, then {mark:?}"
        );
    }
    let unseen = snapshot.iter().filter(|entry| !entry.flags.has(Flags::SEEN)).count();
    ensure!(
        (inbox.messages, inbox.unseen as usize) == (snapshot.len(), unseen),
        "{account}: counters are wrong"
    );
    let uids: Vec<Uid> = snapshot.iter().map(|entry| entry.uid).collect();
    let records = store.records(mailbox, &uids).await?;
    ensure!(records.len() == uids.len(), "{account}: {} records for {} messages", records.len(), uids.len());
    for (record, entry) in records.iter().zip(snapshot.iter()) {
        ensure!(record.uid == entry.uid && entry.uid < snapshot.uid_next, "{account}: {:?}", entry.uid);
        let content = store.body(&record.body).read(0, usize::MAX).await?;
        let number = letter::number_of(&content)
            .with_context(|| format!("{account}: {:?} is not whole", entry.uid))?;
        ensure!(
            letter::accounts(number).contains(&account),
            "{account}: letter {number} is for somebody else"
        );
        ensure!(
            found.insert((number, account), *entry).is_none(),
            "{account}: letter {number} is there twice"
        );
    }
    Ok(())
}

fn acknowledged(ledger: &Ledger, found: &Found) -> Result<()> {
    for ((number, account), copy) in &ledger.copies {
        let entry = found.get(&(*number, *account));
        let uid_next = ledger.marks.get(account).map_or(Uid(0), |mark| mark.uid_next);
        ensure!(copy.uid < uid_next, "{account}: UIDNEXT {uid_next:?} after {:?} was given", copy.uid);
        match (copy.expunge, entry) {
            (Expunge::No, None) => anyhow::bail!("{account}: letter {number} is lost"),
            (Expunge::Done, Some(_)) => anyhow::bail!("{account}: letter {number} is back"),
            (_, Some(entry)) => {
                ensure!(
                    entry.uid == copy.uid,
                    "{account}: letter {number} is {:?}, was {:?}",
                    entry.uid,
                    copy.uid
                );
                ensure!(entry.flags.has(Flags(copy.flags)), "{account}: flags of letter {number} are lost");
            }
            (Expunge::Asked | Expunge::Done, None) => {}
        }
    }
    Ok(())
}

/// A letter to two accounts is with both or with none, unless it was expunged.
fn whole_batches(ledger: &Ledger, found: &Found) -> Result<()> {
    for (number, _) in found.keys() {
        for account in letter::accounts(*number) {
            let is_known = ledger.copies.contains_key(&(*number, account));
            ensure!(
                is_known || found.contains_key(&(*number, account)),
                "letter {number} is with one of two only"
            );
        }
    }
    Ok(())
}
