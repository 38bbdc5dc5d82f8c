//! RFC 5321 and RFC 2033: who gets what.

use maitred_smtp::server::Mode;

use crate::house::Test;

const LETTER: &str = "From: <a@c.test>\r\nSubject: x\r\n\r\nHello,\r\n..dots\r\n";

#[tokio::test]
async fn mail_for_an_account_is_in_its_inbox_when_250_is_said_and_no_resolver_exists_here() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["Bob+x@a.test"], LETTER).await.starts_with("250 2.0.0 Ok: "));
    let inbox = test.mail("bob@a.test", "INBOX").await;
    let [content] = inbox.as_slice() else { panic!("{inbox:?}") };
    let (trace, letter) = content.split_at(content.find("From:").unwrap());
    assert_eq!(letter, "From: <a@c.test>\r\nSubject: x\r\n\r\nHello,\r\n.dots\r\n");
    assert!(
        trace.starts_with(
            "Return-Path: <a@c.test>\r\nReceived: from c.test ([192.0.2.9])\r\n\tby mx.a.test with ESMTP id "
        ),
        "{trace}"
    );
    assert!(trace.ends_with("\r\n\tfor <Bob+x@a.test>; Tue, 24 Nov 2026 10:14:04 +0000\r\n"), "{trace}");
}

#[tokio::test]
async fn an_unknown_user_is_550_and_a_foreign_domain_too() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    client.say("MAIL FROM:<a@c.test>").await;
    assert!(client.say("RCPT TO:<nobody@a.test>").await.starts_with("550 5.1.1 "));
    assert!(client.say("RCPT TO:<x@c.test>").await.starts_with("550 5.7.1 "));
    assert!(client.say("RCPT TO:<x%c.test@a.test>").await.starts_with("550 5.1.1 "));
    assert!(client.say("RCPT TO:<Postmaster>").await.starts_with("250 "));
    assert!(client.say("RCPT TO:<bob@a.test>").await.starts_with("250 "));
}

#[tokio::test]
async fn a_client_of_relay_from_may_send_elsewhere_and_one_entry_is_queued_for_all() {
    let test = Test::new().await;
    let mut client = test.connect_as(Mode::Smtp, true).await;
    let to = ["x@c.test", "y@d.test", "bob@a.test"];
    assert!(client.letter("a@c.test", &to, LETTER).await.starts_with("250 "));
    let queue = test.house.store.queue().await.unwrap();
    let [(_, entry, body)] = queue.as_slice() else { panic!("{queue:?}") };
    assert_eq!(entry.recipients.len(), 2);
    let relayed = test.house.store.relay_body(body).read(0, usize::MAX).await.unwrap();
    assert!(relayed.starts_with(b"Received: "), "Return-Path is for local readers");
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 1);
}

#[tokio::test]
async fn an_alias_delivers_once_to_each_and_forwards_with_the_reverse_path() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    let to = ["info@a.test", "list@a.test", "bob@a.test"];
    assert!(client.letter("a@c.test", &to, LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 1);
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 1);
    let queue = test.house.store.queue().await.unwrap();
    let [(_, entry, _)] = queue.as_slice() else { panic!("{queue:?}") };
    assert_eq!(entry.reverse_path.to_string(), "<a@c.test>");
    let recipient = &entry.recipients[0].recipient;
    assert_eq!(recipient.address.to_string(), "x@c.test");
    assert_eq!(recipient.original.as_ref().unwrap().to_string(), "info@a.test");
}

#[tokio::test]
async fn when_the_store_fails_it_is_4xx_and_nothing_is_there() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    test.faults.fail_after(0, maitred_store::Error::Unavailable("disk".into()));
    assert!(client.letter("a@c.test", &["list@a.test"], LETTER).await.starts_with("451 4.3.0 "));
    test.faults.fail_after(0, maitred_store::Error::Full);
    assert!(client.letter("a@c.test", &["list@a.test"], LETTER).await.starts_with("452 4.3.1 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
    assert!(client.letter("a@c.test", &["list@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 1);
}

#[tokio::test]
async fn a_full_mailbox_is_452_at_rcpt_when_the_size_is_known() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    client.say("MAIL FROM:<a@c.test> SIZE=1000").await;
    assert!(client.say("RCPT TO:<full@a.test>").await.starts_with("452 4.2.2 "));
    assert!(client.say("RCPT TO:<bob@a.test>").await.starts_with("250 "));
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Lmtp).await;
    let to = ["bob@a.test", "full@a.test", "nobody@a.test", "amy@a.test"];
    let replies = client.letter("a@c.test", &to, LETTER).await;
    let codes: Vec<&str> = replies.lines().map(|line| &line[..9]).collect();
    assert_eq!(codes, ["250 2.0.0", "452 4.2.2", "250 2.0.0"]);
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 1);
    assert_eq!(test.mail("full@a.test", "INBOX").await.len(), 0);
    assert!(test.mail("bob@a.test", "INBOX").await[0].contains("with LMTP id"));
}

#[tokio::test]
async fn a_message_that_has_passed_a_hundred_servers_goes_in_circles() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    let hops = "Received: from a by b; now\r\n".repeat(101);
    let reply = client.letter("a@c.test", &["bob@a.test"], &format!("{hops}\r\nx\r\n")).await;
    assert!(reply.starts_with("550 5.4.6 "), "{reply}");
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
}

#[tokio::test]
async fn a_header_section_has_a_limit() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    let head = format!("X: {}\r\n", "x".repeat(900)).repeat(1200);
    let reply = client.letter("a@c.test", &["bob@a.test"], &format!("{head}\r\nx\r\n")).await;
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
}

#[tokio::test]
async fn messages_of_any_shape_are_kept_as_they_are_however_they_come() {
    let shapes = [
        ("A: b\r\n\r\nbody\r\n", "A: b\r\n\r\nbody\r\n"),
        ("A: b\r\n\r\n", "A: b\r\n\r\n"),
        ("A: b\r\nC: d\r\n", "A: b\r\nC: d\r\n\r\n"),
        ("\r\nbody\r\n", "\r\nbody\r\n"),
        ("no header\r\nat all\r\n\r\nx\r\n", "\r\nno header\r\nat all\r\n\r\nx\r\n"),
        ("no header\r\n", "\r\nno header\r\n"),
        ("", "\r\n"),
    ];
    let test = Test::new().await;
    for cut in [1, 2, 3, 5, 1000] {
        for (sent, kept) in shapes {
            let mut client = test.connect(Mode::Smtp).await;
            client.send(b"MAIL FROM:<>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\n").await;
            let mut reply = String::new();
            for piece in format!("{sent}.\r\n").as_bytes().chunks(cut) {
                reply += &client.send(piece).await;
            }
            assert!(reply.starts_with("250 "), "{sent:?} by {cut}: {reply}");
            let inbox = test.mail("bob@a.test", "INBOX").await;
            let content = inbox.last().unwrap();
            let behind_trace = &content[content.find("+0000\r\n").unwrap() + "+0000\r\n".len()..];
            assert_eq!(behind_trace, kept, "{sent:?} by {cut}");
        }
    }
}

#[tokio::test]
async fn a_message_that_is_cut_off_is_not_there() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    client.send(b"MAIL FROM:<>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\nA: b\r\n\r\nhalf\r\n").await;
    client.vanish().await;
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
}
