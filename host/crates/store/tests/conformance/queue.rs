//! Messages for recipients elsewhere.

use maitred_mail::{MailParameters, MessageId, Recipient, ReversePath};
use maitred_queue::{Entry, QueuedRecipient, State};
use maitred_store::{Changed, Error, Intent};

use crate::kit::{DATE, LOCAL_HEAD, address, deliver, on_both};

pub fn entry(to: &str) -> Entry {
    let recipient = Recipient { address: address(to), original: None };
    Entry {
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        recipients: vec![QueuedRecipient { recipient, state: State::Fresh }],
        accepted: DATE,
        attempts: 0,
        due: DATE,
        is_held: false,
        is_warned: false,
    }
}

#[tokio::test]
async fn an_entry_is_queued_with_the_delivery_updated_and_removed() {
    on_both(async |kit| {
        let both =
            [deliver(kit.alice, "INBOX"), Intent::Enqueue { body: Ok(0), entry: entry("x@b.example") }];
        let changes = kit.try_commit_with(b"text", both).await.unwrap();
        let Changed::Queued(id) = changes[1] else { panic!() };
        kit.store.queue_changed().await;
        let all = kit.store.queue().await.unwrap();
        assert_eq!((all.len(), all[0].0, &all[0].1), (1, id, &entry("x@b.example")));
        let sent = kit.store.relay_body(&all[0].2).read(0, 1 << 20).await.unwrap();
        assert!(sent.starts_with(b"Subject: test\r\n") && sent.ends_with(b"text"), "without {LOCAL_HEAD}");

        let later = Entry { attempts: 3, is_warned: true, ..entry("x@b.example") };
        kit.commit([Intent::UpdateQueue { id, entry: later.clone() }]).await;
        let (found, body) = kit.store.queue_entry(id).await.unwrap().unwrap();
        assert_eq!(found, later);
        let again = kit.commit([Intent::Enqueue { body: Err(body), entry: entry("y@b.example") }]).await;
        let [Changed::Queued(second)] = again[..] else { panic!() };
        assert!(second.0 > id.0);
        kit.commit([Intent::RemoveQueue { id }]).await;
        assert!(kit.store.queue_entry(id).await.unwrap().is_none());
        for late in [Intent::RemoveQueue { id }, Intent::UpdateQueue { id: MessageId(77_777), entry: later }]
        {
            assert!(matches!(kit.try_commit([late]).await, Err(Error::Unknown(_))));
        }
        let (_, body) = kit.store.queue_entry(second).await.unwrap().unwrap();
        assert!(kit.whole(&body).await.ends_with(b"text"), "its content is still there");
    })
    .await;
}
