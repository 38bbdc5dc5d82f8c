//! SEARCH, from flags to contents.

use crate::house::{Client, Test};

async fn filled(test: &Test) -> Client {
    let mut bob = test.bob().await;
    for (flags, date, message) in [
        (
            "(\\Seen)",
            "\"01-Feb-2026 12:00:00 +0000\"",
            "Subject: first\r\nFrom: amy@c.test\r\n\r\nneedle in the hay\r\n",
        ),
        ("()", "\"02-Feb-2026 12:00:00 +0000\"", "Subject: second\r\nX-Tag: blue\r\n\r\nonly hay\r\n"),
        (
            "(\\Flagged)",
            "\"03-Feb-2026 12:00:00 +0000\"",
            "Subject: =?utf-8?q?dr=C3=BCben?=\r\nContent-Transfer-Encoding: base64\r\n\r\nYSBOZWVkbGUgaGlkZGVu\r\n",
        ),
    ] {
        bob.append(&format!("INBOX {flags} {date}"), message).await;
    }
    bob.ok("STORE 2 +FLAGS.SILENT ($Work)").await;
    bob
}

#[tokio::test]
async fn each_key_finds_what_it_says() {
    let test = Test::new().await;
    let mut bob = filled(&test).await;
    for (key, found) in [
        ("ALL", " 1 2 3"),
        ("SEEN", " 1"),
        ("UNSEEN", " 2 3"),
        ("KEYWORD $work", " 2"),
        ("NOT KEYWORD $nothing", " 1 2 3"),
        ("2:*", " 2 3"),
        ("UID 3", " 3"),
        ("RECENT", " 1 2 3"),
        ("SINCE 2-Feb-2026", " 2 3"),
        ("ON 1-Feb-2026", " 1"),
        ("LARGER 50", " 1 3"),
        ("SUBJECT FIRST", " 1"),
        ("SUBJECT {7+}\r\ndr\u{fc}ben", " 3"),
        ("FROM amy@", " 1"),
        ("HEADER X-Tag blue", " 2"),
        ("HEADER X-Tag \"\"", " 2"),
        ("BODY needle", " 1 3"),
        ("TEXT second", " 2"),
        ("OR SUBJECT first BODY hidden", " 1 3"),
        ("UNSEEN BODY hay", " 2"),
        ("NOT (SEEN BODY hay)", " 2 3"),
        ("BODY nowhere", ""),
    ] {
        let charset = if key.is_ascii() { "" } else { "CHARSET UTF-8 " };
        assert_eq!(bob.ok(&format!("SEARCH {charset}{key}")).await, format!("* SEARCH{found}\r\n"), "{key}");
    }
    bob.ok("STORE 1 +FLAGS.SILENT \\Deleted").await;
    bob.ok("EXPUNGE").await;
    assert_eq!(bob.ok("UID SEARCH BODY needle").await, "* SEARCH 3\r\n");
    assert_eq!(bob.ok("SEARCH BODY needle").await, "* SEARCH 2\r\n");
}

#[tokio::test]
async fn an_unknown_charset_is_refused_with_those_that_are_known() {
    let test = Test::new().await;
    let mut bob = filled(&test).await;
    assert!(bob.no("SEARCH CHARSET KOI8-R SUBJECT x").await.contains("[BADCHARSET (US-ASCII UTF-8)]"));
}

#[tokio::test]
async fn many_answers_come_in_pages_and_in_one_line() {
    let test = Test::new().await;
    let mut bob = test.connect_with(100).await;
    bob.log_in("bob@a.test").await;
    bob.ok("SELECT INBOX").await;
    for nth in 0..700 {
        bob.append("INBOX", &format!("Subject: {}\r\n\r\n{nth}\r\n", nth % 2)).await;
    }
    let odd: Vec<String> = (1..=350).map(|n| (2 * n).to_string()).collect();
    assert_eq!(bob.ok("SEARCH SUBJECT 1").await, format!("* SEARCH {}\r\n", odd.join(" ")));
    let all: Vec<String> = (1..=700).map(|n: u32| n.to_string()).collect();
    assert_eq!(bob.ok("SEARCH ALL").await, format!("* SEARCH {}\r\n", all.join(" ")));
    let mixed: Vec<String> = (1..=700).filter(|n| n % 2 == 0 || *n < 300).map(|n| n.to_string()).collect();
    assert_eq!(bob.ok("SEARCH OR 1:299 SUBJECT 1").await, format!("* SEARCH {}\r\n", mixed.join(" ")));
}

#[tokio::test]
async fn messages_that_are_gone_are_not_found() {
    let test = Test::new().await;
    let mut bob = filled(&test).await;
    let mut other = test.bob().await;
    other.ok("STORE 1 +FLAGS.SILENT \\Deleted").await;
    other.ok("EXPUNGE").await;
    assert!(bob.ok("SEARCH BODY needle").await.starts_with("* SEARCH 3\r\n"));
}
