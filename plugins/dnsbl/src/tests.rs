//! The plugin as plain Rust, with a DNS of the test.

use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, fixtures, world};

use super::*;

const CONFIG: &str = r#"{"reject":5,"lists":[
    {"zone":"zen.l.test","weight":5,"codes":"127.0.0.2-127.0.0.11","url":"https://l.test/{what}"},
    {"zone":"key.q.l.test","name":"Q","weight":2},
    {"zone":"white.l.test","weight":-4,"codes":["127.0.*.2","127.0.*.3"]}],
    "domain_lists":[{"zone":"dbl.l.test","weight":3}]}"#;

fn listed(name: &str, codes: &[&str]) {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    world(|world| world.ips.insert(name.to_owned(), codes));
}

fn rcpt(plugin: &Dnsbl, session: &FakeSession, to: &str) -> Verdict {
    let recipient = Recipient { address: to.to_owned(), original: None };
    plugin.on_rcpt(session, "alice@b.test", &recipient).verdict
}

fn client(ip: &str) -> FakeSession {
    let mut session = FakeSession::default();
    session.info.remote_ip = ip.to_owned();
    session
}

fn refused(text: &str) -> Verdict {
    Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text: text.to_owned() })
}

#[test]
fn who_comes_to_the_threshold_is_refused_and_told_where_to_read_why() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("1.2.0.192.zen.l.test", &["127.0.0.2", "127.0.0.4"]);
    let told = "192.0.2.1 is listed in zen.l.test; see https://l.test/192.0.2.1";
    assert_eq!(rcpt(&plugin, &client("192.0.2.1"), "bob@a.test"), refused(told));
    assert_eq!(rcpt(&plugin, &client("192.0.2.2"), "bob@a.test"), Verdict::Next);
}

#[test]
fn an_ipv6_client_is_asked_about_as_well() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    let nibbles = format!("1.{}8.b.d.0.1.0.0.2", "0.".repeat(23));
    listed(&format!("{nibbles}.zen.l.test"), &["127.0.0.3"]);
    assert!(matches!(rcpt(&plugin, &client("2001:db8::1"), "bob@a.test"), Verdict::Reject(_)));
}

#[test]
fn a_code_that_does_not_count_is_no_hit() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("1.2.0.192.zen.l.test", &["127.0.0.12"]);
    assert_eq!(rcpt(&plugin, &client("192.0.2.1"), "bob@a.test"), Verdict::Next);
}

#[test]
fn an_allow_list_speaks_for_a_client() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("1.2.0.192.zen.l.test", &["127.0.0.2"]);
    listed("1.2.0.192.white.l.test", &["127.0.5.2"]);
    assert_eq!(rcpt(&plugin, &client("192.0.2.1"), "bob@a.test"), Verdict::Next);
    listed("9.2.0.192.zen.l.test", &["127.0.0.2"]);
    listed("9.2.0.192.white.l.test", &["127.0.5.1"]);
    assert!(matches!(rcpt(&plugin, &client("192.0.2.9"), "bob@a.test"), Verdict::Reject(_)));
}

#[test]
fn an_answer_that_is_none_is_no_hit() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    for (last, answer) in [(1, "127.255.255.254"), (2, "127.0.0.1"), (3, "203.0.113.9")] {
        for zone in ["zen.l.test", "key.q.l.test"] {
            listed(&format!("{last}.2.0.192.{zone}"), &[answer]);
        }
        let session = client(&format!("192.0.2.{last}"));
        assert_eq!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Next, "{answer}");
        assert!(
            plugin.on_message(&session, &FakeMessage::new("Subject: x\n\nhi")).edits.is_empty(),
            "{answer}"
        );
    }
    world(|world| {
        let counted = |series: &str| world.metrics.get(series).copied();
        assert_eq!(counted("answers_total{list=Q,answer=blocked}"), Some(2.0));
        assert_eq!(counted("answers_total{list=Q,answer=odd}"), Some(1.0));
    });
}

