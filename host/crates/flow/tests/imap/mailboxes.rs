//! Logins, and mailboxes by name.

use crate::house::{LETTER, PASSWORD, Test};

#[tokio::test]
async fn logins_in_all_three_ways() {
    let test = Test::new().await;
    let mut client = test.connect().await;
    assert!(client.no("LOGIN bob@a.test wrong").await.contains("[AUTHENTICATIONFAILED]"));
    assert!(client.no("LOGIN nobody@a.test x").await.contains("[AUTHENTICATIONFAILED]"));
    client.ok(&format!("LOGIN bob@a.test \"{PASSWORD}\"")).await;
    let mut client = test.connect().await;
    client.ok("AUTHENTICATE PLAIN AGJvYkBhLnRlc3QAY29ycmVjdCBob3JzZQ==").await;
    let mut client = test.connect().await;
    client.send(b"t AUTHENTICATE LOGIN\r\n").await;
    client.send(b"Ym9iQGEudGVzdA==\r\n").await;
    let said = client.send(b"Y29ycmVjdCBob3JzZQ==\r\n").await;
    assert!(said.starts_with(b"t OK [CAPABILITY IMAP4rev1 "));
}

#[tokio::test]
async fn select_tells_what_rfc_3501_wants() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.append("Drafts (\\Seen)", LETTER).await;
    bob.append("Drafts", LETTER).await;
    let said = bob.say("SELECT Drafts").await;
    for line in
        ["* 2 EXISTS\r\n", "* 2 RECENT\r\n", "* OK [UNSEEN 2]", "* OK [UIDNEXT 3]", "t OK [READ-WRITE]"]
    {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(test.connect_to("Drafts").await.contains("* 0 RECENT\r\n"), "one session was told already");
    assert!(bob.no("SELECT Nowhere").await.contains("[NONEXISTENT]"));
    assert!(bob.say("CHECK").await.starts_with("t BAD"));
}

#[tokio::test]
async fn every_account_has_its_special_mailboxes() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    let said = bob.ok("LIST \"\" *").await;
    for (name, word) in [
        ("Archive", "\\Archive"),
        ("Drafts", "\\Drafts"),
        ("Junk", "\\Junk"),
        ("Sent", "\\Sent"),
        ("Trash", "\\Trash"),
    ] {
        assert!(said.contains(&format!("* LIST (\\HasNoChildren {word}) \"/\" {name}\r\n")), "{said}");
    }
    assert!(said.contains("* LIST (\\HasNoChildren) \"/\" INBOX\r\n"), "{said}");
}

#[tokio::test]
async fn names_are_created_listed_renamed_and_deleted() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.ok("CREATE a/b/c").await;
    assert!(bob.no("CREATE a/b/c").await.contains("[ALREADYEXISTS]"));
    let said = bob.ok("LIST \"\" a%").await;
    assert!(said.contains("\\HasChildren) \"/\" a\r\n") && !said.contains("a/b"), "{said}");
    assert!(bob.ok("LIST a/ %").await.contains("\"/\" a/b\r\n"));
    assert!(bob.ok("LIST \"\" *c").await.contains("* LIST (\\HasNoChildren) \"/\" a/b/c\r\n"));
    bob.ok("RENAME a/b x").await;
    assert!(bob.ok("LIST \"\" x*").await.contains("\"/\" x/c\r\n"));
    assert_eq!(bob.ok("LIST \"\" a/b").await, "");
    bob.ok("DELETE x/c").await;
    assert!(bob.no("DELETE x/c").await.contains("[NONEXISTENT]"));
    bob.ok("CREATE \"Entw&APw-rfe\"").await;
    assert!(bob.ok("LIST \"\" Entw*").await.contains("\"/\" \"Entw&APw-rfe\"\r\n"));
    assert!(bob.no("DELETE INBOX").await.contains("[CANNOT]"));
    assert!(bob.no("STATUS Nowhere (MESSAGES)").await.contains("[NONEXISTENT]"));
}

#[tokio::test]
async fn renaming_inbox_moves_its_messages() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    bob.append("INBOX", LETTER).await;
    assert_eq!(bob.ok("RENAME INBOX old").await, "* 1 EXPUNGE\r\n");
    assert_eq!(bob.ok("STATUS old (MESSAGES)").await, "* STATUS old (MESSAGES 1)\r\n");
    assert!(bob.ok("LIST \"\" INBOX").await.contains("INBOX"));
}

#[tokio::test]
async fn subscriptions_are_kept_apart_from_mailboxes() {
    let test = Test::new().await;
    let mut bob = test.bob().await;
    for name in bob.ok("LSUB \"\" *").await.lines() {
        let name = name.rsplit(' ').next().unwrap().to_owned();
        bob.ok(&format!("UNSUBSCRIBE {name}")).await;
    }
    bob.ok("CREATE a/b").await;
    bob.ok("SUBSCRIBE a/b").await;
    assert_eq!(bob.ok("LSUB \"\" *").await, "* LSUB () \"/\" a/b\r\n");
    assert_eq!(bob.ok("LSUB \"\" %").await, "* LSUB (\\Noselect) \"/\" a\r\n");
    bob.ok("DELETE a/b").await;
    assert_eq!(bob.ok("LSUB \"\" *").await, "* LSUB (\\Noselect) \"/\" a/b\r\n");
    assert!(!bob.ok("LIST \"\" *").await.contains("a/b"));
    bob.ok("UNSUBSCRIBE a/b").await;
    assert_eq!(bob.ok("LSUB \"\" *").await, "");
}
