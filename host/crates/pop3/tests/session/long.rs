//! Long responses: in pieces, with bounded memory.

use std::sync::Arc;
use std::time::Instant;

use maitred_mail::{AccountId, Address, Authenticated, Uid, UidValidity};
use maitred_pop3::{Config, Event, Maildrop, Session};
use maitred_wire::{Engine as _, Step};

/// Everything said to these commands of a session, and the largest piece of it.
fn say(maildrop: &Maildrop, commands: &str, content: &[u8]) -> (Vec<u8>, usize) {
    let mut config = Config::new("mx.test");
    config.allow_plaintext = true;
    let mut session = Session::new(Arc::new(config));
    let commands = format!("USER mrose\r\nPASS secret\r\n{commands}");
    let (mut rest, mut out, mut largest) = (commands.as_bytes(), Vec::new(), 0);
    let now = Instant::now();
    loop {
        match session.poll(now) {
            Step::Send(octets) => {
                largest = largest.max(octets.len());
                out.extend_from_slice(&octets);
            }
            Step::Event(Event::Authenticate { ticket, .. }) => {
                let address = Address::parse("mrose@mx.test").unwrap();
                let login = Authenticated::after_verification(AccountId(1), address);
                session.authenticate(ticket, login, maildrop.clone());
            }
            Step::Event(Event::Content { ticket, offset, octets_max, .. }) => {
                let from = usize::try_from(offset).unwrap();
                session.content(ticket, &content[from..content.len().min(from + octets_max)]);
            }
            Step::Event(_) => {}
            Step::Wait { .. } if !rest.is_empty() => rest = &rest[session.input(rest)..],
            Step::Wait { .. } | Step::Close | Step::StartTls => return (out, largest),
        }
    }
}

#[test]
fn a_hundred_thousand_messages_are_listed_in_pieces() {
    let mut maildrop = Maildrop::new(UidValidity(1_795_515_244), 100_000);
    (1..=100_000).for_each(|uid| maildrop.push(Uid(uid), 4096));
    let (out, largest) = say(&maildrop, "DELE 99999\r\nLIST\r\nUIDL\r\n", b"");
    let text = String::from_utf8(out).unwrap();
    assert!(largest <= 17_000, "{largest}");
    assert_eq!(text.lines().filter(|line| *line == ".").count(), 2);
    assert_eq!(text.lines().filter(|line| line.ends_with(" 4096")).count(), 99_999);
    assert!(text.ends_with("\r\n99998 1795515244.99998\r\n100000 1795515244.100000\r\n.\r\n"));
}

#[test]
fn a_large_message_passes_through_in_pieces() {
    let content = b"..................................\r\n.\r\n\r\n".repeat(100_000);
    let mut maildrop = Maildrop::new(UidValidity(1), 1);
    maildrop.push(Uid(1), content.len() as u64);
    let (out, largest) = say(&maildrop, "RETR 1\r\n", &content);
    assert!(largest <= 2 * 65_536, "{largest}");
    let text = String::from_utf8(out).unwrap();
    let (_, sent) = text.split_once("octets\r\n.").unwrap();
    let unstuffed = format!("\r\n.{sent}").replace("\r\n.", "\r\n");
    assert!(unstuffed.as_bytes().starts_with(b"\r\n......"));
    assert_eq!(unstuffed.len(), 2 + content.len() + 2, "CRLF before, CRLF of the end mark behind");
}

#[test]
fn top_of_a_large_message_reads_one_piece() {
    let mut content = b"A: b\r\n\r\n1\r\n2\r\n".to_vec();
    content.resize(1 << 20, b'x');
    let mut maildrop = Maildrop::new(UidValidity(1), 1);
    maildrop.push(Uid(1), content.len() as u64);
    let (out, _) = say(&maildrop, "TOP 1 1\r\n", &content);
    assert!(out.ends_with(b"follows\r\nA: b\r\n\r\n1\r\n.\r\n"));
}
