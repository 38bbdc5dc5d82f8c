use super::*;

fn one(of: decisions::Edit) -> Result<Decision, Wrong> {
    decision(decisions::Decision { verdict: decisions::Verdict::Next, edits: vec![of] })
}

#[test]
fn a_header_cannot_bring_a_second_one() {
    let add = |name: &str, value: &[u8]| {
        let add = decisions::HeaderAdd {
            name: name.to_owned(),
            value: value.to_vec(),
            position: decisions::HeaderPosition::First,
        };
        one(decisions::Edit::AddHeader(add))
    };
    for name in ["X:Y", "", "X Y", "X\r\n", &"X".repeat(256)] {
        assert!(add(name, b"a").is_err(), "{name:?}");
    }
    // What a sender wrote must not undo what is decided: it is made one line.
    for (value, made) in [
        ("a\r\nBcc: b", "a  Bcc: b"),
        ("a\nb\0c", "a b c"),
        ("a\r\n\r\nbody", "a    body"),
        ("\r\n x", "x"),
        (&"x".repeat(1500), &format!("{0}\r\n {0}\r\n {1}", "x".repeat(700), "x".repeat(100))),
    ] {
        let Ok(Decision { edits, .. }) = add("X", value.as_bytes()) else { panic!("{value:?}") };
        let [Edit::AddHeader { value: is, .. }] = edits.as_slice() else { panic!("{value:?}") };
        assert_eq!(String::from_utf8_lossy(is), made);
    }
    for value in [vec![0xBF; 40_000], "é".repeat(20_000).into_bytes(), b"a ".repeat(20_000), vec![b'\n'; 9]]
    {
        assert!(add("X", &value).is_ok());
    }
}

#[test]
fn a_long_value_is_folded_and_stays_one_field() {
    let add = decisions::HeaderAdd {
        name: "X-Long".to_owned(),
        value: "word ".repeat(300).into_bytes(),
        position: decisions::HeaderPosition::First,
    };
    let Ok(Decision { edits, .. }) = one(decisions::Edit::AddHeader(add)) else { panic!() };
    let [Edit::AddHeader { value, .. }] = edits.as_slice() else { panic!() };
    assert!(value.starts_with(b"word word") && value.ends_with(b"word"));
    assert!(value.split(|octet| *octet == b'\n').all(|line| line.len() <= 80));
    assert!(value.windows(3).all(|three| !three.starts_with(b"\r\n") || three.ends_with(b" ")));
}

#[test]
fn a_body_has_whole_line_ends_only() {
    for (body, taken) in [
        ("", ""),
        ("a", "a\r\n"),
        ("a\n.\nb\r\n", "a\r\n.\r\nb\r\n"),
        ("a\r.\r\r\nb\n\n", "a\r\n.\r\n\r\nb\r\n\r\n"),
    ] {
        assert_eq!(lines(body.as_bytes().to_vec()), taken.as_bytes(), "{body:?}");
    }
}

#[test]
fn a_refusal_has_its_class_and_one_line() {
    let refuse = |enhanced, text: &str| {
        let refusal = types::Refusal { enhanced, text: text.to_owned() };
        decision(decisions::Decision { verdict: decisions::Verdict::Reject(refusal), edits: Vec::new() })
    };
    assert!(refuse(None, "no").is_ok() && refuse(Some((5, 7, 1)), "no").is_ok());
    assert!(refuse(Some((4, 7, 1)), "no").is_err());
    let Ok(Decision { verdict: Verdict::Reject(said), .. }) = refuse(None, "no\r\n250 yes\u{85}") else {
        panic!()
    };
    assert_eq!(said.text, "no??250 yes?");
    let Ok(Decision { verdict: Verdict::Reject(cut), .. }) = refuse(None, &"ä".repeat(1000)) else {
        panic!()
    };
    assert_eq!(cut.text.len(), 400);
}

#[test]
fn addresses_scores_and_flags_must_be_some() {
    assert!(one(decisions::Edit::RemoveRecipient("nobody".to_owned())).is_err());
    assert!(one(decisions::Edit::SetSender(String::new())).is_ok());
    assert!(one(decisions::Edit::AddFlag("\\Seen".to_owned())).is_ok());
    assert!(one(decisions::Edit::AddFlag("a b".to_owned())).is_err());
    let nan = decisions::Symbol { name: "X".to_owned(), score: f32::NAN, detail: String::new() };
    assert!(one(decisions::Edit::Symbol(nan)).is_err());
}