#[test]
fn a_list_that_gives_no_answer_says_nothing() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    world(|world| {
        world.dns_troubles =
            ["zen.l.test", "key.q.l.test", "white.l.test"].map(|zone| format!("1.2.0.192.{zone}")).to_vec();
        world.dns_troubles.push("b.test.dbl.l.test".to_owned());
    });
    let session = client("192.0.2.1");
    assert_eq!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Next);
    assert_eq!(plugin.on_message(&session, &FakeMessage::new("Subject: x\n\nhi")), Decision::next());
}

#[test]
fn lists_are_asked_once_in_a_session() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    let session = client("192.0.2.1");
    assert_eq!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Next);
    listed("1.2.0.192.zen.l.test", &["127.0.0.2"]);
    assert_eq!(rcpt(&plugin, &session, "amy@a.test"), Verdict::Next);
    assert!(matches!(rcpt(&plugin, &client("192.0.2.1"), "amy@a.test"), Verdict::Reject(_)));
}

#[test]
fn of_many_senders_in_a_session_one_is_remembered() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    let session = client("192.0.2.1");
    for number in 0..50 {
        let domain = format!("d{number}.test");
        listed(&format!("{domain}.dbl.l.test"), &["127.0.1.2"]);
        let mut message = FakeMessage::new("Subject: x\n\nhi");
        message.envelope.sender = format!("alice@{domain}");
        let tag = Edit::Tag("dnsbl".to_owned(), format!("dbl.l.test ({domain})"));
        assert!(plugin.on_message(&session, &message).edits.contains(&tag), "{domain}");
    }
    let noted: usize =
        ["client", "sender"].iter().filter_map(|note| session.note(note)).map(|note| note.len()).sum();
    assert!(noted < 200, "{noted}");
}

#[test]
fn below_the_threshold_the_message_is_marked() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("1.2.0.192.key.q.l.test", &["127.0.0.2"]);
    let session = client("192.0.2.1");
    assert_eq!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Next);
    let decision = plugin.on_message(&session, &FakeMessage::new("x-dnsbl: score=-9\nSubject: x\n\nhi"));
    assert_eq!(decision.verdict, Verdict::Next);
    let value = b"score=2.0; lists=Q (192.0.2.1)".to_vec();
    assert_eq!(
        decision.edits,
        [
            Edit::RemoveAllHeaders("X-DNSBL".to_owned()),
            Edit::Symbol("dnsbl:Q".to_owned(), 2.0, "192.0.2.1".to_owned()),
            Edit::AddHeader("X-DNSBL".to_owned(), value, Position::First),
            Edit::Tag("dnsbl".to_owned(), "Q (192.0.2.1)".to_owned()),
        ]
    );
}

#[test]
fn the_senders_domain_adds_to_it() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("b.test.dbl.l.test", &["127.0.1.2"]);
    let message = FakeMessage::new("Subject: x\n\nhi");
    let marked = plugin.on_message(&client("192.0.2.1"), &message);
    assert_eq!(marked.verdict, Verdict::Next);
    assert!(marked.edits.contains(&Edit::Tag("dnsbl".to_owned(), "dbl.l.test (b.test)".to_owned())));
    listed("9.2.0.192.key.q.l.test", &["127.0.0.2"]);
    let together = plugin.on_message(&client("192.0.2.9"), &message).verdict;
    assert_eq!(together, refused("b.test is listed in dbl.l.test"));
    let mut report = message.clone();
    report.envelope.sender = String::new();
    assert_eq!(plugin.on_message(&client("192.0.2.1"), &report), Decision::next());
}

