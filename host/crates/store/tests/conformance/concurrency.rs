//! Many sessions at once.

use maitred_mail::{Flags, Uid};
use maitred_store::{Changed, FlagOp, Intent};

use crate::kit::{Kit, change, on_both};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_deliver_flag_move_and_expunge_at_once() {
    on_both(async |kit| {
        let (inbox, archive) = (kit.inbox().await, kit.mailbox(kit.alice, "Archive").await);
        let tasks: Vec<_> = (0..16_u32)
            .map(|task| {
                let kit = Kit { store: kit.store.clone(), alice: kit.alice, bob: kit.bob, folder: None };
                tokio::spawn(async move {
                    let mut delivered = Vec::new();
                    for n in 0..40_u32 {
                        let text = format!("{task} {n} {}", "x".repeat((n as usize) * 40));
                        let uid = kit.deliver(kit.alice, "INBOX", text.as_bytes()).await;
                        assert_eq!(
                            kit.text(inbox, uid).await,
                            text.as_bytes(),
                            "read as soon as acknowledged"
                        );
                        delivered.push(uid);
                        match n % 4 {
                            0 => drop(kit.flags(change(inbox, &[uid], FlagOp::Add, Flags::SEEN)).await),
                            1 => {
                                let moved = kit
                                    .commit([Intent::Move { from: inbox, uids: vec![uid], to: archive }])
                                    .await;
                                let [Changed::Copied { uids, .. }] = &moved[..] else { panic!() };
                                assert_eq!(kit.text(archive, uids[0].1).await, text.as_bytes());
                            }
                            2 => {
                                let uids = Some(vec![uid]);
                                kit.commit([Intent::Expunge { mailbox: inbox, uids, only_deleted: false }])
                                    .await;
                                assert!(kit.record(inbox, uid).await.is_none());
                            }
                            _ => {}
                        }
                    }
                    delivered
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            let uids = task.await.unwrap();
            assert!(uids.is_sorted(), "a session sees UIDs ascend");
            all.extend(uids);
        }
        all.sort();
        assert_eq!(all, (1..=640).map(Uid).collect::<Vec<_>>(), "each UID once");
        assert_eq!(kit.snapshot(inbox).await.len(), 320);
        assert_eq!(kit.snapshot(archive).await.len(), 160);
        kit.audit(kit.alice).await;
        let stats = kit.store.stats();
        assert!(stats.groups < stats.commits, "commits share groups: {stats:?}");
    })
    .await;
}

#[tokio::test]
async fn what_fails_is_told_and_nothing_of_it_is_seen() {
    let (store, faults) = maitred_store::Store::memory().unwrap();
    store
        .commit(maitred_store::Batch {
            intents: vec![Intent::AddDomain(crate::kit::domain("a.test"))],
            ..Default::default()
        })
        .await
        .unwrap();
    faults.fail_after(1, maitred_store::Error::Full);
    let add = |name: &str| maitred_store::Batch {
        intents: vec![Intent::AddDomain(crate::kit::domain(name))],
        ..Default::default()
    };
    store.commit(add("b.test")).await.unwrap();
    assert!(matches!(store.commit(add("c.test")).await, Err(maitred_store::Error::Full)));
    assert!(!store.directory().is_local(&crate::kit::domain("c.test")));
    store.commit(add("c.test")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_announced_gathers_commits_and_keeps_none_of_them() {
    on_both(async |kit| {
        // Announced and never sent: whoever commits meanwhile has to be answered all the same.
        let forgotten = kit.store.announce();
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let kit = Kit { store: kit.store.clone(), alice: kit.alice, bob: kit.bob, folder: None };
                tokio::spawn(async move {
                    for n in 0..20 {
                        let coming = kit.store.announce();
                        tokio::task::yield_now().await;
                        drop(coming);
                        kit.deliver(kit.alice, "INBOX", format!("{task} {n}").as_bytes()).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        drop(forgotten);
        let inbox = kit.inbox().await;
        assert_eq!(kit.snapshot(inbox).await.len(), 160);
        kit.audit(kit.alice).await;
        let stats = kit.store.stats();
        assert!(stats.groups < stats.commits, "commits share groups: {stats:?}");
    })
    .await;
}
