//! Whoever watches a mailbox sees every change.

use std::time::Duration;

use maitred_mail::{Entry, Flags, MailboxId, Snapshot, Uid};
use maitred_store::{Changed, Config, FlagOp, Intent, Store};

use crate::kit::{Kit, change, config, on_both};

fn entries(snapshot: &Snapshot) -> Vec<Entry> {
    snapshot.iter().copied().collect()
}

#[tokio::test]
async fn a_watcher_is_told_of_every_kind_of_change() {
    on_both(async |kit| {
        let inbox = kit.inbox().await;
        let mut watch = kit.store.watch(inbox).await.unwrap();
        assert!(watch.snapshot().is_empty());
        let first = kit.deliver(kit.alice, "INBOX", b"1").await;
        watch.changed().await;
        let held = watch.snapshot();
        assert_eq!(held.len(), 1);
        kit.flags(change(inbox, &[first], FlagOp::Add, Flags::SEEN)).await;
        watch.changed().await;
        assert_eq!(watch.snapshot().find(first).unwrap().flags, Flags::SEEN);
        assert_eq!(held.find(first).unwrap().flags, Flags(0), "a snapshot that is held does not change");
        kit.commit([Intent::Expunge { mailbox: inbox, uids: None, only_deleted: false }]).await;
        watch.changed().await;
        assert!(watch.snapshot().is_empty());
        assert!(watch.snapshot().modseq > held.modseq);
        let quiet = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
        assert!(quiet.is_err(), "nothing more happened");
    })
    .await;
}

#[tokio::test]
async fn many_changes_reach_the_watcher_in_order_and_none_is_missed() {
    on_both(async |kit| {
        let inbox = kit.inbox().await;
        let mut watch = kit.store.watch(inbox).await.unwrap();
        let seen = tokio::spawn(async move {
            let mut last = watch.snapshot();
            while last.len() < 200 {
                watch.changed().await;
                let now = watch.snapshot();
                assert!(now.modseq >= last.modseq && now.uid_next >= last.uid_next);
                assert!(now.len() >= last.len());
                last = now;
            }
            last
        });
        let store = kit.store.clone();
        let work = (0..4).map(|_| {
            let kit = Kit { store: store.clone(), alice: kit.alice, bob: kit.bob, folder: None };
            tokio::spawn(async move {
                for _ in 0..50 {
                    let uid = kit.deliver(kit.alice, "INBOX", b"text").await;
                    kit.flags(change(inbox, &[uid], FlagOp::Add, Flags::FLAGGED)).await;
                }
            })
        });
        for task in work.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let last = seen.await.unwrap();
        assert_eq!(last.iter().map(|e| e.uid.0).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
        assert!(kit.snapshot(inbox).await.iter().all(|e| e.flags == Flags::FLAGGED));
        kit.audit(kit.alice).await;
    })
    .await;
}

/// Drops the kept snapshot of a mailbox by watching another one, then loads it anew.
async fn loaded_anew(kit: &Kit, mailbox: MailboxId) -> std::sync::Arc<Snapshot> {
    let other = kit.mailbox(kit.bob, "INBOX").await;
    drop(kit.store.watch(other).await.unwrap());
    kit.snapshot(mailbox).await
}

#[tokio::test]
async fn a_snapshot_followed_equals_one_loaded_anew() {
    let kit = Kit::disk().await;
    let inbox = kit.inbox().await;
    let watch = kit.store.watch(inbox).await.unwrap();
    for n in 0..3000_u32 {
        match n % 10 {
            3 => drop(kit.flags(change(inbox, &[Uid(n / 2)], FlagOp::Add, Flags::SEEN)).await),
            7 => {
                let uids = Some(vec![Uid(n / 3), Uid(n / 5)]);
                kit.commit([Intent::Expunge { mailbox: inbox, uids, only_deleted: false }]).await;
            }
            _ => drop(kit.deliver(kit.alice, "INBOX", b"text").await),
        }
    }
    let followed = watch.snapshot();
    drop(watch);
    let loaded = loaded_anew(&kit, inbox).await;
    assert!(!std::sync::Arc::ptr_eq(&followed, &loaded), "it was loaded");
    assert_eq!(entries(&followed), entries(&loaded));
    assert_eq!((followed.uid_next, followed.modseq), (loaded.uid_next, loaded.modseq));
    kit.audit(kit.alice).await;
    let kit = kit.reopen().await;
    assert_eq!(entries(&*kit.snapshot(inbox).await), entries(&loaded));
    kit.audit(kit.alice).await;
}

#[tokio::test]
async fn a_mailbox_that_is_deleted_is_watched_no_more() {
    on_both(async |kit| {
        let made = kit
            .commit([Intent::CreateMailbox { account: kit.alice, name: "gone".into(), special_use: None }])
            .await;
        let [Changed::Mailbox(id)] = made[..] else { panic!() };
        let mut watch = kit.store.watch(id).await.unwrap();
        kit.commit([Intent::DeleteMailbox { account: kit.alice, name: "gone".into() }]).await;
        assert!(kit.store.watch(id).await.is_err());
        let told = tokio::time::timeout(Duration::from_millis(20), watch.changed()).await;
        assert!(told.is_err(), "it does not spin");
    })
    .await;
}

#[tokio::test]
async fn soon_is_answered_at_once_seen_at_once_and_synced_soon_after() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = Config { should_sync: true, soon: Duration::from_millis(50), ..config(folder.path()) };
    let store = Store::open(&config).unwrap();
    let subscribe = |n: u32| maitred_store::Batch {
        intents: vec![Intent::AddDomain(crate::kit::domain(&format!("d{n}.test")))],
        urgency: maitred_store::Urgency::Soon,
        ..Default::default()
    };
    let before = store.stats().syncs;
    for n in 0..20 {
        assert!(store.commit(subscribe(n)).await.unwrap().durable.is_none());
    }
    assert_eq!(store.directory().domains.len(), 20);
    store.close().await;
    let syncs = store.stats().syncs - before;
    assert!((1..20).contains(&syncs), "{syncs} syncs for 20 commits");
}
