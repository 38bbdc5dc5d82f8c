//! APPEND, and that what went in comes out.

use maitred_store::Error;

use crate::house::{LETTER, Test};

#[tokio::test]
async fn what_is_appended_is_fetched_octet_by_octet() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let shapes = [LETTER, "", "\r\n", "no header", "A: b\n\nbare\r\n", "Subject: x\r\n\r\n\u{1}\u{ff}binary"];
    for (nth, message) in shapes.iter().enumerate() {
        let said = bob.append("INBOX", message).await;
        assert!(said.contains(&format!("* {} EXISTS", nth + 1)), "{said}");
        assert!(said.contains(&format!(" {}] APPEND done", nth + 1)), "{said}");
        let fetched = bob.ok(&format!("UID FETCH {} (RFC822.SIZE BODY.PEEK[])", nth + 1)).await;
        let size = message.len();
        let content = if size == 0 { "\"\"".to_owned() } else { format!("{{{size}}}\r\n{message}") };
        let expected = format!("* {0} FETCH (UID {0} RFC822.SIZE {size} BODY[] {content})\r\n", nth + 1);
        assert_eq!(fetched, expected);
    }
}

#[tokio::test]
async fn flags_and_date_are_kept() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let date = "\"17-Jul-1996 02:44:25 -0700\"";
    bob.append(&format!("INBOX (\\Seen $Label) {date}"), LETTER).await;
    let fetched = bob.ok("FETCH 1 (FLAGS INTERNALDATE)").await;
    assert_eq!(
        fetched,
        "* 1 FETCH (FLAGS (\\Seen \\Recent $Label) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\")\r\n"
    );
}

#[tokio::test]
async fn a_mailbox_that_is_not_there_can_be_created_first() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    assert!(bob.append("Nowhere", LETTER).await.starts_with("t NO [TRYCREATE]"));
    bob.ok("CREATE Nowhere").await;
    assert!(bob.append("Nowhere", LETTER).await.starts_with("t OK [APPENDUID "));
}

#[tokio::test]
async fn over_quota_is_said_before_the_message_is_sent() {
    let test = Test::new().await;
    let mut full = test.connect().await;
    full.log_in("full@a.test").await;
    assert!(full.no("APPEND INBOX {101}").await.contains("[OVERQUOTA]"));
    assert!(full.append("INBOX", LETTER).await.starts_with("t OK"));
    assert!(full.append("INBOX", LETTER).await.starts_with("t NO [OVERQUOTA]"));
    assert_eq!(full.ok("STATUS INBOX (MESSAGES)").await, "* STATUS INBOX (MESSAGES 1)\r\n");
}

#[tokio::test]
async fn when_the_store_fails_nothing_is_there() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    test.faults.fail_after(0, Error::Full);
    assert!(bob.append("INBOX", LETTER).await.starts_with("t NO [UNAVAILABLE]"));
    assert_eq!(bob.ok("STATUS INBOX (MESSAGES)").await, "* STATUS INBOX (MESSAGES 0)\r\n");
}

#[tokio::test]
async fn a_message_with_something_behind_it_is_not_stored() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let said = bob.say("APPEND INBOX {5+}\r\nhello more").await;
    assert!(said.starts_with("t BAD"), "{said}");
    assert_eq!(bob.ok("STATUS INBOX (MESSAGES)").await, "* STATUS INBOX (MESSAGES 0)\r\n");
}
