//! Deliver, flags, copy, move, expunge.

use maitred_mail::{Flags, Keywords, Uid};
use maitred_store::{Batch, Changed, Error, FlagChange, FlagOp, Intent, Urgency};

use crate::kit::{DATE, Kit, LOCAL_HEAD, change, deliver, on_both};

async fn three(kit: &Kit) -> [Uid; 3] {
    let mut uids = [Uid(0); 3];
    for uid in &mut uids {
        *uid = kit.deliver(kit.alice, "INBOX", b"a letter\r\n").await;
    }
    uids
}

#[tokio::test]
async fn one_body_reaches_several_accounts_and_is_stored_once() {
    on_both(async |kit| {
        let text = vec![b'x'; 9000];
        let before = kit.store.stats().log_octets;
        let all = [deliver(kit.alice, "INBOX"), deliver(kit.bob, "INBOX"), deliver(kit.bob, "Lists/rust")];
        kit.try_commit_with(&text, all).await.unwrap();
        assert!(kit.store.stats().log_octets - before < 12_000, "stored once");
        for (account, name) in [(kit.alice, "INBOX"), (kit.bob, "INBOX"), (kit.bob, "Lists/rust")] {
            let id = kit.mailbox(account, name).await;
            assert_eq!(kit.text(id, Uid(1)).await, text);
            let record = kit.record(id, Uid(1)).await.unwrap();
            assert_eq!((record.internal_date, &record.summary[..]), (DATE, &b"summary"[..]));
        }
        let parent =
            kit.store.mailboxes(kit.bob).await.unwrap().into_iter().find(|m| &*m.name == "Lists").unwrap();
        assert_eq!(parent.id, None, "a parent that nobody created is a name only");
        kit.audit(kit.alice).await;
        kit.audit(kit.bob).await;
    })
    .await;
}

#[tokio::test]
async fn bodies_of_every_size_are_read_back_in_any_pieces() {
    on_both(async |kit| {
        for octets in [0, 1, 4096, 16 << 10, (16 << 10) + 1, 200_000] {
            let text: Vec<u8> = (0..octets).map(|at: u32| (at % 251) as u8).collect();
            let uid = kit.deliver(kit.alice, "INBOX", &text).await;
            let inbox = kit.inbox().await;
            assert_eq!(kit.text(inbox, uid).await, text);
            let reference = kit.record(inbox, uid).await.unwrap().body;
            let whole = kit.whole(&reference).await;
            let body = kit.store.body(&reference);
            for (at, max) in
                [(0, 7), (30, 10), (whole.len() as u64, 10), (whole.len() as u64 + 5, 10), (3, 1 << 30)]
            {
                let from = (at as usize).min(whole.len());
                let to = from.saturating_add(max).min(whole.len());
                assert_eq!(body.read(at, max).await.unwrap(), whole[from..to], "{octets}: {max} at {at}");
            }
            let relayed = kit.store.relay_body(&reference);
            assert_eq!(relayed.octets() as usize, whole.len() - LOCAL_HEAD.len());
            assert_eq!(relayed.read(0, usize::MAX).await.unwrap(), whole[LOCAL_HEAD.len()..]);
        }
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_summary_of_any_size_comes_back() {
    on_both(async |kit| {
        for octets in [0, 100, 16 << 10, 100_000] {
            let mut body = kit.body(b"text").await;
            body.summary = vec![7; octets].into();
            let batch =
                Batch { bodies: vec![body], intents: vec![deliver(kit.bob, "INBOX")], urgency: Urgency::Now };
            let receipt = kit.store.commit(batch).await.unwrap();
            assert!(receipt.durable.is_some());
            let [Changed::Delivered { mailbox, uid, .. }] = receipt.changes[..] else { panic!() };
            let record = kit.record(mailbox, uid).await.unwrap();
            assert_eq!(kit.store.summary(&record).await.unwrap(), vec![7; octets]);
            assert_eq!(kit.text(mailbox, uid).await, b"text");
        }
    })
    .await;
}

#[tokio::test]
async fn flags_are_set_added_and_removed() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let inbox = kit.inbox().await;
        let (entries, _) =
            kit.flags(change(inbox, &uids[..2], FlagOp::Add, Flags::SEEN.with(Flags::FLAGGED))).await;
        assert_eq!(entries[0].modseq, entries[1].modseq, "one command, one mod-sequence");
        assert!(entries[0].modseq > kit.snapshot(inbox).await.find(uids[2]).unwrap().modseq);
        assert_eq!(kit.store.mailbox(kit.alice, "INBOX").await.unwrap().unseen, 1);
        kit.flags(change(inbox, &uids, FlagOp::Remove, Flags::SEEN)).await;
        kit.flags(change(inbox, &uids[2..], FlagOp::Set, Flags::ANSWERED)).await;
        let flags: Vec<Flags> = kit.snapshot(inbox).await.iter().map(|e| e.flags).collect();
        assert_eq!(flags, [Flags::FLAGGED, Flags::FLAGGED, Flags::ANSWERED]);
        let before = kit.snapshot(inbox).await.modseq;
        let (entries, _) = kit.flags(change(inbox, &[uids[2], Uid(99)], FlagOp::Add, Flags::ANSWERED)).await;
        assert_eq!(
            (entries.len(), kit.snapshot(inbox).await.modseq),
            (1, before),
            "what was so changes nothing"
        );
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn unchanged_since_keeps_what_was_changed() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let inbox = kit.inbox().await;
        let since = kit.snapshot(inbox).await.modseq;
        kit.flags(change(inbox, &uids[1..2], FlagOp::Add, Flags::SEEN)).await;
        let guarded =
            FlagChange { unchanged_since: Some(since), ..change(inbox, &uids, FlagOp::Set, Flags::DRAFT) };
        let (entries, modified) = kit.flags(guarded).await;
        assert_eq!(entries.iter().map(|e| e.uid).collect::<Vec<_>>(), [uids[0], uids[2]]);
        assert_eq!(modified, [uids[1]]);
        assert_eq!(kit.snapshot(inbox).await.find(uids[1]).unwrap().flags, Flags::SEEN);
    })
    .await;
}

