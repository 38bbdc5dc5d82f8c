//! A run that did not end: its files are copied while it goes on, and the copy is opened.

use std::fs;
use std::os::unix::fs::FileExt;

use maitred_mail::{Flags, Uid};
use maitred_store::{Error, FlagOp, Store};

use crate::kit::{self, Kit, change, config};
use crate::{copied, segments};

/// Opens a copy of the files as they are now.
async fn after_crash(kit: &Kit, spoil: impl FnOnce(&std::path::Path)) -> Kit {
    let folder = copied(&kit.path());
    spoil(folder.path());
    let store = Store::open(&config(folder.path())).unwrap();
    Kit { store, alice: kit.alice, bob: kit.bob, folder: Some(folder) }
}

#[tokio::test]
async fn after_an_unclean_end_all_is_there_and_modseqs_skip_ahead() {
    let kit = Kit::disk().await;
    for n in 0..40 {
        let uid = kit.deliver(kit.alice, "INBOX", format!("letter {n}").as_bytes()).await;
        kit.flags(change(kit.inbox().await, &[uid], FlagOp::Add, Flags::SEEN)).await;
    }
    let inbox = kit.inbox().await;
    kit.commit([maitred_store::Intent::Expunge {
        mailbox: inbox,
        uids: Some(vec![Uid(40)]),
        only_deleted: false,
    }])
    .await;
    let before = kit.snapshot(inbox).await;
    let mut crashed = after_crash(&kit, |_| ()).await;
    for _ in 0..2 {
        assert!(crashed.store.opened().is_after_crash);
        crashed.audit(crashed.alice).await;
        let after = crashed.snapshot(inbox).await;
        assert!(before.iter().eq(after.iter().take(39)), "entry by entry");
        assert_eq!(crashed.text(inbox, Uid(39)).await, b"letter 38");
        let (entries, _) = crashed.flags(change(inbox, &[Uid(1)], FlagOp::Add, Flags::SEEN)).await;
        assert_eq!(entries.len(), 1);
        let uid = crashed.deliver(crashed.alice, "INBOX", b"after").await;
        assert!(uid >= Uid(41), "the UID of what was expunged last is not given again");
        let now = crashed.snapshot(inbox).await.modseq;
        assert!(now.0 > after.modseq.0 + 1000, "{now:?} after {:?}", after.modseq);
        crashed.deliver(crashed.alice, "INBOX", b"after").await;
        assert_eq!(crashed.snapshot(inbox).await.modseq.0, now.0 + 1, "once");
        crashed = after_crash(&crashed, |_| ()).await;
    }
    let clean = kit.reopen().await;
    assert!(!clean.store.opened().is_after_crash);
    assert_eq!(clean.store.opened().replayed, 0);
    clean.deliver(clean.alice, "INBOX", b"after").await;
    assert_eq!(clean.snapshot(inbox).await.modseq.0, before.modseq.0 + 1, "a clean end skips nothing");
}

#[tokio::test]
async fn a_group_of_which_only_the_end_reached_the_disk_is_dropped_for_good() {
    let kit = Kit::disk().await;
    let first = kit.deliver(kit.alice, "INBOX", &[b'a'; 6000]).await;
    let end = fs::metadata(&segments(&kit.path())[0]).unwrap().len();
    kit.deliver(kit.alice, "INBOX", &[b'b'; 6000]).await;
    let inbox = kit.inbox().await;
    let mut crashed = after_crash(&kit, |folder| {
        // The index knows nothing yet; a page of the content never arrived.
        fs::remove_dir_all(folder.join("index")).unwrap();
        let log = fs::File::options().write(true).open(&segments(folder)[0]).unwrap();
        log.write_all_at(&[0; 4096], end + 500).unwrap();
    })
    .await;
    assert!(crashed.store.opened().torn_octets > 6000);
    for _ in 0..2 {
        assert_eq!(crashed.snapshot(inbox).await.len(), 1);
        assert_eq!(crashed.text(inbox, first).await, [b'a'; 6000]);
        crashed.audit(crashed.alice).await;
        crashed = after_crash(&crashed, |folder| fs::remove_dir_all(folder.join("index")).unwrap()).await;
        assert_eq!(crashed.store.opened().damaged, 0);
    }
}

#[tokio::test]
async fn one_process_at_a_time() {
    let kit = Kit::disk().await;
    let second = Store::open(&config(&kit.path()));
    assert!(matches!(second, Err(Error::Unavailable(why)) if why.contains("in use")));
    kit.reopen().await.audit(kit::Kit::memory().await.alice).await;
}

#[tokio::test]
async fn large_bodies_that_are_dropped_leave_no_file() {
    let kit = Kit::disk().await;
    let count = segments(&kit.path()).len();
    let large = vec![b'x'; 100_000];
    let draft = kit.body(&large).await;
    assert_eq!(segments(&kit.path()).len(), count + 1, "it has a segment of its own");
    let crashed = after_crash(&kit, |_| ()).await;
    assert!(
        segments(&crashed.path()).iter().all(|s| fs::metadata(s).unwrap().len() < 50_000),
        "gone at the start"
    );
    drop(draft);
    assert_eq!(segments(&kit.path()).len(), count);
    let gone = kit.try_commit_with(&large, [kit::deliver(maitred_mail::AccountId(999), "INBOX")]).await;
    assert!(gone.is_err());
    assert_eq!(segments(&kit.path()).len(), count, "one that was refused leaves none");
    let uid = kit.deliver(kit.alice, "INBOX", &large).await;
    let inbox = kit.inbox().await;
    let crashed = after_crash(&kit, |folder| fs::remove_dir_all(folder.join("index")).unwrap()).await;
    assert_eq!(crashed.text(inbox, uid).await, large);
}

/// A segment whose first page is zeros and whose later ones are not.
fn headless(folder: &std::path::Path) -> std::path::PathBuf {
    let last = segments(folder).pop().unwrap();
    let number: u32 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let path = last.with_file_name(format!("{:08}.seg", number + 1));
    fs::write(&path, [vec![0; 4096], vec![b'x'; 50_000]].concat()).unwrap();
    path
}

#[tokio::test]
async fn a_large_body_of_which_only_later_pages_reached_the_disk_is_no_damage() {
    let kit = Kit::disk().await;
    let uid = kit.deliver(kit.alice, "INBOX", b"letter").await;
    let inbox = kit.inbox().await;
    let mut path = None;
    let crashed = after_crash(&kit, |folder| path = Some(headless(folder))).await;
    let opened = crashed.store.opened();
    assert_eq!(opened.damaged, 0);
    assert!(opened.torn_octets > 50_000);
    assert!(!path.unwrap().exists());
    assert_eq!(crashed.text(inbox, uid).await, b"letter");
}

#[tokio::test]
async fn a_segment_that_lost_its_beginning_without_a_crash_is_damage_and_is_kept() {
    let kit = Kit::disk().await;
    kit.deliver(kit.alice, "INBOX", b"letter").await;
    kit.store.close().await;
    let folder = copied(&kit.path());
    let path = headless(folder.path());
    let store = Store::open(&config(folder.path())).unwrap();
    assert!(!store.opened().is_after_crash);
    assert_eq!(store.opened().damaged, 1);
    assert!(path.exists());
}
