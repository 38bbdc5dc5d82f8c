//! What peers are told is written in one file a protocol: SMTP in `reply.rs`, POP3 and IMAP in `response*.rs`.
//!
//! Looked at are string literals outside tests, by how an answer begins or by a code in brackets.

use crate::model::Tree;
use crate::{assert_finds, assert_kept, tree};

/// RFC 3501 §7: what an untagged or tagged answer begins with.
const IMAP_BEGINNINGS: &[&str] = &[
    "* OK",
    "* NO",
    "* BAD",
    "* BYE",
    "* PREAUTH",
    "* CAPABILITY",
    "* LIST",
    "* LSUB",
    "* STATUS",
    "* SEARCH",
    "* FLAGS",
    "* ENABLED",
    "* NAMESPACE",
    "* ID ",
    "OK ",
    "NO ",
    "BAD ",
    " OK ",
    " NO ",
    " BAD ",
];

/// The IANA list of IMAP response codes, as far as no other protocol has them.
const IMAP_CODES: &[&str] = &[
    "ALERT",
    "ALREADYEXISTS",
    "APPENDUID",
    "AUTHENTICATIONFAILED",
    "AUTHORIZATIONFAILED",
    "BADCHARSET",
    "CANNOT",
    "CLIENTBUG",
    "CLOSED",
    "CONTACTADMIN",
    "COPYUID",
    "CORRUPTION",
    "EXPIRED",
    "EXPUNGEISSUED",
    "HIGHESTMODSEQ",
    "INUSE",
    "MODIFIED",
    "NONEXISTENT",
    "NOPERM",
    "OVERQUOTA",
    "PERMANENTFLAGS",
    "PRIVACYREQUIRED",
    "READ-ONLY",
    "READ-WRITE",
    "SERVERBUG",
    "TOOBIG",
    "TRYCREATE",
    "UIDNEXT",
    "UIDNOTSTICKY",
    "UIDVALIDITY",
    "UNAVAILABLE",
    "UNKNOWN-CTE",
    "UNSEEN",
];

fn is_smtp_reply(literal: &str) -> bool {
    let mut chars = literal.chars();
    let first = chars.next().is_some_and(|c| ('2'..='5').contains(&c));
    let rest = [chars.next(), chars.next()].iter().all(|c| c.is_some_and(|c| c.is_ascii_digit()));
    first && rest && matches!(chars.next(), Some(' ' | '-'))
}

fn is_pop3_response(literal: &str) -> bool {
    literal.starts_with("+OK") || literal.starts_with("-ERR")
}

fn is_imap_response(literal: &str) -> bool {
    // `[CODE]` or `[CODE argument]`, the end of which may be another literal's.
    let codes = literal.split('[').skip(1).filter_map(|inside| inside.split([']', ' ']).next());
    IMAP_BEGINNINGS.iter().any(|beginning| literal.starts_with(beginning))
        || codes.into_iter().any(|code| IMAP_CODES.contains(&code))
}

/// A protocol, how its answers are known, where they may stand.
type Answers = (&'static str, fn(&str) -> bool, &'static str);

const ANSWERS: &[Answers] = &[
    ("an SMTP reply", is_smtp_reply, "host/crates/smtp/src/reply"),
    ("a POP3 response", is_pop3_response, "host/crates/pop3/src/response"),
    ("an IMAP response", is_imap_response, "host/crates/imap/src/response"),
];

fn answers_elsewhere(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.shipped() {
        for (number, literal) in &file.source.literals {
            for (what, is_answer, place) in ANSWERS {
                // The guests under tests/ are no tests to cargo, but to us; `Tree::shipped` has left them out.
                if is_answer(literal) && !file.path.starts_with(place) {
                    broken.push(format!("{}:{number}: {what} outside {place}*: {literal:?}", file.path));
                }
            }
        }
    }
    broken
}

#[test]
fn answers_are_written_in_one_place_each() -> anyhow::Result<()> {
    assert_kept(&answers_elsewhere(tree()?));
    Ok(())
}

#[test]
fn an_answer_written_elsewhere_is_found() {
    for (path, code, found) in [
        ("host/crates/flow/src/a.rs", "fn f() { say(\"550 5.1.1 No such user\") }", "an SMTP reply"),
        ("host/crates/smtp/src/server/a.rs", "fn f() { say(b\"250-SIZE\") }", "an SMTP reply"),
        ("host/crates/pop3/src/session.rs", "fn f() { say(\"+OK\") }", "a POP3 response"),
        ("host/crates/imap/src/session.rs", "fn f() { say(b\"* BYE see you\") }", "an IMAP response"),
        ("host/crates/flow/src/a.rs", "fn f() { say(\"no mailbox [TRYCREATE]\") }", "an IMAP response"),
    ] {
        assert_finds(&answers_elsewhere(&Tree::of_files(&[(path, code)])), found);
    }
}

#[test]
fn an_answer_in_its_place_is_fine() {
    let fine = [
        ("host/crates/smtp/src/reply.rs", "fn f() { say(\"550 5.1.1 No such user\") }"),
        ("host/crates/imap/src/response/status.rs", "fn f() { say(\"* BYE see you\") }"),
        ("host/crates/flow/src/a.rs", "fn f() { say(\"2500 octets, 5.1.1, [X], NOT\") } // 250 OK"),
        ("host/crates/smtp/tests/server/main.rs", "fn f() { say(\"250 OK\") }"),
    ];
    assert_kept(&answers_elsewhere(&Tree::of_files(&fine)));
}