#[tokio::test]
async fn keywords_get_bits_and_follow_copies() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let inbox = kit.inbox().await;
        let with = |names: &[&str], op| FlagChange {
            keywords: names.iter().map(|n| Box::from(*n)).collect(),
            ..change(inbox, &uids[..1], op, Flags(0))
        };
        kit.flags(with(&["$Junk", "todo"], FlagOp::Add)).await;
        kit.flags(with(&["TODO"], FlagOp::Add)).await;
        kit.flags(with(&["$junk", "never"], FlagOp::Remove)).await;
        let snapshot = kit.snapshot(inbox).await;
        assert_eq!(*snapshot.keyword_names, ["$Junk".into(), "todo".into()], "names keep their first case");
        assert_eq!(snapshot.find(uids[0]).unwrap().keywords, Keywords(2));
        let work = kit
            .commit([Intent::CreateMailbox { account: kit.alice, name: "Work".into(), special_use: None }])
            .await;
        let [Changed::Mailbox(work)] = work[..] else { panic!() };
        kit.commit([Intent::Copy { from: inbox, uids: uids.to_vec(), to: work }]).await;
        let snapshot = kit.snapshot(work).await;
        assert_eq!(*snapshot.keyword_names, ["todo".into()]);
        assert_eq!(snapshot.find(Uid(1)).unwrap().keywords, Keywords(1));
        let many: Vec<String> = (0..70).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = kit.try_commit([Intent::Flags(with(&many, FlagOp::Add))]).await;
        assert!(matches!(refused, Err(Error::TooManyKeywords(_))));
        assert_eq!(kit.snapshot(inbox).await.keyword_names.len(), 2, "none of them was taken");
    })
    .await;
}

