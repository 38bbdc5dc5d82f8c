//! Many sessions on one mailbox, and many idle ones.

use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure};

const PLAIN: &str = "[auth]\nallow_plaintext = true\n[limits]\nconnections_per_ip = 1000\n";

#[test]
fn new_mail_is_told_to_every_session_that_idles() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&configure(folder.path(), "", PLAIN).unwrap()).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let mut sessions: Vec<Talk> =
        (0..50).map(|_| Talk::login(server.port("imap"), "bob@example.test").unwrap()).collect();
    for session in &mut sessions {
        assert_eq!(session.select("INBOX").unwrap(), 0);
        session.send(b"i IDLE\r\n").unwrap();
        assert!(session.hear().unwrap().starts_with('+'));
    }
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    assert!(
        talk.deliver("a@c.test", &["bob@example.test"], "Subject: x\r\n\r\nhi").unwrap().starts_with("250")
    );
    for session in &mut sessions {
        while session.hear().unwrap() != "* 1 EXISTS" {}
    }
    // What one deletes, all lose.
    let mut last = sessions.pop().unwrap();
    last.send(b"DONE\r\n").unwrap();
    while !last.hear().unwrap().starts_with("i OK") {}
    last.imap("STORE 1 +FLAGS.SILENT (\\Deleted)").unwrap();
    last.imap("EXPUNGE").unwrap();
    for session in &mut sessions {
        while session.hear().unwrap() != "* 1 EXPUNGE" {}
        session.send(b"DONE\r\n").unwrap();
        while !session.hear().unwrap().starts_with("i OK") {}
    }
    assert!(server.stop().unwrap().success());
}

#[test]
fn a_large_message_comes_back_octet_by_octet() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&configure(folder.path(), "", PLAIN).unwrap()).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    let text = (0..300_000).map(|n| format!("line {n} of a long message\r\n")).collect::<String>();
    let letter = format!("Subject: long\r\n\r\n{text}");
    assert!(talk.deliver("a@c.test", &["bob@example.test"], letter.trim_end()).unwrap().starts_with("250"));
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    bob.select("INBOX").unwrap();
    let read = bob.imap("FETCH 1 (BODY.PEEK[TEXT])").unwrap();
    assert!(read.iter().any(|piece| piece == &text), "{} octets were sent", text.len());
    let part = bob.imap("FETCH 1 (BODY.PEEK[TEXT]<5000000.40>)").unwrap();
    assert!(part.iter().any(|piece| piece.as_str() == &text[5_000_000..5_000_040]), "{part:?}");
}
