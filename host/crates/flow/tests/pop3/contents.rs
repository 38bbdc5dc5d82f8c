//! RFC 1939 §5 and §7: what RETR and TOP hand out.

use maitred_wire::dot::{Progress, Unstuffer};

use crate::house::Test;

/// The message of a multi-line response, as a client takes it.
fn message(said: &[u8]) -> Vec<u8> {
    assert!(said.starts_with(b"+OK "), "{}", said.escape_ascii());
    let begin = said.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    let mut out = Vec::new();
    let rest = &said[begin..];
    assert_eq!(Unstuffer::default().unstuff(rest, &mut out), Progress::End(rest.len()));
    out
}

#[tokio::test]
async fn a_message_comes_as_it_is_stored() {
    let test = Test::new().await;
    let mut large = b"Subject: large\r\n\r\n".to_vec();
    for number in 0..40_000 {
        large.extend_from_slice(format!(".{number}\r\n..\r\n.\r\né\r\n").as_bytes());
    }
    let binary: Vec<u8> = [b"A: b\r\n\r\n".as_slice(), &(0..=255).collect::<Vec<u8>>(), b"\r\n"].concat();
    let contents: [&[u8]; 4] = [b"A: b\r\n\r\n.\r\n..\r\n.x\r\n", b"\r\n.\r\n", &large, &binary];
    test.deliver(&contents).await;
    let mut client = test.bob().await;
    for (number, content) in (1..).zip(contents) {
        let said = client.octets(&format!("RETR {number}")).await;
        assert!(said.starts_with(format!("+OK {} octets\r\n", content.len()).as_bytes()));
        // A lone CR or LF is no line end, and passes.
        assert!(message(&said) == content, "message {number}");
    }
}

#[tokio::test]
async fn a_last_line_without_end_gets_one() {
    let test = Test::new().await;
    test.deliver(&[b"A: b\r\n\r\nno end"]).await;
    let mut client = test.bob().await;
    assert_eq!(client.say("LIST 1").await, "+OK 1 14\r\n");
    assert_eq!(client.say("RETR 1").await, "+OK 14 octets\r\nA: b\r\n\r\nno end\r\n.\r\n");
}

#[tokio::test]
async fn top_shows_the_head_and_some_lines() {
    let test = Test::new().await;
    let long = ["A: b\r\n".repeat(5000), "\r\n1\r\n.2\r\n3\r\n".to_owned()].concat();
    test.deliver(&[b"A: b\r\n\r\n1\r\n.2\r\n3\r\n", long.as_bytes()]).await;
    let mut client = test.bob().await;
    assert_eq!(client.say("TOP 1 0").await, "+OK Top of the message follows\r\nA: b\r\n\r\n.\r\n");
    assert_eq!(
        client.say("TOP 1 2").await,
        "+OK Top of the message follows\r\nA: b\r\n\r\n1\r\n..2\r\n.\r\n"
    );
    let said = client.octets("TOP 2 2").await;
    assert!(message(&said) == long.as_bytes()[..long.len() - 3]);
    assert_eq!(test.entries().await, [(1, false), (2, false)]);
}

#[tokio::test]
async fn what_was_retrieved_is_seen_after_the_session() {
    let test = Test::new().await;
    test.deliver(&[b"A: 1\r\n\r\n", b"A: 2\r\n\r\n", b"A: 3\r\n\r\n"]).await;
    let mut client = test.bob().await;
    client.say("RETR 2").await;
    client.say("RETR 2").await;
    client.say("TOP 3 9").await;
    assert_eq!(test.entries().await, [(1, false), (2, false), (3, false)]);
    client.say("QUIT").await;
    assert_eq!(test.entries().await, [(1, false), (2, true), (3, false)]);
    let mut client = test.bob().await;
    client.say("RETR 3").await;
    client.say("RETR 1").await;
    client.say("DELE 1").await;
    client.vanish().await;
    assert_eq!(test.entries().await, [(1, true), (2, true), (3, true)], "without QUIT nothing is removed");
    let mut client = test.bob().await;
    client.say("DELE 1").await;
    client.say("DELE 3").await;
    client.say("QUIT").await;
    assert_eq!(test.entries().await, [(2, true)]);
}

#[tokio::test]
async fn a_message_that_imap_expunged_is_missing_and_nothing_else() {
    let test = Test::new().await;
    test.deliver(&[b"A: 1\r\n\r\n", b"A: 2\r\n\r\n", b"A: 3\r\n\r\n"]).await;
    let mut client = test.bob().await;
    test.expunge(&[2]).await;
    test.deliver(&[b"A: 4\r\n\r\n"]).await;
    assert_eq!(client.say("STAT").await, "+OK 3 24\r\n", "numbers hold for the session");
    assert_eq!(client.say("RETR 2").await, "-ERR No such message\r\n");
    assert_eq!(client.say("TOP 2 0").await, "-ERR No such message\r\n");
    assert_eq!(client.say("RETR 3").await, "+OK 8 octets\r\nA: 3\r\n\r\n.\r\n");
    assert_eq!(client.say("RETR 4").await, "-ERR No such message\r\n");
    // Marking what is gone does no harm.
    client.say("DELE 2").await;
    client.say("DELE 1").await;
    assert!(client.say("QUIT").await.starts_with("+OK "));
    assert_eq!(test.entries().await, [(3, true), (4, false)]);
}
