//! CREATE, DELETE, RENAME, SUBSCRIBE.

use maitred_mail::Uid;
use maitred_store::{Changed, Error, Intent, MailboxRecord, SpecialUse};

use crate::kit::{Kit, on_both};

fn create(kit: &Kit, name: &str) -> Intent {
    Intent::CreateMailbox { account: kit.alice, name: name.into(), special_use: None }
}

fn delete(kit: &Kit, name: &str) -> Intent {
    Intent::DeleteMailbox { account: kit.alice, name: name.into() }
}

fn rename(kit: &Kit, from: &str, to: &str) -> Intent {
    Intent::RenameMailbox { account: kit.alice, from: from.into(), to: to.into() }
}

async fn listed(kit: &Kit) -> Vec<MailboxRecord> {
    kit.store.mailboxes(kit.alice).await.unwrap()
}

async fn names(kit: &Kit) -> Vec<String> {
    listed(kit).await.into_iter().filter(|m| m.id.is_some()).map(|m| m.name.into()).collect()
}

#[tokio::test]
async fn a_new_account_has_inbox_and_the_special_mailboxes() {
    on_both(async |kit| {
        assert_eq!(names(&kit).await, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
        assert!(listed(&kit).await.iter().all(|m| m.is_subscribed));
        let drafts = kit.store.mailbox(kit.alice, "Drafts").await.unwrap();
        assert_eq!(drafts.special_use, Some(SpecialUse::Drafts));
        assert!(kit.store.mailbox(kit.alice, "iNbOx").await.is_ok(), "INBOX in any case");
    })
    .await;
}

#[tokio::test]
async fn creating_makes_parents_that_can_become_mailboxes() {
    on_both(async |kit| {
        kit.commit([create(&kit, "a/b/c/")]).await;
        let parent = listed(&kit).await.into_iter().find(|m| &*m.name == "a/b").unwrap();
        assert_eq!(parent.id, None);
        assert!(matches!(kit.store.mailbox(kit.alice, "a/b").await, Err(Error::NoMailbox)));
        kit.commit([create(&kit, "a/b")]).await;
        assert!(matches!(kit.try_commit([create(&kit, "a/b")]).await, Err(Error::Exists(_))));
        assert!(matches!(kit.try_commit([create(&kit, "inbox")]).await, Err(Error::Exists(_))));
        let long = "x".repeat(256);
        for bad in ["", "/", "a//b", "/a", "tab\tname", &long] {
            assert!(matches!(kit.try_commit([create(&kit, bad)]).await, Err(Error::BadName(_))), "{bad:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn deleting_takes_the_messages_and_leaves_parents_as_names() {
    on_both(async |kit| {
        kit.commit([create(&kit, "a"), create(&kit, "a/b")]).await;
        kit.deliver(kit.alice, "a", b"text").await;
        kit.deliver(kit.alice, "a/b", b"text").await;
        kit.commit([delete(&kit, "a")]).await;
        kit.audit(kit.alice).await;
        assert_eq!(listed(&kit).await.into_iter().find(|m| &*m.name == "a").unwrap().id, None);
        assert!(matches!(kit.try_commit([delete(&kit, "a")]).await, Err(Error::InUse(_))));
        kit.commit([delete(&kit, "a/b"), delete(&kit, "a")]).await;
        assert!(matches!(kit.try_commit([delete(&kit, "INBOX")]).await, Err(Error::BadName(_))));
        assert!(matches!(kit.try_commit([delete(&kit, "never")]).await, Err(Error::NoMailbox)));
        assert_eq!(kit.store.account(kit.alice).unwrap().used, 0);
    })
    .await;
}

#[tokio::test]
async fn a_mailbox_made_again_has_a_greater_validity() {
    let kit = Kit::memory().await;
    let mut last = 0;
    for _ in 0..3 {
        kit.commit([create(&kit, "again")]).await;
        let validity = kit.store.mailbox(kit.alice, "again").await.unwrap().uid_validity.0;
        assert!(validity > last, "{validity} after {last}");
        last = validity;
        // Numbers pass by, more than 16 bits of them.
        let body = Ok(0);
        let queued = vec![Intent::Enqueue { body, entry: crate::queue::entry("x@b.example") }; 66_000];
        kit.try_commit_with(b"", queued).await.unwrap();
        kit.commit([delete(&kit, "again")]).await;
    }
}

#[tokio::test]
async fn renaming_takes_children_along_and_keeps_uids() {
    on_both(async |kit| {
        kit.commit([create(&kit, "old"), create(&kit, "old/x"), create(&kit, "older")]).await;
        kit.deliver(kit.alice, "old/x", b"text").await;
        let id = kit.mailbox(kit.alice, "old/x").await;
        kit.commit([rename(&kit, "old", "new/place")]).await;
        assert_eq!(kit.mailbox(kit.alice, "new/place/x").await, id);
        assert_eq!(kit.text(id, Uid(1)).await, b"text");
        assert!(names(&kit).await.contains(&"older".to_owned()), "a longer name is no child");
        assert!(matches!(kit.try_commit([rename(&kit, "old", "b")]).await, Err(Error::NoMailbox)));
        assert!(matches!(kit.try_commit([rename(&kit, "older", "INBOX")]).await, Err(Error::Exists(_))));
        let below = kit.try_commit([rename(&kit, "older", "older/still")]).await;
        assert!(matches!(below, Err(Error::BadName(_))));
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn renaming_never_covers_another_mailbox() {
    on_both(async |kit| {
        kit.commit([create(&kit, "from"), create(&kit, "from/x"), create(&kit, "to/x")]).await;
        kit.deliver(kit.alice, "to/x", b"kept").await;
        // `to` is a name only, but its child would be covered by `from/x`.
        assert!(matches!(kit.try_commit([rename(&kit, "from", "to")]).await, Err(Error::Exists(_))));
        let id = kit.mailbox(kit.alice, "to/x").await;
        assert_eq!(kit.text(id, Uid(1)).await, b"kept");
        kit.commit([create(&kit, "up/up/up")]).await;
        kit.commit([rename(&kit, "up/up", "up")]).await;
        assert!(names(&kit).await.contains(&"up/up".to_owned()), "a child can take its parent's place");
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn renaming_inbox_moves_its_messages() {
    on_both(async |kit| {
        kit.deliver(kit.alice, "INBOX", b"text").await;
        kit.deliver(kit.alice, "INBOX/child", b"stays").await;
        kit.commit([rename(&kit, "inbox", "Last year")]).await;
        let (inbox, new) = (kit.inbox().await, kit.mailbox(kit.alice, "Last year").await);
        assert_eq!((kit.snapshot(inbox).await.len(), kit.snapshot(new).await.len()), (0, 1));
        assert!(names(&kit).await.contains(&"INBOX/child".to_owned()), "RFC 3501 §6.3.5: children stay");
        assert_eq!(kit.deliver(kit.alice, "INBOX", b"text").await, Uid(2));
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_name_can_be_subscribed_without_a_mailbox() {
    on_both(async |kit| {
        let set = |name: &str, is_subscribed| Intent::Subscribe {
            account: kit.alice,
            name: name.into(),
            is_subscribed,
        };
        kit.commit([set("nowhere", true), set("Junk", false), set("inbox", false)]).await;
        let all = listed(&kit).await;
        let of = |name: &str| all.iter().find(|m| &*m.name == name).unwrap();
        assert_eq!((of("nowhere").id, of("nowhere").is_subscribed), (None, true));
        assert!(!of("Junk").is_subscribed && !of("INBOX").is_subscribed);
        kit.commit([set("nowhere", false)]).await;
        assert!(listed(&kit).await.iter().all(|m| &*m.name != "nowhere"));
    })
    .await;
}

#[tokio::test]
async fn recent_messages_are_told_once() {
    on_both(async |kit| {
        kit.deliver(kit.alice, "INBOX", b"1").await;
        let watch = kit.store.watch(kit.inbox().await).await.unwrap();
        let recent = async || kit.store.mailbox(kit.alice, "INBOX").await.unwrap().recent;
        assert_eq!(recent().await, 1);
        assert_eq!(watch.claim_recent(), 1..2);
        assert_eq!(watch.claim_recent(), 2..2);
        assert_eq!(recent().await, 0);
        kit.deliver(kit.alice, "INBOX", b"2").await;
        assert_eq!(watch.claim_recent(), 2..3);
        let made = kit.commit([create(&kit, "other")]).await;
        assert!(matches!(made[..], [Changed::Mailbox(_)]));
    })
    .await;
}
