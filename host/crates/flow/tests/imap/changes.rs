//! Several sessions on one mailbox: what one does the others are told, where they may be.

use maitred_store::Error;

use crate::house::{LETTER, Test};

#[tokio::test]
async fn two_sessions_see_each_others_changes() {
    let test = Test::new().await;
    let (mut a, mut b) = (test.bob().await, test.bob().await);
    for _ in 0..3 {
        a.append("INBOX", LETTER).await;
    }
    assert_eq!(
        b.ok("NOOP").await,
        "* 3 EXISTS\r\n",
        "the other session was first to be told: not recent here"
    );
    assert_eq!(
        a.ok("STORE 2 +FLAGS (\\Deleted $New)").await,
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New)\r\n\
         * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New \\*)] Flags that last\r\n\
         * 2 FETCH (FLAGS (\\Deleted \\Recent $New))\r\n"
    );
    let told = b.ok("NOOP").await;
    assert!(told.contains("* FLAGS (\\Answered"), "{told}");
    assert!(told.ends_with("* 2 FETCH (FLAGS (\\Deleted $New))\r\n"), "{told}");
    assert_eq!(b.ok("EXPUNGE").await, "* 2 EXPUNGE\r\n");
    assert_eq!(a.ok("FETCH 3 UID").await, "* 3 FETCH (UID 3)\r\n", "no EXPUNGE in FETCH");
    assert_eq!(a.ok("NOOP").await, "* 2 EXPUNGE\r\n");
    assert_eq!(a.ok("FETCH 2 UID").await, "* 2 FETCH (UID 3)\r\n");
}

#[tokio::test]
async fn store_tells_and_silent_does_not() {
    let test = Test::new().await;
    let mut a = test.bob().await;
    a.append("INBOX", LETTER).await;
    let mut b = test.bob().await;
    assert_eq!(a.ok("STORE 1 FLAGS (\\Seen)").await, "* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n");
    assert_eq!(a.ok("STORE 1 FLAGS (\\Seen)").await, "* 1 FETCH (FLAGS (\\Seen \\Recent))\r\n");
    assert_eq!(a.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await, "");
    assert_eq!(a.ok("NOOP").await, "");
    // What b did meanwhile a is told, silent or not.
    b.ok("STORE 1 +FLAGS.SILENT (\\Answered)").await;
    let told = a.ok("UID STORE 1 -FLAGS.SILENT (\\Flagged)").await;
    assert_eq!(told, "* 1 FETCH (UID 1 FLAGS (\\Answered \\Seen \\Recent))\r\n");
    assert_eq!(b.ok("NOOP").await, "* 1 FETCH (FLAGS (\\Answered \\Seen))\r\n");
}

#[tokio::test]
async fn idle_is_told_at_once_and_other_sessions_with_their_next_command() {
    let test = Test::new().await;
    let (mut a, mut b, mut c) = (test.bob().await, test.bob().await, test.bob().await);
    assert_eq!(b.say("IDLE").await, "+ idling\r\n");
    a.append("INBOX", LETTER).await;
    assert_eq!(b.woken().await, "* 1 EXISTS\r\n");
    assert!(!c.is_awake(), "it could not be told");
    a.ok("STORE 1 +FLAGS.SILENT \\Deleted").await;
    assert_eq!(b.woken().await, "* 1 FETCH (FLAGS (\\Deleted))\r\n");
    a.ok("EXPUNGE").await;
    assert_eq!(b.woken().await, "* 1 EXPUNGE\r\n");
    assert!(!b.is_awake(), "nothing more");
    assert_eq!(b.send(b"DONE\r\n").await, b"t OK IDLE done\r\n");
    a.append("INBOX", LETTER).await;
    assert!(!b.is_awake(), "DONE was said");
    assert_eq!(b.ok("NOOP").await, "* 1 EXISTS\r\n");
    assert_eq!(c.ok("NOOP").await, "* 1 EXISTS\r\n");
}

#[tokio::test]
async fn what_changed_before_idle_is_told_when_it_begins() {
    let test = Test::new().await;
    let (mut a, mut b) = (test.bob().await, test.bob().await);
    a.append("INBOX", LETTER).await;
    assert_eq!(b.say("IDLE").await, "+ idling\r\n* 1 EXISTS\r\n");
}

#[tokio::test]
async fn copies_and_moves_answer_with_their_uids() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    for _ in 0..4 {
        bob.append("INBOX", LETTER).await;
    }
    bob.ok("STORE 2 +FLAGS.SILENT (\\Flagged $x)").await;
    let said = bob.say("COPY 2:3 Archive").await;
    assert!(said.contains(" 2:3 1:2] COPY done"), "{said}");
    let said = bob.say("MOVE 1,4 Archive").await;
    assert!(said.contains("* OK [COPYUID "), "{said}");
    assert!(said.contains(" 1,4 3:4] Moved\r\n* 1 EXPUNGE\r\n* 3 EXPUNGE\r\nt OK"), "{said}");
    assert!(bob.no("COPY 1 Nowhere").await.contains("[TRYCREATE]"));
    assert_eq!(bob.ok("UID MOVE 99 Archive").await, "");
    bob.ok("SELECT Archive").await;
    let said = bob.ok("FETCH 1:* (UID FLAGS)").await;
    assert!(said.contains("UID 1 FLAGS (\\Flagged \\Recent $x)"), "{said}");
    assert_eq!(said.matches(" FETCH ").count(), 4);
}

#[tokio::test]
async fn messages_go_by_expunge_uid_expunge_and_close() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    for _ in 0..5 {
        bob.append("INBOX", LETTER).await;
    }
    bob.ok("STORE 1,3,5 +FLAGS.SILENT \\Deleted").await;
    assert_eq!(bob.ok("UID EXPUNGE 2:3").await, "* 3 EXPUNGE\r\n");
    assert_eq!(bob.ok("EXPUNGE").await, "* 1 EXPUNGE\r\n* 3 EXPUNGE\r\n");
    bob.ok("STORE 1 +FLAGS.SILENT \\Deleted").await;
    assert_eq!(bob.ok("UNSELECT").await, "");
    bob.ok("SELECT INBOX").await;
    assert_eq!(bob.ok("CLOSE").await, "");
    assert_eq!(bob.ok("STATUS INBOX (MESSAGES)").await, "* STATUS INBOX (MESSAGES 1)\r\n");
}

#[tokio::test]
async fn when_the_store_fails_the_client_is_told_no() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.append("INBOX", LETTER).await;
    test.faults.fail_after(0, Error::Unavailable("disk".to_owned()));
    assert!(bob.no("STORE 1 +FLAGS \\Deleted").await.contains("[UNAVAILABLE]"));
    test.faults.fail_after(0, Error::Full);
    assert!(bob.no("COPY 1 Archive").await.contains("[UNAVAILABLE]"));
    assert_eq!(bob.ok("FETCH 1 FLAGS").await, "* 1 FETCH (FLAGS (\\Recent))\r\n");
}

#[test]
fn a_handler_is_small() {
    assert!(size_of::<maitred_flow::read::imap::Imap>() <= 128);
}
