//! RFC 6409 and RFC 4954.

use bytes::Bytes;
use maitred_flow::deliver::{DeliverError, submit_internal};
use maitred_mail::{Envelope, MailParameters, Recipient, ReversePath};
use maitred_smtp::server::Mode;

use crate::house::{PASSWORD, Test, at};

#[tokio::test]
async fn a_user_sends_as_itself_and_as_nobody_else() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Submission).await;
    assert!(client.say("MAIL FROM:<bob@a.test>").await.starts_with("530 5.7.0 "));
    assert!(client.log_in("bob@a.test", "wrong").await.starts_with("535 5.7.8 "));
    assert!(client.log_in("bob@a.test", PASSWORD).await.starts_with("235 2.7.0 "));
    for (from, code) in [
        ("amy@a.test", "553 5.7.1 "),
        ("x@c.test", "553 5.7.1 "),
        ("nobody@a.test", "553 5.7.1 "),
        ("bob@a.test", "250 2.1.0 "),
        ("BOB+x@a.test", "250 2.1.0 "),
        ("info@a.test", "250 2.1.0 "),
        ("", "250 2.1.0 "),
    ] {
        assert!(client.say(&format!("MAIL FROM:<{from}>")).await.starts_with(code), "{from}");
        client.say("RSET").await;
    }
}

#[tokio::test]
async fn what_the_client_left_out_is_added_and_one_commit_serves_here_and_elsewhere() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Submission).await;
    client.log_in("bob@a.test", PASSWORD).await;
    let reply = client.letter("bob@a.test", &["amy@a.test", "x@c.test"], "Subject: x\r\n\r\nHi\r\n").await;
    assert!(reply.starts_with("250 "), "{reply}");
    let inbox = test.mail("amy@a.test", "INBOX").await;
    let content = &inbox[0];
    assert!(content.contains("with ESMTPA id"), "{content}");
    assert!(content.contains("\r\nDate: Tue, 24 Nov 2026 10:14:04 +0000\r\nMessage-ID: <"), "{content}");
    assert!(content.ends_with("@mx.a.test>\r\n\r\nHi\r\n"), "{content}");
    assert_eq!(test.house.store.queue().await.unwrap().len(), 1);
}

#[tokio::test]
async fn mail_of_our_own_making_goes_the_same_way() {
    let test = Test::new().await;
    let envelope = |to: &str| Envelope {
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        recipients: vec![Recipient { address: at(to), original: None }],
    };
    let dsn = Bytes::from_static(b"Subject: Undelivered\r\n\r\nSorry\r\n");
    submit_internal(&test.house, &envelope("bob@a.test"), dsn.clone()).await.unwrap();
    submit_internal(&test.house, &envelope("x@c.test"), dsn.clone()).await.unwrap();
    let lost = submit_internal(&test.house, &envelope("nobody@a.test"), dsn).await;
    assert!(matches!(lost, Err(DeliverError::NoRecipients)));
    let inbox = test.mail("bob@a.test", "INBOX").await;
    assert_eq!(inbox, ["Return-Path: <>\r\nSubject: Undelivered\r\n\r\nSorry\r\n"]);
    assert_eq!(test.house.store.queue().await.unwrap().len(), 1);
}
