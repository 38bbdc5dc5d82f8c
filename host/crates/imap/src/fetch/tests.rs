use maitred_mail::mime::{Limits, StructureBuilder};
use maitred_mail::{Flags, Keywords, ModSeq, Uid};
use proptest::prelude::*;

use super::*;
use crate::Body;

const NESTED: &str = "From: A <a@b>\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\n\
    preamble\r\n--o\r\n\r\none\r\ntwo\r\n--o\r\nContent-Type: message/rfc822\r\nContent-ID: <m>\r\n\r\n\
    Subject: inner\r\nTo: x@y\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=x\r\nContent-Language: de, en\r\n\r\nPGI+\r\n--i--\r\n\r\n--o--\r\n";

fn structure(message: &[u8]) -> Vec<u8> {
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(message);
    builder.finish().encode()
}

fn items(text: &str) -> Vec<FetchItem> {
    let command = format!("a FETCH 1 {text}");
    match crate::grammar::parse(command.as_bytes(), &Default::default()).unwrap().body {
        Body::Fetch { items, .. } => items,
        other => panic!("{other:?}"),
    }
}

fn facts<'a>(message: &[u8], structure: &'a [u8]) -> MessageFacts<'a> {
    MessageFacts {
        seq: Seq(12),
        entry: Entry { uid: Uid(4827313), flags: Flags::SEEN, keywords: Keywords(0), modseq: ModSeq(1) },
        keyword_names: &[],
        is_recent: false,
        tells_flags: false,
        internal_date: Timestamp::from_seconds(837_571_465),
        octets: message.len() as u64,
        structure,
    }
}

fn fetched(facts: &MessageFacts<'_>, message: &[u8], text: &str) -> String {
    let plan = Plan::new(&items(text));
    let mut out = Vec::new();
    let mut progress = plan.begin(facts, &mut out).unwrap();
    loop {
        let octets = |range: Range<u64>| &message[range.start as usize..range.end as usize];
        match plan.step(&mut progress, facts, &mut out) {
            Step::Content(range) => response::literal_content(octets(range), &mut out),
            Step::Fields(range) => plan.fields(&mut progress, octets(range), &mut out),
            Step::Done => break,
        }
    }
    // What is cut in a character keeps its length.
    let masked =
        |octets: &[u8]| octets.iter().map(|o| if o.is_ascii() { char::from(*o) } else { '?' }).collect();
    let text = String::from_utf8(out).unwrap_or_else(|error| masked(error.as_bytes()));
    text.strip_prefix("* 12 FETCH (").unwrap().strip_suffix(")\r\n").unwrap().to_owned()
}

fn fetch(message: &str, text: &str) -> String {
    let structure = structure(message.as_bytes());
    fetched(&facts(message.as_bytes(), &structure), message.as_bytes(), text)
}

#[test]
fn facts_are_told_without_structure_or_content() {
    let facts = facts(b"", b"broken");
    let plan = Plan::new(&items("FAST"));
    assert!(plan.needs_record() && !plan.needs_structure() && !plan.needs_content() && !plan.sets_seen());
    assert!(!Plan::new(&items("(FLAGS UID)")).needs_record());
    assert_eq!(
        fetched(&facts, b"", "(UID FLAGS INTERNALDATE RFC822.SIZE)"),
        "UID 4827313 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 +0000\" RFC822.SIZE 0"
    );
    let entry = Entry { flags: Flags(31), keywords: Keywords(5), ..facts.entry };
    let names = ["$a".into(), "$b".into(), "$c".into()];
    let flagged = MessageFacts { entry, keyword_names: &names, is_recent: true, tells_flags: true, ..facts };
    let all = "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\Recent $a $c)";
    assert_eq!(fetched(&flagged, b"", "FLAGS"), all);
    assert_eq!(fetched(&flagged, b"", "UID"), format!("{all} UID 4827313"));
    let early = MessageFacts { internal_date: Timestamp::from_seconds(0), ..facts };
    assert_eq!(fetched(&early, b"", "INTERNALDATE"), "INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\"");
    assert!(Plan::new(&items("ENVELOPE")).begin(&facts, &mut Vec::new()).is_err());
}

