//! RFC 1939 §4: who gets in, and that nobody else does meanwhile.

use crate::house::{PASSWORD, Test};

#[tokio::test]
async fn a_login_finds_the_inbox() {
    let test = Test::new().await;
    test.deliver(&[b"A: b\r\n\r\none\r\n", b"A: b\r\n\r\ntwo and more\r\n"]).await;
    let mut client = test.connect().await;
    assert_eq!(client.log_in("BOB@a.test", PASSWORD).await, "+OK 2 messages (35 octets)\r\n");
    assert_eq!(client.say("STAT").await, "+OK 2 35\r\n");
    assert_eq!(client.say("LIST").await, "+OK 2 messages (35 octets)\r\n1 13\r\n2 22\r\n.\r\n");
    let mut amy = test.connect().await;
    assert_eq!(
        amy.say("AUTH PLAIN AGFteUBhLnRlc3QAY29ycmVjdCBob3JzZQ==").await,
        "+OK 0 messages (0 octets)\r\n"
    );
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_are_told_in_the_same_words() {
    let test = Test::new().await;
    let mut client = test.connect().await;
    for (name, password) in [("bob@a.test", "wrong"), ("nobody@a.test", PASSWORD), ("bob", PASSWORD)] {
        assert_eq!(client.log_in(name, password).await, "-ERR [AUTH] Wrong name or password\r\n", "{name}");
    }
    assert_eq!(client.say("STAT").await, "-ERR Log in first\r\n");
    assert_eq!(client.log_in("bob@a.test", PASSWORD).await, "+OK 0 messages (0 octets)\r\n");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_ends_the_session() {
    let test = Test::new().await;
    let mut client = test.connect().await;
    let mut said = String::new();
    for _ in 0..9 {
        said = client.log_in("bob@a.test", "wrong").await;
    }
    assert!(said.starts_with("-ERR ["), "{said}");
    assert_eq!(client.log_in("bob@a.test", "wrong").await, "-ERR Too many errors, good bye\r\n");
    assert!(client.is_over);
}

#[tokio::test]
async fn a_maildrop_is_for_one_session_however_that_ends() {
    let test = Test::new().await;
    let mut first = test.bob().await;
    let mut second = test.connect().await;
    let in_use = "-ERR [IN-USE] Another session holds this maildrop\r\n";
    assert_eq!(second.log_in("bob@a.test", PASSWORD).await, in_use);
    assert!(second.log_in("amy@a.test", PASSWORD).await.starts_with("+OK "), "amy's is another one");
    // It is free before the last word is heard.
    assert_eq!(first.say("QUIT").await, "+OK mx.a.test POP3 signing off\r\n");
    let third = test.bob().await;
    let mut fourth = test.connect().await;
    assert_eq!(fourth.log_in("bob@a.test", PASSWORD).await, in_use);
    third.vanish().await;
    let fifth = test.bob().await;
    drop(fifth);
    test.bob().await;
}

#[tokio::test]
async fn unique_ids_stay_and_are_never_given_again() {
    let test = Test::new().await;
    test.deliver(&[b"A: 1\r\n\r\n", b"A: 2\r\n\r\n"]).await;
    let mut client = test.bob().await;
    let both = client.say("UIDL").await;
    let second = client.say("UIDL 2").await;
    client.say("DELE 2").await;
    client.say("QUIT").await;
    test.deliver(&[b"A: 3\r\n\r\n"]).await;
    let mut client = test.bob().await;
    assert_eq!(
        client.say("UIDL 1").await.trim_start_matches("+OK "),
        both.lines().nth(1).unwrap().to_owned() + "\r\n"
    );
    assert_ne!(client.say("UIDL 2").await, second);
}

#[tokio::test]
async fn unique_ids_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for _ in 0..2 {
        let test = Test::on_disk(folder.path()).await;
        if said.is_empty() {
            test.deliver(&[b"A: 1\r\n\r\n", b"A: 2\r\n\r\n"]).await;
        }
        let mut client = test.bob().await;
        said.push(client.say("UIDL").await);
        assert_eq!(client.say("RETR 2").await, "+OK 8 octets\r\nA: 2\r\n\r\n.\r\n");
        client.say("QUIT").await;
        test.house.store.close().await;
    }
    assert_eq!(said[0].lines().count(), 4);
    assert_eq!(said[0], said[1]);
}

#[tokio::test]
async fn many_messages_are_listed_page_by_page() {
    let test = Test::new().await;
    test.deliver(&[b"A: b\r\n\r\n".as_slice(); 2500]).await;
    test.expunge(&[1, 1024, 1025, 2500]).await;
    let mut client = test.bob().await;
    assert_eq!(client.say("STAT").await, "+OK 2496 19968\r\n");
    let listing = client.say("LIST").await;
    assert_eq!(listing.lines().count(), 2498);
    assert!(listing.ends_with("\r\n2496 8\r\n.\r\n"));
    assert!(client.say("UIDL 2496").await.ends_with(".2499\r\n"));
}
