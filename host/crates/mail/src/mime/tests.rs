use proptest::prelude::*;

use super::*;
use crate::header::body_offset;

fn built(message: &[u8], limits: Limits) -> Structure {
    let mut builder = StructureBuilder::new(limits);
    builder.push(message);
    builder.finish()
}

fn structure(message: &str) -> Structure {
    built(message.as_bytes(), Limits::default())
}

/// `type/subtype lines "body"` of each part by its IMAP numbers.
fn shown(message: &str, numbers: &[u32]) -> Option<String> {
    let structure = structure(message);
    let part = structure.part(numbers)?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let body = &message[part.body.start as usize..part.body.end as usize];
    Some(format!("{}/{} {} {body:?}", text(&part.fields.media_type), text(&part.fields.subtype), part.lines))
}

const NESTED: &str = "From: A <a@b>\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\n\
    preamble\r\n--o\r\n\r\none\r\ntwo\r\n--o \r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\
    Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
    Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=x\r\nContent-ID: <1>\r\n\
    Content-Language: de, en\r\n\r\nx\r\n\r\n--i--\r\nepilogue\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: leaf\r\n\r\nhello\r\n--o--\r\nthe end\r\n";

#[test]
fn parts_have_the_numbers_that_imap_gives_them() {
    assert_eq!(shown(NESTED, &[1]).unwrap(), r#"text/plain 2 "one\r\ntwo""#);
    assert!(shown(NESTED, &[2]).unwrap().starts_with(r#"message/rfc822 14 "Subject: inner"#));
    assert_eq!(shown(NESTED, &[2, 1]).unwrap(), r#"text/html 1 "x\r\n""#);
    assert_eq!(shown(NESTED, &[3, 1]).unwrap(), r#"text/plain 1 "hello""#);
    for numbers in [&[0][..], &[4], &[1, 1], &[2, 2], &[2, 1, 1], &[3, 2], &[3, 1, 1]] {
        assert_eq!(shown(NESTED, numbers), None, "{numbers:?}");
    }
    let plain = "Subject: x\r\n\r\na\r\nb";
    assert_eq!(shown(plain, &[]), shown(plain, &[1]));
    assert_eq!(shown(plain, &[1]).unwrap(), r#"text/plain 2 "a\r\nb""#);
    assert_eq!(shown(plain, &[1, 1]), None);
    let wrapped = "Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n";
    assert_eq!(shown(wrapped, &[1]).unwrap(), r#"message/rfc822 3 "Subject: y\r\n\r\nz\r\n""#);
    assert_eq!(shown(wrapped, &[1, 1]).unwrap(), r#"text/plain 1 "z\r\n""#);
}

#[test]
fn the_fields_of_a_part_are_kept_raw() {
    let structure = structure(NESTED);
    assert_eq!(structure.envelope.subject.as_deref(), Some(&b"outer"[..]));
    assert_eq!(structure.envelope.sender_or_from()[0].mailbox.as_deref(), Some(&b"a"[..]));
    let inner = structure.part(&[2]).unwrap().message().unwrap();
    assert_eq!(inner.envelope.subject.as_deref(), Some(&b"inner"[..]));
    let fields = &structure.part(&[2, 1]).unwrap().fields;
    assert_eq!((fields.transfer(), fields.parameter("CHARSET")), (Encoding::Base64, Some(&b"utf-8"[..])));
    assert_eq!(fields.disposition.as_ref().unwrap().parameters[0].value, b"x");
    assert_eq!((fields.id.as_deref(), fields.language.len()), (Some(&b"<1>"[..]), 2));
}

#[test]
fn damaged_messages_have_a_structure() {
    for (message, numbers, expected) in [
        // No boundary; no delimiter; a type that is none.
        ("Content-Type: multipart/mixed\n\na", &[1][..], r#"text/plain 1 "a""#),
        ("Content-Type: multipart/mixed; boundary=b\n\na\n", &[1], r#"text/plain 1 "a\n""#),
        ("Content-Type: text\n\na", &[1], r#"text/plain 1 "a""#),
        // The message ends inside; a delimiter stands at once behind the header section, or in it.
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\na\n\n--b--", &[1], r#"text/plain 1 "a\n""#),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\nA: b\n--b--", &[1], r#"text/plain 0 """#),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--b\nA: b\n--b--", &[2], r#"text/plain 0 """#),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b", &[1], r#"text/plain 0 """#),
        // A boundary that looks like a field.
        (
            "Content-Type: multipart/mixed; boundary=\"Content-Type: x/y\"\n\n--Content-Type: x/y\nA: b\n--Content-Type: x/y--",
            &[1],
            r#"text/plain 0 """#,
        ),
        // The inner multipart is never closed.
        (
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\na\n--b\n\nz",
            &[1, 1],
            r#"text/plain 1 "a""#,
        ),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\na",
            &[1],
            r#"application/octet-stream 1 "a""#,
        ),
        (
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: s\n\nx\n--b--",
            &[1, 1],
            r#"text/plain 1 "x""#,
        ),
    ] {
        assert_eq!(shown(message, numbers).as_deref(), Some(expected), "{message}");
    }
    let empty = structure("");
    assert_eq!((empty.root.header, empty.root.body, empty.root.lines), (0..0, 0..0, 0));
}

#[test]
fn what_is_beyond_the_limits_is_one_leaf() {
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\na\n".repeat(50));
    let few = built(many.as_bytes(), Limits { parts_max: 4, ..Limits::default() });
    assert_eq!(few.root.children().len(), 3);
    let last = &few.root.children()[2];
    assert_eq!(last.body.end, many.len() as u64);
    assert!(last.fields.is("application", "octet-stream") && last.lines == 48 * 3 - 1);

    let deep: String =
        (0..300).map(|n| format!("Content-Type: multipart/x; boundary=b{n}x\n\n--b{n}x\n")).collect();
    let deep = built(deep.as_bytes(), Limits { nesting_max: 1_000, ..Limits::default() });
    let mut depth = 0;
    let mut at = &deep.root;
    while let Some(child) = at.children().first() {
        (at, depth) = (child, depth + 1);
    }
    assert_eq!(depth, NESTING_CEILING - 1);
    assert_eq!(Structure::decode(&deep.encode()), Ok(deep));

    let wide = format!("X: {}\r\nSubject: s\r\n\r\nb", "x".repeat(500));
    let read = built(wide.as_bytes(), Limits { header_octets_max: 100, ..Limits::default() });
    assert_eq!((read.envelope.subject, read.root.body), (None, 519..520));
}

#[test]
fn another_header_section_needs_no_second_look_at_the_body() {
    let body = &NESTED[body_offset(NESTED.as_bytes()).unwrap()..];
    for head in [
        "Received: x\r\nSubject: n\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n",
        "Subject: n\r\n\r\n",
    ] {
        let moved = structure(NESTED).with_header(head.as_bytes(), Limits::default());
        let mut fresh = structure(&format!("{head}{body}"));
        if moved.root.fields != fresh.root.fields {
            // The body was not taken apart under this header section: what it is stays.
            assert!(moved.root.fields.is("multipart", "mixed"));
            assert_eq!((&moved.root.header, &moved.root.body), (&fresh.root.header, &fresh.root.body));
            (fresh.root.fields, fresh.root.content) = (moved.root.fields.clone(), moved.root.content.clone());
            fresh.root.lines = moved.root.lines;
        }
        assert_eq!(moved, fresh);
    }
}

fn check_ranges(part: &Part, around: &Range<u64>) -> Result<(), TestCaseError> {
    prop_assert!(around.start <= part.header.start && part.header.start <= part.header.end, "{part:?}");
    prop_assert!(part.header.end <= part.body.start && part.body.start <= part.body.end, "{part:?}");
    prop_assert!(part.body.end <= around.end, "{part:?} in {around:?}");
    prop_assert!(part.lines <= part.octets());
    match &part.content {
        Content::Leaf => {
            prop_assert!(!part.fields.is_of("multipart") && !part.fields.is("message", "rfc822"))
        }
        Content::Message(message) => check_ranges(&message.root, &part.body)?,
        Content::Multipart(children) => {
            prop_assert!(!children.is_empty());
            let mut from = part.body.start;
            for child in children {
                check_ranges(child, &(from..part.body.end))?;
                from = child.body.end;
            }
        }
    }
    Ok(())
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "Content-Type: multipart/mixed; boundary=a\r\n",
        "Content-Type: multipart/digest; boundary=\"b\"\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "From: x@y, g: z;\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "--a",
        "--a\r\n",
        "--a--\r\n",
        "--b\n",
        "--b--",
        "-",
        "text",
        " \t",
        "\u{0}\u{ff}",
    ];
    // Most messages begin well, so that what follows is inside something.
    let begins = [
        "",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/x; boundary=b\r\n\r\n--b\r\n",
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: multipart/x; boundary=a\r\n\r\n--a\n",
    ];
    let pieces = prop::collection::vec((prop::sample::select(pieces.to_vec()), 0..600usize), 0..30);
    (prop::sample::select(begins.to_vec()), pieces).prop_map(|(begin, pieces)| {
        let mut message = begin.as_bytes().to_vec();
        for (piece, blanks) in pieces {
            message.extend_from_slice(piece.as_bytes());
            if blanks > 585 {
                message.extend(std::iter::repeat_n(b' ', blanks));
            }
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_structure_and_ranges_nest(
        message in messages(), step in 1usize..20, parts_max in 0usize..12, nesting_max in 0usize..6,
    ) {
        let limits = Limits { parts_max, nesting_max, header_octets_max: 300, addresses_max: 5 };
        let whole = built(&message, limits);
        let mut builder = StructureBuilder::new(limits);
        message.chunks(step).for_each(|piece| builder.push(piece));
        prop_assert_eq!(&builder.finish(), &whole);
        let octets = message.len() as u64;
        prop_assert!(whole.root.header.start == 0 && whole.root.body.end == octets);
        check_ranges(&whole.root, &(0..octets))?;
        prop_assert_eq!(Structure::decode(&whole.encode()), Ok(whole));
    }

    #[test]
    fn no_octets_break_the_decoder(mut octets in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut encoded = structure(NESTED).encode();
        if let Some(octet) = encoded.get_mut(at.index(400)) {
            *octet ^= by;
        }
        // What it means is open; that it ends is not.
        let _ = Structure::decode(&encoded);
        octets.insert(0, 1);
        let _ = Structure::decode(&octets);
        let encoded = structure(NESTED).encode();
        prop_assert!(Structure::decode(encoded.get(..at.index(encoded.len())).unwrap()).is_err());
    }
}