#[test]
fn users_and_private_addresses_are_not_asked_about() {
    let plugin =
        Dnsbl::init(&CONFIG.replace("\"reject\"", "\"skip_ips\":[\"198.51.100.0/24\"],\"reject\"")).unwrap();
    for ip in ["10.0.0.1", "198.51.100.1", "192.0.2.1"] {
        let reversed: Vec<&str> = ip.split('.').rev().collect();
        listed(&format!("{}.zen.l.test", reversed.join(".")), &["127.0.0.2"]);
    }
    for ip in ["10.0.0.1", "198.51.100.1"] {
        assert_eq!(rcpt(&plugin, &client(ip), "bob@a.test"), Verdict::Next, "{ip}");
    }
    let changes: [fn(&mut SessionInfo); 3] = [
        |info| info.account = Some("bob@a.test".to_owned()),
        |info| info.may_relay = true,
        |info| info.listener = "lmtp".to_owned(),
    ];
    for change in changes {
        let mut session = client("192.0.2.1");
        change(&mut session.info);
        assert_eq!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Next);
        assert_eq!(plugin.on_message(&session, &FakeMessage::new("Subject: x\n\nhi")), Decision::next());
    }
    assert!(matches!(rcpt(&plugin, &client("192.0.2.1"), "bob@a.test"), Verdict::Reject(_)));
}

#[test]
fn each_stage_judges_at_its_time() {
    listed("1.2.0.192.zen.l.test", &["127.0.0.2"]);
    let refuses = |at: &str| {
        let plugin =
            Dnsbl::init(&CONFIG.replace("\"reject\"", &format!("\"at\":\"{at}\",\"reject\""))).unwrap();
        let session = client("192.0.2.1");
        let message = plugin.on_message(&session, &FakeMessage::new("Subject: x\n\nhi"));
        [plugin.on_connect(&session).verdict, rcpt(&plugin, &session, "bob@a.test"), message.verdict]
            .map(|verdict| matches!(verdict, Verdict::Reject(_)))
    };
    assert_eq!(refuses("connect"), [true, false, true]);
    assert_eq!(refuses("rcpt"), [false, true, true]);
    assert_eq!(refuses("message"), [false, false, true]);
}

#[test]
fn some_recipients_are_reached_by_all() {
    let config = CONFIG.replace("\"reject\"", "\"skip_recipients\":[\"postmaster@*\"],\"reject\"");
    let plugin = Dnsbl::init(&config).unwrap();
    listed("1.2.0.192.zen.l.test", &["127.0.0.2"]);
    let session = client("192.0.2.1");
    assert_eq!(rcpt(&plugin, &session, "Postmaster@a.test"), Verdict::Next);
    assert!(matches!(rcpt(&plugin, &session, "bob@a.test"), Verdict::Reject(_)));
    let mut message = FakeMessage::new("Subject: x\n\nhi");
    let to = |address: &str| Recipient { address: address.to_owned(), original: None };
    message.envelope.recipients = vec![to("postmaster@a.test")];
    let marked = plugin.on_message(&session, &message);
    assert_eq!(marked.verdict, Verdict::Next);
    assert!(!marked.edits.is_empty());
    message.envelope.recipients.push(to("bob@a.test"));
    assert!(matches!(plugin.on_message(&session, &message).verdict, Verdict::Reject(_)));
}

#[test]
fn a_zone_may_be_given_twice_with_other_codes() {
    let config = r#"{"reject":5,"lists":[{"zone":"l.test","weight":1,"codes":"127.0.0.2"},
        {"zone":"L.test.","weight":5,"codes":"127.0.0.3"}]}"#;
    let plugin = Dnsbl::init(config).unwrap();
    listed("1.2.0.192.l.test", &["127.0.0.2"]);
    listed("2.2.0.192.l.test", &["127.0.0.3"]);
    assert_eq!(rcpt(&plugin, &client("192.0.2.1"), "bob@a.test"), Verdict::Next);
    assert!(matches!(rcpt(&plugin, &client("192.0.2.2"), "bob@a.test"), Verdict::Reject(_)));
}

/// By which term the last answer holds.
fn held(plugin: &Dnsbl) -> Option<Term> {
    let held = world(|world| world.held.take())?;
    plugin.freshness().into_iter().nth(held as usize)
}

fn term(seconds: u32, made_of: &[Fact]) -> Option<Term> {
    Some(Term { seconds, made_of: made_of.to_vec() })
}

