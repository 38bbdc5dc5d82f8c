use maitred_mail::Flags;
use proptest::prelude::*;

use super::*;
use crate::command::*;
use crate::set::SequenceSet;

fn body(text: &str) -> Result<Body, ParseError> {
    match parse(format!("A001 {text}").as_bytes(), &Limits::default()) {
        Ok(command) => {
            assert_eq!(command.tag.as_str(), "A001");
            Ok(command.body)
        }
        Err((tag, error)) => {
            assert_eq!(tag.unwrap().as_str(), "A001");
            Err(error)
        }
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", body(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn key(text: &str) -> SearchKey {
    match body(&format!("SEARCH {text}")) {
        Ok(Body::Search { key, .. }) => key,
        other => panic!("{text}: {other:?}"),
    }
}

fn items(text: &str) -> Vec<FetchItem> {
    match body(&format!("FETCH 1 {text}")) {
        Ok(Body::Fetch { items, .. }) => items,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn commands_without_arguments_are_read_in_any_case() {
    for (text, expected) in [
        ("CAPABILITY", Body::Capability),
        ("nOOp", Body::Noop),
        ("LOGOUT ", Body::Logout),
        ("STARTTLS", Body::StartTls),
        ("CHECK", Body::Check),
        ("CLOSE", Body::Close),
        ("UNSELECT", Body::Unselect),
        ("EXPUNGE", Body::Expunge),
        ("IDLE", Body::Idle),
        ("NAMESPACE", Body::Namespace),
        ("ID NIL", Body::Id(Vec::new())),
        ("ID ()", Body::Id(Vec::new())),
    ] {
        assert_eq!(body(text), Ok(expected), "{text}");
    }
}

#[test]
fn mailbox_commands_of_rfc_3501_section_6_3_are_read() {
    for (text, expected) in [
        ("SELECT INBOX", r#"Select("INBOX")"#),
        ("EXAMINE blurdybloop", r#"Examine("blurdybloop")"#),
        ("CREATE owatagusiam/", r#"Create("owatagusiam")"#),
        ("DELETE \"foo bar\"", r#"Delete("foo bar")"#),
        ("RENAME inbox old-mail", r#"Rename { from: "INBOX", to: "old-mail" }"#),
        ("SUBSCRIBE #news.comp.mail.mime", r##"Subscribe("#news.comp.mail.mime")"##),
        ("UNSUBSCRIBE Inbox/a", r#"Unsubscribe("INBOX/a")"#),
        ("SELECT inboxes", r#"Select("inboxes")"#),
        ("SELECT \"Entw&APw-rfe\"", r#"Select("Entwürfe")"#),
        ("SELECT Entwürfe", r#"Select("Entwürfe")"#),
        ("SELECT {4}\r\na\"b]", r#"Select("a\"b]")"#),
        ("SELECT \"a\\\"\\\\b\"", r#"Select("a\"\\b")"#),
        ("LSUB \"#news.\" \"comp.*\"", r##"Lsub { reference: "#news.", pattern: "comp.*" }"##),
        ("LSUB \"\" %", r#"Lsub { reference: "", pattern: "%" }"#),
        (
            "STATUS blurdybloop (UIDNEXT MESSAGES UIDNEXT)",
            r#"Status { mailbox: "blurdybloop", items: [UidNext, Messages] }"#,
        ),
        ("ENABLE CONDSTORE X-GOOD-IDEA", r#"Enable(["CONDSTORE", "X-GOOD-IDEA"])"#),
        (
            "COPY 2:4 MEETING",
            r#"Copy { numbers: Seq, set: SequenceSet([(Number(2), Number(4))]), mailbox: "MEETING" }"#,
        ),
        (
            "UID MOVE 42:69 foo",
            r#"Move { numbers: Uid, set: SequenceSet([(Number(42), Number(69))]), mailbox: "foo" }"#,
        ),
        ("UID EXPUNGE 3000:3002", r#"UidExpunge(SequenceSet([(Number(3000), Number(3002))]))"#),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn logins_are_read_and_never_shown() {
    assert_eq!(
        body("LOGIN SMITH {6}\r\nSE AME"),
        Ok(Body::Login { user: "SMITH".into(), password: Secret("SE AME".into()) })
    );
    assert!(!shown("LOGIN SMITH SESAME").contains("SESAME"));
    let authenticate = |mechanism: &str, initial: Option<&str>| {
        Ok(Body::Authenticate { mechanism: mechanism.into(), initial: initial.map(|i| Secret(i.into())) })
    };
    assert_eq!(body("AUTHENTICATE GSSAPI"), authenticate("GSSAPI", None));
    assert_eq!(body("AUTHENTICATE plain AGEAYg=="), authenticate("plain", Some("AGEAYg==")));
    assert_eq!(body("AUTHENTICATE EXTERNAL ="), authenticate("EXTERNAL", Some("=")));
    assert_eq!(
        body(r#"ID ("name" "sodr" "version" NIL)"#),
        Ok(Body::Id(vec![("name".into(), Some("sodr".into())), ("version".into(), None)]))
    );
}

#[test]
fn list_is_read_with_its_options() {
    let Ok(Body::List(list)) = body("LIST \"\" \"\"") else { panic!() };
    assert_eq!((list.patterns, list.is_extended), (vec!["".into()], false));
    let Ok(Body::List(list)) = body("LIST /usr/staff/ %*") else { panic!() };
    assert_eq!((&*list.reference, &*list.patterns[0]), ("/usr/staff/", "%*"));
    let text = "LIST (SUBSCRIBED SPECIAL-USE) \"\" (\"INBOX\" Drafts Sent/%) RETURN (CHILDREN SPECIAL-USE)";
    let Ok(Body::List(list)) = body(text) else { panic!() };
    assert!(list.is_extended && list.selection.subscribed && list.selection.special_use);
    assert!(list.returns.children && list.returns.special_use && !list.returns.subscribed);
    assert_eq!(list.patterns.len(), 3);
    assert!(matches!(body("LIST (FOO) \"\" *"), Err(ParseError::Syntax(_))));
    assert!(matches!(body("LIST \"\" ()"), Err(ParseError::Syntax(_))));
    assert!(matches!(body("LIST \"\""), Err(ParseError::Syntax(_))));
}

#[test]
fn append_is_read_up_to_its_message() {
    let Ok(Body::Append(append)) =
        body("APPEND saved-messages (\\Seen $Junk \\Recent $junk) \" 7-Feb-1994 21:52:25 -0800\" {310}")
    else {
        panic!()
    };
    assert_eq!((&*append.mailbox, append.octets, append.is_synchronizing), ("saved-messages", 310, true));
    assert_eq!(append.flags, FlagList { flags: Flags::SEEN, keywords: vec!["$Junk".into()] });
    assert_eq!(append.internal_date.unwrap().to_string(), "Tue, 08 Feb 1994 05:52:25 +0000");
    let Ok(Body::Append(append)) = body("APPEND {5}\r\ninbox {0+}") else { panic!() };
    assert_eq!((&*append.mailbox, append.octets, append.is_synchronizing), ("INBOX", 0, false));
    for text in
        ["APPEND a", "APPEND a (\\Foo) {1}", "APPEND a \"7-Feb-1994\" {1}", "APPEND a x", "APPEND a {x}"]
    {
        assert!(body(text).is_err(), "{text}");
    }
    assert_eq!(body("APPEND {5}"), Err(ParseError::LiteralMissing));
}

#[test]
fn fetch_items_of_rfc_3501_section_6_4_5_are_read() {
    use FetchItem::*;
    assert_eq!(items("ALL"), [Flags, InternalDate, Rfc822Size, Envelope]);
    assert_eq!(items("FULL").last(), Some(&Body));
    assert_eq!(items("(UID rfc822.size UID)"), [Uid, Rfc822Size]);
    assert_eq!(items("RFC822.TEXT"), [Rfc822Text]);
    assert_eq!(items("(BODY BODYSTRUCTURE)"), [Body, BodyStructure]);
    let section = |part: &[u32], text| crate::command::Section { part: part.to_vec(), text };
    let of = |is_peek, section, partial| vec![FetchItem::Section { is_peek, section, partial }];
    assert_eq!(items("BODY[]"), of(false, section(&[], SectionText::All), None));
    let partial = Some(Partial { first: 0, octets: 2048 });
    assert_eq!(items("body.peek[text]<0.2048>"), of(true, section(&[], SectionText::Text), partial));
    assert_eq!(items("BODY[4.2.2.1]"), of(false, section(&[4, 2, 2, 1], SectionText::All), None));
    assert_eq!(items("BODY[4.1.MIME]"), of(false, section(&[4, 1], SectionText::Mime), None));
    let names = vec!["DATE".into(), "a b".into()];
    assert_eq!(
        items("BODY[3.HEADER.FIELDS.NOT (DATE \"a b\")]"),
        of(false, section(&[3], SectionText::HeaderFields { is_not: true, names }), None)
    );
    assert!(
        matches!(body("UID FETCH 1 FLAGS"), Ok(crate::Body::Fetch { items, .. }) if items == [Uid, Flags])
    );
    for text in [
        "",
        "()",
        "BODY[",
        "BODY[MIME]",
        "BODY[0]",
        "BODY[1HEADER]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[]<0>",
        "BODY[]<0.0>",
        "BODY[]<4294967296.1>",
        "FOO",
        "(FLAGS",
        "FLAGS)",
        "(FLAGS)x",
        "BODY[TEXT",
    ] {
        assert!(body(&format!("FETCH 1 {text}")).is_err(), "{text}");
    }
}

#[test]
fn store_is_read_with_and_without_parentheses() {
    let store = |action, is_silent, flags, keywords: &[&str]| {
        let keywords = keywords.iter().map(|keyword| (*keyword).into()).collect();
        StoreOperation { action, is_silent, flags: FlagList { flags, keywords } }
    };
    for (text, expected) in [
        ("+FLAGS (\\Deleted)", store(StoreAction::Add, false, Flags::DELETED, &[])),
        ("-flags.silent \\seen $MDNSent", store(StoreAction::Remove, true, Flags::SEEN, &["$MDNSent"])),
        ("FLAGS ()", store(StoreAction::Replace, false, Flags::default(), &[])),
    ] {
        let found = body(&format!("STORE 2:4 {text}"));
        assert!(matches!(&found, Ok(Body::Store { operation, .. }) if *operation == expected), "{found:?}");
    }
    for text in ["FLAGS", "FLAGS (", "FLAGS \\Foo", "FLAGS ({1}\r\na)", "FLAGS.LOUD (a)", "+-FLAGS (a)"] {
        assert!(body(&format!("STORE 1 {text}")).is_err(), "{text}");
    }
}

#[test]
fn search_keys_of_rfc_3501_section_6_4_4_are_read() {
    use SearchKey::*;
    let has = |flag| SearchKey::Flag(flag);
    let not = |key| Not(Box::new(key));
    assert_eq!(key("ALL"), And(vec![]));
    assert_eq!(
        key("FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\""),
        And(vec![has(Flags::FLAGGED), Since(Day(8797)), not(From("Smith".into()))])
    );
    assert_eq!(key("CHARSET UTF-8 TEXT {6}\r\nПри"), Text("При".into()));
    assert_eq!(key("subject Grüße"), Subject("Grüße".into()));
    assert_eq!(key("SUBJECT \"\""), And(vec![]));
    assert_eq!(key("HEADER Message-ID \"\""), Header { name: "Message-ID".into(), text: "".into() });
    assert_eq!(key("OR SEEN (UNSEEN 2:4)").clone(), {
        let set = SequenceSet::of(2..=4).unwrap();
        Or(Box::new(has(Flags::SEEN)), Box::new(And(vec![not(has(Flags::SEEN)), Seq(set)])))
    });
    assert_eq!(key("UNKEYWORD $Junk"), not(Keyword("$Junk".into())));
    assert_eq!(key("UID 5 LARGER 10 SENTON \"7-Feb-1994\"").clone(), {
        And(vec![Uid(SequenceSet::of(5..=5).unwrap()), Larger(10), SentOn(Day(8803))])
    });
    for text in [
        "",
        "FOO",
        "OR SEEN",
        "NOT",
        "()",
        "(SEEN",
        "BEFORE 32-Jan-2000",
        "SUBJECT",
        "SEEN)",
        "HEADER a",
        "RETURN () ALL",
    ] {
        assert!(matches!(body(&format!("SEARCH {text}")), Err(ParseError::Syntax(_))), "{text}");
    }
    assert_eq!(body("SEARCH CHARSET KOI8-R ALL"), Err(ParseError::Charset));
    let deep = |n: usize| format!("SEARCH {}SEEN{}", "(".repeat(n), ")".repeat(n));
    assert!(body(&deep(50)).is_ok() && body(&format!("SEARCH {}SEEN", "NOT ".repeat(50))).is_ok());
    assert!(matches!(body(&deep(51)), Err(ParseError::Limit(_))));
    assert!(matches!(body(&format!("SEARCH {}", "1 ".repeat(5001))), Err(ParseError::Limit(_))));
    assert!(matches!(body(&format!("SEARCH {}", "BODY x ".repeat(201))), Err(ParseError::Limit("texts"))));
    assert!(body(&format!("SEARCH {}", "FROM x ".repeat(201))).is_ok());
}

#[test]
fn what_is_no_command_is_refused_with_its_tag() {
    for (text, error) in [
        ("FOO", ParseError::Unknown),
        ("UID NOOP", ParseError::Unknown),
        ("NOOP\tx", ParseError::Unknown),
        ("NOOP x", ParseError::Syntax("the end of the command")),
        ("SELECT", ParseError::Syntax("a mailbox name")),
        ("SELECT a\0", ParseError::Octets),
        ("SELECT &x", ParseError::Name),
        ("LOGIN a \"b", ParseError::Syntax("the end of a quoted string")),
        ("STORE 1 FLAGS \\Foo", ParseError::Flag),
    ] {
        assert_eq!(body(text), Err(error), "{text}");
    }
    for text in ["", " NOOP", "+ NOOP", "\"a\" NOOP", "\u{e4} NOOP", "{3}"] {
        assert_eq!(parse(text.as_bytes(), &Limits::default()), Err((None, ParseError::Tag)), "{text}");
    }
}

/// Everything found in these pieces. APPEND to `no` is refused, others are accepted; IDLE is followed by a line.
fn read<'a>(limits: &Limits, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut reader = Reader::new(limits.clone());
    let mut found: Vec<String> = Vec::new();
    let mut message = Vec::new();
    for mut piece in pieces {
        loop {
            let taken = reader.input(piece);
            piece = &piece[taken..];
            assert!(reader.octets_held() <= limits.command_octets_max + limits.literal_octets_max + 100);
            let input = reader.next();
            match &input {
                Input::None if taken == 0 => break,
                Input::None => continue,
                Input::Command(Command { body: Body::Append(append), .. }) if &*append.mailbox == "no" => {
                    reader.refuse_message();
                }
                Input::Command(Command { body: Body::Append(_), .. }) => reader.accept_message(),
                Input::Command(Command { body: Body::Idle, .. }) => reader.expect_line(),
                Input::Message(chunk) => {
                    assert!(!chunk.is_empty() && chunk.len() <= limits.chunk_octets_max);
                    message.extend_from_slice(chunk);
                    continue;
                }
                _ => {}
            }
            if !message.is_empty() {
                found.push(format!("Message {:?}", String::from_utf8_lossy(&std::mem::take(&mut message))));
            }
            found.push(match input {
                Input::Command(Command { tag, body }) => format!("{tag} {body:?}"),
                Input::Bad { tag, error } => format!("{} {error}", tag.map_or("*".into(), |tag| tag.0)),
                Input::Line(line) => format!("Line {:?}", String::from_utf8_lossy(&line)),
                other => format!("{other:?}"),
            });
        }
    }
    found
}

fn small() -> Limits {
    Limits {
        command_octets_max: 60,
        literal_octets_max: 20,
        line_octets_max: 10,
        message_octets_max: 30,
        chunk_octets_max: 7,
        drain_octets_max: 200,
        nesting_max: 3,
        elements_max: 5,
        texts_max: 2,
        set_elements_max: 3,
    }
}

#[test]
fn the_reader_collects_literals_and_passes_messages_through() {
    for (text, expected) in [
        ("a NOOP\r\n\r\nb NOOP\r\n", &["a Noop", "b Noop"][..]),
        ("a LOGIN {2}\r\nxy {1+}\r\nz\r\n", &["Consent", "a Login { user: \"xy\", password: Secret(…) }"]),
        ("a SELECT {0}\r\n\r\n", &["Consent", "a Select(\"\")"]),
        ("a IDLE\r\nDONE\r\nb NOOP\r\n", &["a Idle", "Line \"DONE\"", "b Noop"]),
        ("a IDLE\r\n01234567890\r\nb NOOP\r\n", &["a Idle", "* line too long", "b Noop"]),
        (
            "a APPEND x {11}\r\nabc\r\n\r\ndef!\r\nb NOOP\r\n",
            &[
                "a Append(Append { mailbox: \"x\", flags: FlagList { flags: Flags(0), keywords: [] }, internal_date: None, octets: 11, is_synchronizing: true })",
                "Message \"abc\\r\\n\\r\\ndef!\"",
                "MessageEnd",
                "b Noop",
            ],
        ),
    ] {
        let found = read(&small(), [text.as_bytes()].into_iter());
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn what_is_refused_is_read_away() {
    for (text, expected) in [
        // Wrong before the literal: the client of a synchronizing one sends no more.
        ("a FOO {3}\r\nb NOOP\r\n", &["a unknown command", "b Noop"][..]),
        ("a FOO {3+}\r\n\r\nx y {2+}\r\nzz\r\nb NOOP\r\n", &["a unknown command", "b Noop"]),
        ("a SELECT {21}\r\nb NOOP\r\n", &["a literal too big", "b Noop"]),
        ("a SELECT {21+}\r\n012345678901234567890\r\nb NOOP\r\n", &["a literal too big", "b Noop"]),
        ("a APPEND x {31}\r\nb NOOP\r\n", &["a literal too big", "b Noop"]),
        ("a SELECT {201+}\r\nb NOOP\r\n", &["Endless"]),
        ("a SELECT \"a\nb\"\r\nb NOOP\r\n", &["a illegal octets in command", "b Noop"]),
        ("a NOOP\rb\r\r\nb NOOP\r\n", &["a illegal octets in command", "b Noop"]),
        (
            "a SELECT 01234567890123456789012345678901234567890123456789012345678901234567 {4+}\r\nb X\n x\r\nb NOOP\r\n",
            &["a line too long", "b Noop"],
        ),
    ] {
        assert_eq!(read(&small(), [text.as_bytes()].into_iter()), expected, "{text}");
    }
    let appended = |text: &str| {
        let mut found = read(&small(), [text.as_bytes()].into_iter());
        found.remove(0);
        found
    };
    assert_eq!(appended("a APPEND no {3}\r\nb NOOP\r\n"), ["b Noop"]);
    assert_eq!(appended("a APPEND no {3+}\r\nxyz\r\nb NOOP\r\n"), ["b Noop"]);
    let tail = "a expected the end of the command behind the message";
    assert_eq!(
        appended("a APPEND x {1+}\r\nxyz {2+}\r\nzz\r\nb NOOP\r\n"),
        ["Message \"x\"", tail, "b Noop"]
    );
    assert_eq!(appended("a APPEND x {1+}\r\nx\n\r\nb NOOP\r\n")[1], "a illegal octets in command");
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a NOOP\r\n", "b LOGIN {2}\r\nxy {1+}\r\nz\r\n", "c IDLE\r\n", "DONE\r\n", "d APPEND x {9}\r\n", "e APPEND no {9+}\r\n",
            "f APPEND {1+}\r\nx (\\Seen) {12+}\r\n", "123456789\r\n", "\r\n", "g SELECT {21+}\r\n", "h SEARCH OR (1 2) NOT {3+}\r\n",
            "x {4+}\r\n", "x {4}\r\n", "\n", "\r", "0123456789012345678901234567890123456789", "i SEARCH SUBJECT {1+}\r\n", "j UID FETCH 1:* (UID BODY[1.2.MIME]<0.1>)\r\n",
            "k FOO {300+}\r\n", "l STORE 1 +FLAGS (\\Seen a)\r\n",
        ]).prop_map(str::to_owned),
        1 => "[ -~\r\n]{0,30}",
    ]
}

proptest! {
    #[test]
    fn any_split_finds_the_same(pieces in prop::collection::vec(piece(), 0..20), cut in 1usize..40) {
        let all = pieces.concat().into_bytes();
        prop_assert_eq!(read(&small(), [&all[..]].into_iter()), read(&small(), all.chunks(cut)));
    }

    #[test]
    fn no_octets_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        read(&small(), pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn no_arguments_panic(
        word in "(SEARCH|FETCH|UID FETCH|STORE|LIST|APPEND|STATUS|ID|ENABLE|LOGIN|COPY|AUTHENTICATE) ",
        rest in prop::collection::vec(prop::sample::select(vec![
            "(", ")", " ", "\"", "\\", "[", "]", "<", ">", "{1}\r\n", "{0}\r\n", "1", "*", ":", ",", ".", "BODY", "PEEK", "HEADER",
            "FIELDS", "MIME", "NOT", "OR", "SEEN", "FROM", "CHARSET", "UTF-8", "RETURN", "\\Seen", "FLAGS", "x", "ä", "1-Jan-2000", "-", "&",
        ]), 0..20),
    ) {
        let text = format!("A001 {word}{}", rest.concat());
        let _ = parse(text.as_bytes(), &small());
        let _ = parse(text.as_bytes(), &Limits::default());
    }
}