#[tokio::test]
async fn copy_and_move_pair_uids_in_source_order() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let (inbox, archive) = (kit.inbox().await, kit.mailbox(kit.alice, "Archive").await);
        kit.flags(change(inbox, &uids[1..2], FlagOp::Add, Flags::SEEN)).await;
        let reversed = vec![uids[2], uids[0], Uid(77), uids[0]];
        let copied = kit.commit([Intent::Copy { from: inbox, uids: reversed, to: archive }]).await;
        let [Changed::Copied { uids: pairs, .. }] = &copied[..] else { panic!() };
        assert_eq!(*pairs, [(uids[0], Uid(1)), (uids[2], Uid(2))]);
        let moved = kit.commit([Intent::Move { from: inbox, uids: uids[1..].to_vec(), to: archive }]).await;
        let [Changed::Copied { uids: pairs, .. }] = &moved[..] else { panic!() };
        assert_eq!(*pairs, [(uids[1], Uid(3)), (uids[2], Uid(4))]);
        assert_eq!(kit.snapshot(inbox).await.iter().map(|e| e.uid).collect::<Vec<_>>(), [uids[0]]);
        assert_eq!(kit.snapshot(archive).await.find(Uid(3)).unwrap().flags, Flags::SEEN);
        kit.commit([Intent::Move { from: archive, uids: vec![Uid(1), Uid(2)], to: archive }]).await;
        let left: Vec<Uid> = kit.snapshot(archive).await.iter().map(|e| e.uid).collect();
        assert_eq!(left, [3, 4, 5, 6].map(Uid), "a move within a mailbox gives new UIDs");
        assert_eq!(kit.text(archive, Uid(6)).await, b"a letter\r\n");
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn expunge_takes_what_is_marked_and_never_gives_a_uid_twice() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let inbox = kit.inbox().await;
        kit.flags(change(inbox, &uids[1..], FlagOp::Add, Flags::DELETED)).await;
        let before = kit.snapshot(inbox).await.modseq;
        let some = Intent::Expunge { mailbox: inbox, uids: Some(uids[..2].to_vec()), only_deleted: true };
        assert_eq!(kit.commit([some]).await, [Changed::Expunged(vec![uids[1]])]);
        let rest = Intent::Expunge { mailbox: inbox, uids: None, only_deleted: true };
        assert_eq!(kit.commit([rest.clone()]).await, [Changed::Expunged(vec![uids[2]])]);
        assert_eq!(kit.commit([rest]).await, [Changed::Expunged(vec![])]);
        assert!(kit.snapshot(inbox).await.modseq > before);
        assert!(kit.record(inbox, uids[1]).await.is_none());
        assert_eq!(kit.deliver(kit.alice, "INBOX", b"next").await, Uid(4));
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_done_whole_or_not_at_all() {
    on_both(async |kit| {
        let uids = three(&kit).await;
        let inbox = kit.inbox().await;
        let before = kit.snapshot(inbox).await;
        let all = || {
            vec![
                deliver(kit.alice, "New/box"),
                Intent::Flags(change(inbox, &uids, FlagOp::Set, Flags::SEEN)),
                Intent::Expunge { mailbox: inbox, uids: None, only_deleted: false },
            ]
        };
        let mut broken = all();
        broken.push(Intent::Copy { from: inbox, uids: vec![], to: maitred_mail::MailboxId(999_999) });
        assert!(matches!(kit.try_commit_with(b"text", broken).await, Err(Error::NoMailbox)));
        let missing_body = [Intent::Deliver {
            account: kit.alice,
            mailbox: "INBOX".into(),
            body: 3,
            flags: Flags(0),
            keywords: vec![],
            internal_date: DATE,
        }];
        assert!(kit.try_commit_with(b"text", missing_body).await.is_err());
        let after = kit.snapshot(inbox).await;
        assert_eq!((after.len(), after.modseq), (3, before.modseq));
        assert!(kit.store.mailbox(kit.alice, "New/box").await.is_err());
        kit.audit(kit.alice).await;
        kit.try_commit_with(b"text", all()).await.unwrap();
        assert_eq!(kit.snapshot(inbox).await.len(), 0);
        kit.audit(kit.alice).await;
    })
    .await;
}