#[test]
fn the_envelope_of_rfc_3501_section_8_is_printed() {
    let message = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\nFrom: Terry Gray <gray@cac.washington.edu>\r\n\
        Subject: IMAP4rev1 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\n\
        cc: minutes@CNRI.Reston.VA.US, \"John \\\"K\\\" Klensin\" <KLENSIN@MIT.EDU>\r\n\
        Message-Id: <B27397-0100000@cac.washington.edu>\r\nMIME-Version: 1.0\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\nHi\r\n";
    let gray = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
    assert_eq!(
        fetch(message, "(ENVELOPE BODY)"),
        format!(
            "ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" {gray} {gray} {gray} \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
             (\"John \\\"K\\\" Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \"<B27397-0100000@cac.washington.edu>\") \
             BODY (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7bit\" 4 1)"
        )
    );
    assert_eq!(
        fetch("Subject: ä\r\nTo: a:b@c;\r\n\r\n", "ENVELOPE"),
        "ENVELOPE (NIL {2}\r\nä NIL NIL NIL ((NIL NIL \"a\" NIL)(NIL NIL \"b\" \"c\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)"
    );
}

#[test]
fn body_structures_are_printed_with_and_without_extensions() {
    let envelope = "(NIL \"inner\" NIL NIL NIL ((NIL NIL \"x\" \"y\")) NIL NIL NIL NIL)";
    let text = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 8 2";
    let html = "\"text\" \"html\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 4 1";
    let message = "\"message\" \"rfc822\" NIL \"<m>\" NIL \"7bit\"";
    let body = fetch(NESTED, "BODY");
    let inner = NESTED.find("Subject: inner").unwrap();
    let octets = NESTED.find("\r\n--o--").unwrap() - inner;
    assert_eq!(
        body,
        format!("BODY (({text})({message} {octets} {envelope} (({html}) \"alternative\") 12) \"mixed\")")
    );
    assert_eq!(
        fetch(NESTED, "BODYSTRUCTURE"),
        format!(
            "BODYSTRUCTURE (({text} NIL NIL NIL NIL)({message} {octets} {envelope} \
             (({html} NIL (\"attachment\" (\"filename\" \"x\")) (\"de\" \"en\") NIL) \"alternative\" (\"boundary\" \"i\") NIL NIL NIL) \
             12 NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"o\") NIL NIL NIL)"
        )
    );
}

#[test]
fn sections_are_the_octets_that_rfc_3501_section_6_4_5_says() {
    let inner = "Subject: inner\r\nTo: x@y\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n";
    let mime = "Content-Type: message/rfc822\r\nContent-ID: <m>\r\n\r\n";
    for (item, value) in [
        ("BODY[1]", Some("one\r\ntwo")),
        ("BODY[1.MIME]", Some("\r\n")),
        ("BODY[2.MIME]", Some(mime)),
        ("BODY[2.HEADER]", Some(inner)),
        ("BODY[2.1]", Some("PGI+")),
        ("BODY[2.HEADER.FIELDS (to X)]", Some("To: x@y\r\n\r\n")),
        ("BODY[2.HEADER.FIELDS.NOT (TO CONTENT-TYPE)]", Some("Subject: inner\r\n\r\n")),
        ("BODY[HEADER.FIELDS (SUBJECT)]", Some("Subject: outer\r\n\r\n")),
        ("BODY[HEADER.FIELDS (BCC)]", Some("\r\n")),
        ("BODY[1]<0>", Some("one")),
        ("BODY[1]<5>", Some("two")),
        ("BODY[1]<8>", Some("")),
        ("BODY[1]<4000000000>", Some("")),
        ("BODY[HEADER.FIELDS (SUBJECT)]<9>", Some("out")),
        ("BODY[HEADER.FIELDS (SUBJECT)]<99>", Some("")),
        ("BODY[3]", None),
        ("BODY[1.1]", None),
        ("BODY[1.HEADER]", None),
        ("BODY[1.TEXT]", None),
        ("BODY[1.HEADER.FIELDS (A)]", None),
        ("BODY[4.MIME]", None),
    ] {
        let value = match value {
            None => "NIL".to_owned(),
            Some("") => "\"\"".to_owned(),
            Some(value) => format!("{{{}}}\r\n{value}", value.len()),
        };
        let asked = item.replace('>', ".3>").replace("BODY", "BODY.PEEK");
        assert_eq!(fetch(NESTED, &asked), format!("{item} {value}"));
    }
    let (header, text) = NESTED.split_at(NESTED.find("preamble").unwrap());
    for (item, value) in [
        ("BODY[]", NESTED),
        ("BODY[HEADER]", header),
        ("BODY[TEXT]", text),
        ("RFC822", NESTED),
        ("RFC822.HEADER", header),
        ("RFC822.TEXT", text),
    ] {
        assert_eq!(fetch(NESTED, item), format!("{item} {{{}}}\r\n{value}", value.len()));
        assert_eq!(Plan::new(&items(item)).sets_seen(), item != "RFC822.HEADER");
    }
}

#[test]
fn a_message_without_body_has_no_blank_line() {
    assert_eq!(fetch("A: b\r\n", "BODY[HEADER.FIELDS (A)]"), "BODY[HEADER.FIELDS (A)] {6}\r\nA: b\r\n");
    assert_eq!(fetch("A: b\r\n", "(BODY[TEXT] BODY[1])"), "BODY[TEXT] \"\" BODY[1] \"\"");
    assert_eq!(fetch("\r\nx", "BODY[HEADER.FIELDS (A)]"), "BODY[HEADER.FIELDS (A)] {2}\r\n\r\n");
    assert_eq!(fetch("", "(BODY[] BODY[HEADER])"), "BODY[] \"\" BODY[HEADER] \"\"");
}

#[test]
fn no_literal_has_nul() {
    let shown = fetch("A: \0b\r\n\r\nc\0d", "(ENVELOPE BODY[HEADER.FIELDS (A)] BODY[TEXT])");
    assert!(shown.ends_with("BODY[HEADER.FIELDS (A)] {9}\r\nA: ?b\r\n\r\n BODY[TEXT] {3}\r\nc?d"), "{shown}");
}

#[test]
fn labels_are_echoed() {
    for (asked, label) in [
        (
            "BODY.PEEK[1.2.header.fields (\"a b\" from \"x\\\"y\")]<5.6>",
            "BODY[1.2.HEADER.FIELDS (\"a b\" from \"x\\\"y\")]<5> NIL",
        ),
        ("body[1.]", "BODY[1] \"\""),
    ] {
        assert_eq!(fetch("A: b\r\n", asked), label);
    }
}

#[test]
fn a_header_section_beyond_the_limit_is_read_in_part() {
    let message = format!("A: {}\r\nB: c\r\n\r\n", "x".repeat(1024 * 1024));
    assert_eq!(fetch(&message, "BODY[HEADER.FIELDS (B)]"), "BODY[HEADER.FIELDS (B)] {2}\r\n\r\n");
}

proptest! {
    #[test]
    fn any_message_is_fetched_with_the_lengths_announced(
        message in prop::collection::vec(prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: message/rfc822\r\n", "\r\n", "--b\r\n", "--b--\r\n",
            "From: a <b@c>, d:;\r\n", "Subject: \"x\\\r\n", "ä", "\n", "text\r\n", "A: b\r\n c\r\n", "Content-Type: text/x; a=\"b\\\"\r\n", "\0",
        ]), 0..25),
        part in prop::sample::select(vec!["", "1.", "2.", "1.1.", "2.1.", "1.1.1."]),
        text in prop::sample::select(vec!["HEADER", "TEXT", "MIME", "", "HEADER.FIELDS (From A)", "HEADER.FIELDS.NOT (A)"]),
        partial in prop::sample::select(vec!["", "<0.5>", "<3.100>"]),
    ) {
        let message = message.concat();
        let text = if part.is_empty() && text == "MIME" { "" } else { text };
        let item = format!("BODY[{part}{text}]{partial}");
        let shown = fetch(&message, &format!("(ENVELOPE BODYSTRUCTURE BODY {item} UID)"));
        // What follows the value is found by its length.
        let (_, value) = shown.rsplit_once(" BODY[").unwrap();
        let value = value.split_once("] ").or_else(|| value.split_once("> ")).unwrap().1;
        if let Some(literal) = value.strip_prefix('{') {
            let (octets, rest) = literal.split_once("}\r\n").unwrap();
            let octets: usize = octets.parse().unwrap();
            prop_assert_eq!(&rest.as_bytes()[octets..], b" UID 4827313");
        } else {
            prop_assert!(value == "NIL UID 4827313" || value == "\"\" UID 4827313", "{}", value);
        }
    }
}
