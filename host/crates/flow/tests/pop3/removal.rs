//! RFC 1939 §6: what QUIT removes, and that nothing else does.

use maitred_store::{Error, Intent};

use crate::house::{Test, at};

const THREE: [&[u8]; 3] = [b"A: 1\r\n\r\n", b"A: 2\r\n\r\n", b"A: 3\r\n\r\n"];

#[tokio::test]
async fn quit_removes_what_was_marked() {
    let test = Test::new().await;
    test.deliver(&THREE).await;
    let mut client = test.bob().await;
    client.say("DELE 1").await;
    client.say("DELE 3").await;
    assert_eq!(test.entries().await.len(), 3, "not before QUIT");
    assert_eq!(client.say("QUIT").await, "+OK mx.a.test POP3 signing off\r\n");
    assert!(client.is_over);
    assert_eq!(test.entries().await, [(2, false)]);
}

#[tokio::test]
async fn rset_takes_the_marks_away() {
    let test = Test::new().await;
    test.deliver(&THREE).await;
    let mut client = test.bob().await;
    client.say("DELE 1").await;
    assert_eq!(client.say("RSET").await, "+OK 3 messages (24 octets)\r\n");
    client.say("QUIT").await;
    assert_eq!(test.entries().await.len(), 3);
}

#[tokio::test]
async fn a_dropped_connection_removes_nothing() {
    let test = Test::new().await;
    test.deliver(&THREE).await;
    let mut client = test.bob().await;
    client.say("DELE 1").await;
    client.vanish().await;
    let mut client = test.bob().await;
    client.say("DELE 2").await;
    drop(client);
    assert_eq!(test.entries().await.len(), 3);
}

#[tokio::test]
async fn when_the_store_fails_nothing_is_removed_and_the_client_is_told() {
    let test = Test::new().await;
    test.deliver(&THREE).await;
    let mut client = test.bob().await;
    client.say("RETR 2").await;
    client.say("DELE 1").await;
    test.faults.fail_after(0, Error::Unavailable("the disk failed".to_owned()));
    assert_eq!(client.say("QUIT").await, "-ERR [SYS/TEMP] Deleted messages were not removed\r\n");
    assert!(client.is_over);
    assert_eq!(test.entries().await, [(1, false), (2, false), (3, false)]);
    test.bob().await;
}

#[tokio::test]
async fn an_account_that_is_removed_meanwhile_ends_in_words() {
    let test = Test::new().await;
    test.deliver(&THREE).await;
    let mut client = test.bob().await;
    let intents = vec![Intent::RemoveAccount(at("bob@a.test"))];
    let batch = maitred_store::Batch { intents, ..Default::default() };
    test.house.store.commit(batch).await.unwrap();
    assert_eq!(client.say("RETR 1").await, "-ERR No such message\r\n");
    client.say("DELE 1").await;
    assert_eq!(client.say("QUIT").await, "-ERR [SYS/PERM] Deleted messages were not removed\r\n");
}
