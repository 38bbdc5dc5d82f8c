//! The plugin as plain Rust, with a table and a clock of the test.

use maitred_plugin_sdk::store::StoreError;
use maitred_plugin_sdk::testing::{FakeSession, fixtures, set_now_ms, world};

use super::*;

fn plugin(limits: &str) -> RateLimit {
    RateLimit::init(&format!(r#"{{"limits":[{limits}]}}"#)).unwrap()
}

fn client(ip: &str) -> FakeSession {
    let mut session = FakeSession::default();
    session.info.remote_ip = ip.to_owned();
    session
}

fn user(account: &str) -> FakeSession {
    let mut session = client("192.0.2.1");
    session.info.account = Some(account.to_owned());
    session.info.direction = Direction::Submission;
    session.info.may_relay = true;
    session
}

fn rcpt(plugin: &RateLimit, session: &FakeSession, sender: &str, to: &str) -> Decision {
    plugin.on_rcpt(session, sender, &Recipient { address: to.to_owned(), original: None })
}

/// What is said, with the limit that says so.
fn told(decision: &Decision) -> Option<(String, String)> {
    match &decision.verdict {
        Verdict::Next => None,
        Verdict::Tempfail(refusal) => {
            assert_eq!(refusal.enhanced, Some((4, 7, 1)));
            let [Edit::Tag(tag, limit)] = decision.edits.as_slice() else { panic!("{decision:?}") };
            assert_eq!(tag, "rate-limit");
            Some((refusal.text.clone(), limit.clone()))
        }
        other => panic!("{other:?}"),
    }
}

fn is_held(decision: &Decision) -> bool {
    told(decision).is_some()
}

#[test]
fn a_client_has_its_connections_and_gets_them_back_with_time() {
    let plugin = plugin(r#"{"per":"ip","what":"connections","limit":2,"every":"1m"}"#);
    let come = || plugin.on_connect(&client("192.0.2.1"));
    assert!(!is_held(&come()) && !is_held(&come()));
    let (text, limit) = told(&come()).unwrap();
    assert_eq!(text, "Too much mail, please try again in 30s");
    assert_eq!(limit, "ip/connections/1m");
    assert!(!is_held(&plugin.on_connect(&client("192.0.2.2"))));
    set_now_ms(29_000);
    assert!(is_held(&come()));
    set_now_ms(31_000);
    assert!(!is_held(&come()) && is_held(&come()));
}

#[test]
fn a_burst_is_what_may_come_at_once() {
    let plugin = plugin(r#"{"per":"ip","what":"messages","limit":3600,"every":"1h","burst":2}"#);
    let mail = || is_held(&plugin.on_mail(&client("192.0.2.1"), "alice@b.test"));
    assert_eq!([mail(), mail(), mail()], [false, false, true]);
    set_now_ms(1_000);
    assert_eq!([mail(), mail()], [false, true]);
}

#[test]
fn clients_of_one_ipv6_network_are_one() {
    let plugin = plugin(r#"{"per":"ip","what":"messages","limit":1,"every":"1h"}"#);
    let mail = |ip| is_held(&plugin.on_mail(&client(ip), "alice@b.test"));
    assert!(!mail("2001:db8::1") && mail("2001:db8::2") && !mail("2001:db8:0:1::1"));
    assert!(!mail("192.0.2.1") && !mail("192.0.2.2"));
    let wide =
        super::tests::plugin(r#"{"per":"ip","what":"messages","limit":1,"every":"2h","ipv4_prefix":24}"#);
    let mail = |ip| is_held(&wide.on_mail(&client(ip), "alice@b.test"));
    assert!(!mail("192.0.2.1") && mail("192.0.2.2"));
}

#[test]
fn an_account_is_bound_wherever_it_sends_from() {
    let plugin = plugin(r#"{"per":"account","what":"recipients","limit":2,"every":"1d"}"#);
    let mut session = user("bob@a.test");
    assert!(!is_held(&rcpt(&plugin, &session, "bob@a.test", "x@b.test")));
    session.info.remote_ip = "127.0.0.1".to_owned();
    assert!(!is_held(&rcpt(&plugin, &session, "other@a.test", "y@b.test")));
    session.info.account = Some("BOB@a.test".to_owned());
    let (text, _) = told(&rcpt(&plugin, &session, "bob@a.test", "z@b.test")).unwrap();
    assert!(text.ends_with("in 12h"), "{text}");
    assert!(!is_held(&rcpt(&plugin, &user("amy@a.test"), "amy@a.test", "x@b.test")));
    assert!(!is_held(&rcpt(&plugin, &client("192.0.2.1"), "bob@a.test", "x@b.test")));
    assert!(!is_held(&plugin.on_mail(&session, "bob@a.test")));
}

#[test]
fn domains_of_senders_and_recipients_have_their_own() {
    let plugin = plugin(
        r#"{"per":"sender-domain","what":"messages","limit":1,"every":"1h"},
           {"per":"recipient","what":"messages","limit":2,"every":"1h"}"#,
    );
    let mail = |sender| is_held(&plugin.on_mail(&client("192.0.2.1"), sender));
    assert!(!mail("alice@b.test") && mail("eve@b.test") && !mail("eve@c.test"));
    assert!(!mail("") && !mail(""));
    let to = |to| is_held(&rcpt(&plugin, &client("192.0.2.1"), "alice@b.test", to));
    assert!(!to("bob@a.test") && !to("Bob@a.test") && to("bob@a.test") && !to("amy@a.test"));
}

#[test]
fn all_limits_must_hold() {
    let plugin = plugin(
        r#"{"per":"ip","what":"messages","limit":2,"every":"1s"},
           {"per":"ip","what":"messages","limit":3,"every":"1h","text":"Enough for {wait}"}"#,
    );
    let mail = || told(&plugin.on_mail(&client("192.0.2.1"), "alice@b.test")).map(|(_, limit)| limit);
    assert_eq!([mail(), mail(), mail()], [None, None, Some("ip/messages/1s".to_owned())]);
    set_now_ms(1_000);
    assert_eq!(mail(), None);
    let (text, limit) = told(&plugin.on_mail(&client("192.0.2.1"), "alice@b.test")).unwrap();
    assert_eq!((text.as_str(), limit.as_str()), ("Enough for 20m", "ip/messages/1h"));
}

#[test]
fn some_are_counted_and_some_are_not() {
    let plugin = plugin(
        r#"{"per":"ip","what":"messages","limit":1,"every":"1h","whom":"strangers"},
           {"per":"ip","what":"messages","limit":1,"every":"1h","whom":"accounts","except":["198.51.100.0/24","192.0.2.9/32"]}"#,
    );
    let mail = |session: &FakeSession| told(&plugin.on_mail(session, "alice@b.test")).map(|(_, limit)| limit);
    let (stranger, bob) = (client("192.0.2.1"), user("bob@a.test"));
    assert_eq!([mail(&stranger), mail(&bob)], [None, None]);
    assert_eq!(mail(&stranger).as_deref(), Some("ip/messages/1h/strangers"));
    assert_eq!(mail(&bob).as_deref(), Some("ip/messages/1h/accounts"));
    let mut excepted = user("bob@a.test");
    excepted.info.remote_ip = "192.0.2.9".to_owned();
    assert_eq!([mail(&excepted), mail(&excepted)], [None, None]);
    let changes: [fn(&mut SessionInfo); 3] = [
        |info| info.listener = "lmtp".to_owned(),
        |info| info.direction = Direction::Internal,
        |info| info.remote_ip = "127.0.0.1".to_owned(),
    ];
    for change in changes {
        let mut session = client("192.0.2.1");
        change(&mut session.info);
        assert_eq!([mail(&session), mail(&session)], [None, None]);
    }
}

#[test]
fn exempt_networks_replace_this_machine() {
    let config = r#"{"exempt":["198.51.100.0/24"],"limits":[{"per":"ip","what":"connections","limit":1,"every":"1h"}]}"#;
    let plugin = RateLimit::init(config).unwrap();
    let come = |ip| is_held(&plugin.on_connect(&client(ip)));
    assert!(!come("198.51.100.1") && !come("198.51.100.1") && !come("127.0.0.1") && come("127.0.0.1"));
}

#[test]
fn without_a_table_nobody_is_held_unless_configured_so() {
    let limits = r#"{"per":"ip","what":"messages","limit":1,"every":"1h"}"#;
    world(|world| world.table_trouble = Some(StoreError::Unavailable("closed".to_owned())));
    let plugin = plugin(limits);
    for _ in 0..3 {
        assert_eq!(plugin.on_mail(&client("192.0.2.1"), "alice@b.test"), Decision::next());
    }
    let strict = RateLimit::init(&format!(r#"{{"on_trouble":"tempfail","limits":[{limits}]}}"#)).unwrap();
    let decision = strict.on_mail(&client("192.0.2.1"), "alice@b.test");
    assert!(matches!(decision.verdict, Verdict::Tempfail(_)), "{decision:?}");
}

#[test]
fn who_is_held_is_counted() {
    let plugin = plugin(r#"{"name":"flood","per":"ip","what":"messages","limit":1,"every":"1h"}"#);
    for _ in 0..3 {
        plugin.on_mail(&client("192.0.2.1"), "alice@b.test");
    }
    world(|world| {
        assert_eq!(world.metrics.get("refused_total{limit=flood}"), Some(&2.0));
        assert_eq!(world.table.keys().collect::<Vec<_>>(), ["flood 192.0.2.1/32"]);
    });
}

#[test]
fn a_wait_is_rounded_up_for_people() {
    for (wait_ms, text) in [
        (0, "1s"),
        (1_001, "2s"),
        (118_001, "119s"),
        (119_001, "2m"),
        (7_199_000, "2h"),
        (7_200_900, "2h"),
        (7_201_000, "3h"),
        (86_400_000, "1d"),
    ] {
        assert_eq!(wait(wait_ms), text, "{wait_ms}");
    }
}

#[test]
fn a_bad_configuration_says_what_is_wrong() {
    let limit = r#"{"per":"ip","what":"messages","limit":1,"every":"1h"}"#;
    for (limits, told) in [
        (String::new(), "at least one"),
        (format!("{limit},{limit}"), "two limits are called ip/messages/1h"),
        (limit.replace("1h", "999ms"), "every is 1s or longer"),
        (limit.replace("\"limit\":1", "\"limit\":0"), "limit and burst are 1 or more"),
        (limit.replace("}", ",\"burst\":0}"), "limit and burst are 1 or more"),
        (limit.replace("}", ",\"ipv6_prefix\":129}"), "ipv6_prefix"),
        (limit.replace("messages", "mails"), "mails"),
        (limit.replace("\"ip\"", "\"account\"").replace("messages", "connections"), "per = \"ip\""),
        (
            limit.replace("messages", "connections").replace("}", ",\"whom\":\"accounts\"}"),
            "nobody has logged in",
        ),
        (
            limit.replace("\"ip\"", "\"account\"").replace("}", ",\"whom\":\"strangers\"}"),
            "strangers have no account",
        ),
        (limit.replace("}", &format!(",\"name\":\"{}\"}}", "x".repeat(101))), "longer than 100"),
        (limit.replace("}", ",\"per_day\":5}"), "per_day"),
    ] {
        let error = RateLimit::init(&format!(r#"{{"limits":[{limits}]}}"#)).err().unwrap();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn it_has_use_for_the_hooks_at_which_something_is_counted() {
    for (per, what, hook) in [
        ("ip", "connections", Hook::Connect),
        ("ip", "messages", Hook::Mail),
        ("recipient", "messages", Hook::Rcpt),
        ("account", "recipients", Hook::Rcpt),
    ] {
        let config = format!(r#"{{"limits":[{{"per":"{per}","what":"{what}","limit":9,"every":"1m"}}]}}"#);
        assert_eq!(RateLimit::init(&config).unwrap().interest(), [hook], "{per} {what}");
    }
}

#[test]
fn the_fixtures_go_as_they_say() {
    fixtures::play::<RateLimit>(std::path::Path::new("fixtures")).unwrap();
}
