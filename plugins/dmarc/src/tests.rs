//! The plugin as plain Rust, told what a test says was found.

use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, fixtures, world};

use super::*;

const ID: &str = r#"{"authserv_id":"mx.a.test"}"#;

fn result(method: &str, result: AuthResult, properties: &[(&str, &str)]) -> MethodResult {
    let properties =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    MethodResult { method: method.to_owned(), result, reason: None, properties }
}

fn forged(policy: &str) -> MethodResult {
    result("dmarc", AuthResult::Fail, &[("header.from", "bank.test"), ("policy.dmarc", policy)])
}

fn ask(config: &str, found: Vec<MethodResult>) -> Decision {
    world(|world| world.authentication = found);
    let message = FakeMessage::new("From: <boss@bank.test>\nSubject: x\n\nhi");
    Dmarc::init(config).unwrap().on_message(&FakeSession::default(), &message)
}

fn refused(status: (u8, u16, u16), text: &str) -> Verdict {
    let refusal = Refusal { enhanced: Some(status), text: text.to_owned() };
    if status.0 == 4 { Verdict::Tempfail(refusal) } else { Verdict::Reject(refusal) }
}

fn said(decision: &Decision) -> Option<String> {
    decision.edits.iter().find_map(|edit| match edit {
        Edit::AddHeader(name, value, Position::First) if name == field::NAME => {
            Some(String::from_utf8(value.clone()).unwrap())
        }
        _ => None,
    })
}

#[test]
fn what_is_forged_is_treated_as_the_owner_wants() {
    let told = "This is not from bank.test, which wants such mail refused (DMARC)";
    assert_eq!(ask(ID, vec![forged("reject")]), refused((5, 7, 26), told).into());
    let aside = ask(ID, vec![forged("quarantine")]);
    assert_eq!(aside.verdict, Verdict::Quarantine("not from bank.test (DMARC)".to_owned()));
    let field = "mx.a.test; dmarc=fail header.from=bank.test policy.dmarc=quarantine";
    assert_eq!(said(&aside).unwrap(), field);
    assert_eq!(ask(ID, vec![forged("none")]).verdict, Verdict::Next);
    for harmless in [AuthResult::Pass, AuthResult::None, AuthResult::Temperror, AuthResult::Permerror] {
        let found = result("dmarc", harmless, &[("header.from", "bank.test"), ("policy.dmarc", "reject")]);
        assert_eq!(ask(ID, vec![found]).verdict, Verdict::Next, "{harmless:?}");
    }
}

#[test]
fn an_operator_can_be_milder_or_stricter() {
    let mild = r#"{"authserv_id":"mx.a.test","on_reject":"quarantine","on_quarantine":"mark"}"#;
    assert!(matches!(ask(mild, vec![forged("reject")]).verdict, Verdict::Quarantine(_)));
    assert_eq!(ask(mild, vec![forged("quarantine")]).verdict, Verdict::Next);
    let strict = r#"{"authserv_id":"mx.a.test","on_quarantine":"reject","text":"No: {domain}"}"#;
    assert_eq!(ask(strict, vec![forged("quarantine")]).verdict, refused((5, 7, 26), "No: bank.test"));
}

#[test]
fn what_cannot_be_verified_now_waits_where_the_operator_wants() {
    let found = result("dmarc", AuthResult::Temperror, &[("header.from", "bank.test")]);
    let patient = r#"{"authserv_id":"mx.a.test","on_trouble":"tempfail"}"#;
    let told = "Who sent this cannot be verified now, please try again";
    assert_eq!(ask(patient, vec![found.clone()]).verdict, refused((4, 7, 1), told));
    assert_eq!(ask(ID, vec![found]).verdict, Verdict::Next);
    assert_eq!(ask(patient, vec![result("spf", AuthResult::Temperror, &[])]).verdict, Verdict::Next);
}

