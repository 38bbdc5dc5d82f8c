use super::*;

fn one(of: decisions::Edit) -> Result<Decision, Wrong> {
    decision(decisions::Decision { verdict: decisions::Verdict::Next, edits: vec![of] })
}

#[test]
fn a_header_cannot_bring_a_second_one() {
    for (name, value) in
        [("X", "a\r\nBcc: b"), ("X", "a\nb"), ("X:Y", "a"), ("", "a"), ("X Y", "a"), ("X\r\n", "a")]
    {
        let add = decisions::HeaderAdd {
            name: name.to_owned(),
            value: value.as_bytes().to_vec(),
            position: decisions::HeaderPosition::First,
        };
        assert!(one(decisions::Edit::AddHeader(add)).is_err(), "{name:?} {value:?}");
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
    assert!(refuse(None, "no\r\n250 yes").is_err());
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