#[test]
fn what_was_said_holds_for_a_minute_for_the_same_client_and_sender() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    listed("1.2.0.192.zen.l.test", &["127.0.0.2"]);
    let message = FakeMessage::new("Subject: x\n\nhi");
    for ip in ["192.0.2.1", "192.0.2.2"] {
        rcpt(&plugin, &client(ip), "bob@a.test");
        assert_eq!(held(&plugin), term(60, &[Fact::RemoteIp]), "{ip}");
        plugin.on_message(&client(ip), &message);
        let facts = [Fact::RemoteIp, Fact::SenderDomain, Fact::Header("X-DNSBL".to_owned())];
        assert_eq!(held(&plugin), term(60, &facts), "{ip}");
    }
    let mut user = client("192.0.2.1");
    user.info.account = Some("bob@a.test".to_owned());
    rcpt(&plugin, &user, "bob@a.test");
    assert_eq!(held(&plugin), term(60, &[]));
    let open = CONFIG.replacen('{', r#"{"skip_recipients":["abuse@*"],"remember":"5s","header":"","#, 1);
    let open = Dnsbl::init(&open).unwrap();
    rcpt(&open, &client("192.0.2.1"), "abuse@a.test");
    assert_eq!(held(&open), term(5, &[Fact::Recipients]));
    rcpt(&open, &client("192.0.2.1"), "bob@a.test");
    assert_eq!(held(&open), term(5, &[Fact::RemoteIp, Fact::Recipients]));
    open.on_message(&client("192.0.2.1"), &message);
    assert_eq!(held(&open), term(5, &[Fact::RemoteIp, Fact::SenderDomain, Fact::Recipients]));
    let never = Dnsbl::init(&CONFIG.replacen('{', r#"{"remember":"0s","#, 1)).unwrap();
    rcpt(&never, &client("192.0.2.1"), "bob@a.test");
    assert_eq!(held(&never), None);
}

#[test]
fn where_a_list_gave_no_answer_the_next_call_asks_again() {
    let plugin = Dnsbl::init(CONFIG).unwrap();
    world(|world| world.dns_troubles.push("1.2.0.192.key.q.l.test".to_owned()));
    let session = client("192.0.2.1");
    rcpt(&plugin, &session, "bob@a.test");
    rcpt(&plugin, &session, "carol@a.test");
    plugin.on_message(&session, &FakeMessage::new("Subject: x\n\nhi"));
    assert_eq!(held(&plugin), None);
}

#[test]
fn a_bad_configuration_says_what_is_wrong() {
    let many: Vec<String> = (0..33).map(|number| format!(r#"{{"zone":"l{number}.test"}}"#)).collect();
    for (config, told) in [
        ("{}", "name at least one"),
        (r#"{"lists":[{"zone":"l.test","wait":1}]}"#, "wait"),
        (r#"{"lists":[{"zone":"l"}]}"#, "\"l\" is no domain"),
        (r#"{"lists":[{"zone":"l.test","codes":"2"}]}"#, "no answer of a list"),
        (r#"{"lists":[{"zone":"l.test"}],"reject":0}"#, "reject"),
        (r#"{"lists":[{"zone":"l.test"}],"header":"A B"}"#, "A B"),
        (r#"{"lists":[{"zone":"l.test"}],"at":"data"}"#, "data"),
        (&format!(r#"{{"domain_lists":[{}]}}"#, many.join(",")), "domain_lists: 33 zones"),
    ] {
        let error = Dnsbl::init(config).err().unwrap();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn it_has_use_for_the_hook_at_which_clients_are_judged() {
    for (at, hooks) in [
        ("connect", vec![Hook::Connect, Hook::Message]),
        ("rcpt", vec![Hook::Rcpt, Hook::Message]),
        ("message", vec![Hook::Message]),
    ] {
        let config = format!(r#"{{"at":"{at}","lists":[{{"zone":"l.test"}}]}}"#);
        assert_eq!(Dnsbl::init(&config).unwrap().interest(), hooks, "{at}");
    }
}

#[test]
fn the_fixtures_go_as_they_say() {
    fixtures::play::<Dnsbl>(std::path::Path::new("fixtures")).unwrap();
}
