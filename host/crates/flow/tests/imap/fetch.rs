//! FETCH of everything, page by page.

use bytes::Bytes;
use maitred_mail::{Flags, Timestamp};
use maitred_store::{Batch, Intent, NewBody};

use crate::house::{LETTER, Test};

#[tokio::test]
async fn a_message_is_described_as_rfc_3501_says() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.append("INBOX", LETTER).await;
    assert_eq!(
        bob.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE)").await,
        "* 1 FETCH (ENVELOPE (NIL \"hello\" ((\"A\" NIL \"a\" \"c.test\")) ((\"A\" NIL \"a\" \"c.test\")) \
         ((\"A\" NIL \"a\" \"c.test\")) NIL NIL NIL NIL NIL) BODYSTRUCTURE (\"text\" \"plain\" \
         (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 14 1 NIL NIL NIL NIL))\r\n"
    );
    assert_eq!(
        bob.ok("FETCH 1 (BODY.PEEK[HEADER.FIELDS (FROM)] BODY.PEEK[TEXT]<7.3>)").await,
        "* 1 FETCH (BODY[HEADER.FIELDS (FROM)] {22}\r\nFrom: A <a@c.test>\r\n\r\n BODY[TEXT]<7> {3}\r\nwor)\r\n"
    );
}

#[tokio::test]
async fn reading_sets_seen_and_says_so_once() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.append("INBOX", LETTER).await;
    bob.append("INBOX", LETTER).await;
    assert!(!bob.ok("FETCH 1 BODY.PEEK[]").await.contains("FLAGS"));
    let said = bob.ok("FETCH 1 BODY[TEXT]").await;
    assert_eq!(said, "* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {14}\r\nHello, world\r\n)\r\n");
    assert!(!bob.ok("FETCH 1 BODY[TEXT]").await.contains("FLAGS"), "it is seen already");
    assert_eq!(bob.ok("NOOP").await, "");
    // Another session reads: this one is told.
    let mut other = test.bob().await;
    other.ok("FETCH 2 RFC822").await;
    assert_eq!(bob.ok("NOOP").await, "* 2 FETCH (FLAGS (\\Seen \\Recent))\r\n");
}

#[tokio::test]
async fn in_a_mailbox_that_is_read_only_nothing_changes() {
    let test = Test::new().await;
    test.bob().await.append("INBOX", LETTER).await;
    let mut bob = test.connect().await;
    bob.log_in("bob@a.test").await;
    assert!(bob.say("EXAMINE INBOX").await.contains("[READ-ONLY]"));
    assert!(!bob.ok("FETCH 1 BODY[]").await.contains("FLAGS"));
    assert!(bob.no("STORE 1 +FLAGS \\Seen").await.contains("[READ-ONLY]"));
    assert!(bob.no("EXPUNGE").await.contains("[READ-ONLY]"));
    assert_eq!(bob.ok("STATUS INBOX (UNSEEN)").await, "* STATUS INBOX (UNSEEN 1)\r\n");
}

#[tokio::test]
async fn pages_make_no_difference_and_are_small() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let body = "0123456789 abcdefghijklmnopqrstuvwxyz\r\n".repeat(300);
    for nth in 0..150 {
        bob.append("Archive", &format!("Subject: {nth}\r\n\r\n{nth} {body}")).await;
    }
    let mut small = test.connect_with(1000).await;
    small.log_in("bob@a.test").await;
    small.ok("SELECT Archive").await;
    bob.ok("SELECT Archive").await;
    for items in ["(UID FLAGS ENVELOPE)", "(BODY.PEEK[HEADER] RFC822.SIZE)", "BODY[]", "FLAGS"] {
        let whole = bob.ok(&format!("FETCH 1:* {items}")).await;
        // The flags are told to the first one that reads.
        let whole = whole.replace("FLAGS (\\Seen \\Recent) ", "").replace("FLAGS (\\Seen) ", "");
        small.ok("NOOP").await;
        let paged = small.ok(&format!("FETCH 1:* {items}")).await;
        let is_flags = items.contains("FLAGS");
        assert!(is_flags || paged == whole, "{items}");
        assert_eq!(paged.matches(" FETCH (").count(), 150);
    }
    assert!(small.largest < 4000, "{} octets at once", small.largest);
}

#[tokio::test]
async fn a_message_that_is_gone_is_passed_over_and_the_rest_answered() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    for _ in 0..3 {
        bob.append("INBOX", LETTER).await;
    }
    let mut other = test.bob().await;
    other.ok("STORE 2 +FLAGS.SILENT \\Deleted").await;
    other.ok("EXPUNGE").await;
    let said = bob.say("FETCH 1:* RFC822.SIZE").await;
    assert!(
        said.starts_with("* 1 FETCH (RFC822.SIZE 52)\r\n* 3 FETCH (RFC822.SIZE 52)\r\nt NO [EXPUNGEISSUED]"),
        "{said}"
    );
    // Its flags are known still, and UIDs that are gone are no error.
    assert!(bob.ok("FETCH 2 UID").await.contains("* 2 FETCH (UID 2)"));
    assert_eq!(bob.ok("UID FETCH 2 RFC822.SIZE").await, "* 2 EXPUNGE\r\n");
    assert!(bob.ok("FETCH 2 UID").await.contains("UID 3"));
}

#[tokio::test]
async fn a_message_stored_without_its_structure_is_read_for_it() {
    let test = Test::new().await;
    let mut draft = test.house.store.draft();
    draft.write(b"body\r\n").await.unwrap();
    let head = Bytes::from_static(b"Subject: old\r\n\r\n");
    let body = NewBody { head, tail: draft, summary: Bytes::new(), local_head: 0 };
    let intent = Intent::Deliver {
        account: test.account("bob@a.test"),
        mailbox: "INBOX".into(),
        body: 0,
        flags: Flags::default(),
        keywords: Vec::new(),
        internal_date: Timestamp(0),
    };
    test.house
        .store
        .commit(Batch { bodies: vec![body], intents: vec![intent], ..Batch::default() })
        .await
        .unwrap();
    let mut bob = test.bob().await;
    assert!(bob.ok("FETCH 1 ENVELOPE").await.contains("(NIL \"old\" NIL"));
    assert!(bob.ok("FETCH 1 BODY.PEEK[TEXT]").await.contains("{6}\r\nbody\r\n"));
}

#[tokio::test]
async fn a_message_with_a_huge_envelope_is_described() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let subject = "x".repeat(100_000);
    bob.append("INBOX", &format!("Subject: {subject}\r\nX-Tag: y\r\n\r\nbody\r\n")).await;
    let said = bob.ok("FETCH 1 ENVELOPE").await;
    assert!(said.contains(&format!("{{100000}}\r\n{subject} NIL")), "{} octets", said.len());
    assert_eq!(bob.ok("SEARCH SUBJECT xxxx BODY body").await, "* SEARCH 1\r\n");
}