#[test]
fn a_forwarder_a_client_and_an_author_can_be_excused() {
    let seal = |result: AuthResult, by: &str| {
        vec![forged("reject"), self::result("arc", result, &[("header.d", by), ("header.s", "s")])]
    };
    let lists = r#"{"authserv_id":"mx.a.test","trusted_sealers":["lists.test","*.lists.test"]}"#;
    assert_eq!(ask(lists, seal(AuthResult::Pass, "Lists.test")).verdict, Verdict::Next);
    assert_eq!(ask(lists, seal(AuthResult::Pass, "x.lists.test")).verdict, Verdict::Next);
    for found in [seal(AuthResult::Fail, "lists.test"), seal(AuthResult::Pass, "evil-lists.test")] {
        assert!(matches!(ask(lists, found).verdict, Verdict::Reject(_)));
    }
    for config in [r#""skip_ips":["192.0.2.0/24"]"#, r#""skip_domains":["BANK.test"]"#] {
        let config = format!(r#"{{"authserv_id":"mx.a.test",{config}}}"#);
        let excused = ask(&config, vec![forged("reject")]);
        assert_eq!(excused.verdict, Verdict::Next, "{config}");
        assert!(excused.edits.contains(&Edit::Tag("dmarc".to_owned(), "fail".to_owned())));
    }
}

#[test]
fn each_finding_counts_once() {
    let config = r#"{"authserv_id":"mx.a.test","header":false,"scores":{"dkim=fail":1.5,"dkim=pass":-1,"spf=none":2}}"#;
    let failed = result("dkim", AuthResult::Fail, &[("header.d", "a.test")]);
    let found = vec![failed.clone(), failed, result("dkim", AuthResult::Pass, &[("header.d", "b.test")])];
    let edits = ask(config, found).edits;
    let symbol = |name: &str, score| Edit::Symbol(name.to_owned(), score, String::new());
    let tag = Edit::Tag("dmarc".to_owned(), "none".to_owned());
    assert_eq!(edits, [symbol("dkim:fail", 1.5), symbol("dkim:pass", -1.0), tag]);
    world(|world| {
        let counted = world.metrics.get("messages_total{result=none,treatment=none}");
        assert_eq!(counted, Some(&1.0));
    });
}

#[test]
fn what_a_sender_wrote_cannot_break_the_field() {
    let hostile = [
        ("x\r\nBcc: eve@e.test", "\"x??Bcc: eve@e.test\""),
        ("a;dmarc=pass", "\"a;dmarc=pass\""),
        ("\"a\\b\"@c.test", "\"\\\"a\\\\b\\\"@c.test\""),
        ("2001:db8::1", "\"2001:db8::1\""),
        ("bounce=1@b.test", "\"bounce=1@b.test\""),
        ("(c)@b.test", "\"(c)@b.test\""),
        ("", "\"\""),
        ("@", "\"@\""),
        ("@b.test", "@b.test"),
        ("jörg@b.test", "\"jörg@b.test\""),
        ("a.b+c@b-d.test", "a.b+c@b-d.test"),
    ];
    for (wrote, stands) in hostile {
        let mut found = result("spf", AuthResult::Pass, &[("smtp.mailfrom", wrote)]);
        assert_eq!(
            field::value("mx.a.test", &[found.clone()]),
            format!("mx.a.test; spf=pass smtp.mailfrom={stands}")
        );
        found.reason = Some("it \"is\"\n".to_owned());
        let value = field::value("mx.a.test", &[found]);
        assert!(value.starts_with(r#"mx.a.test; spf=pass reason="it \"is\"?" smtp.mailfrom="#), "{value}");
    }
    assert!(
        field::value("mx.a.test", &[result("spf", AuthResult::Pass, &[("x.y", &"é".repeat(9_000))])]).len()
            < 600
    );
    assert_eq!(field::value("mx.a.test", &[]), "mx.a.test; none");
}

#[test]
fn whatever_a_sender_writes_the_answer_is_one_that_the_server_takes() {
    let domain = format!("x\r\ny\u{1}{}.bank.test", "é".repeat(400));
    for policy in ["reject", "quarantine"] {
        let found = [("header.from", domain.as_str()), ("policy.dmarc", policy)];
        let text = match ask(ID, vec![result("dmarc", AuthResult::Fail, &found)]).verdict {
            Verdict::Reject(Refusal { text, .. }) | Verdict::Quarantine(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(text.contains("x??y?é") && !text.contains(char::is_control) && text.len() < 400, "{text}");
    }
    let long = "\"".repeat(300);
    let mut found = vec![
        result(
            "dkim",
            AuthResult::Fail,
            &[("header.d", &long), ("header.s", &long), ("header.i", &long)]
        );
        10
    ];
    found.push(result("dmarc", AuthResult::Pass, &[("header.from", "b.test")]));
    let value = field::value("mx.a.test", &found);
    assert!(value.len() <= 12 << 10 && value.ends_with("; dmarc=pass header.from=b.test"), "{}", value.len());
    assert_eq!(value.matches("dkim=fail").count(), 7);
    let many = "Authentication-Results: mx.a.test; none\n".repeat(51) + "Subject: x\n\nhi";
    let plugin = Dmarc::init(ID).unwrap();
    world(|world| world.authentication.clear());
    let edits = plugin.on_message(&FakeSession::default(), &FakeMessage::new(&many)).edits;
    assert_eq!(edits.first(), Some(&Edit::RemoveAllHeaders(field::NAME.to_owned())));
    assert_eq!(edits.len(), 3);
}

#[test]
fn who_a_field_says_it_is_by() {
    for ours in [
        "mx.a.test; spf=pass",
        "MX.A.test 1; none",
        " \t mx.a.test;none",
        "(a (nested \\) one)) mx.a.test ; x",
        "\"mx.a.test\"; none",
        "\"mx\\.a.test\" 1; none",
        "mx.a.test(x);none",
        "mx.a.test",
    ] {
        assert!(field::is_by(ours.as_bytes(), "mx.a.test"), "{ours}");
    }
    for other in
        ["mx.b.test; none", "(mx.a.test) mx.b.test; none", "mx.a.test.evil; none", "", "(", "\"", "\"\\"]
    {
        assert!(!field::is_by(other.as_bytes(), "mx.a.test"), "{other}");
    }
    assert!(!field::is_by(b"\xff\xfe; none", "mx.a.test"));
}

#[test]
fn what_others_say_in_our_name_goes() {
    let text = "From: <a@b.test>\nAuthentication-Results: mx.a.test; dmarc=pass\nAuthentication-results: mx.b.test; x\n\
                authentication-results: (hi) MX.A.test; spf=pass\n\nhi";
    let plugin = Dmarc::init(r#"{"authserv_id":"mx.a.test","header":false}"#).unwrap();
    let mut session = FakeSession::default();
    let remove = |nth| Edit::RemoveHeader(field::NAME.to_owned(), nth);
    let tag = Edit::Tag("dmarc".to_owned(), "none".to_owned());
    assert_eq!(plugin.on_message(&session, &FakeMessage::new(text)).edits, [remove(2), remove(0), tag]);
    // A user has verified nothing; a server that may relay can be one of ours.
    session.info.account = Some("bob@a.test".to_owned());
    assert_eq!(plugin.on_message(&session, &FakeMessage::new(text)).edits, [remove(2), remove(0)]);
    session.info.account = None;
    session.info.may_relay = true;
    assert_eq!(plugin.on_message(&session, &FakeMessage::new(text)), Decision::next());
}

#[test]
fn a_bad_configuration_says_what_is_wrong() {
    for (config, told) in [
        ("{}", "authserv_id"),
        (r#"{"authserv_id":"a b"}"#, "\"a b\""),
        (r#"{"authserv_id":"a","on_reject":"explode"}"#, "explode"),
        (r#"{"authserv_id":"a","scores":{"spf":1}}"#, "\"spf\""),
        (r#"{"authserv_id":"a","scores":{"dmarc=bad":1}}"#, "dmarc=bad"),
        (r#"{"authserv_id":"a","scores":{"x=pass":1}}"#, "x=pass"),
        (r#"{"authserv_id":"a","rejects":true}"#, "rejects"),
    ] {
        let error = Dmarc::init(config).err().unwrap();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_fixtures_go_as_they_say() {
    fixtures::play::<Dmarc>(std::path::Path::new("fixtures")).unwrap();
}
