//! The plugin as plain Rust, with a table and a clock of the test.

use maitred_plugin_sdk::store::StoreError;
use maitred_plugin_sdk::testing::{FakeSession, fixtures, set_now_ms, world};

use super::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// One attempt; answers the tag, or nothing.
fn tries(plugin: &Greylist, ip: &str, sender: &str, to: &str) -> Option<String> {
    let mut session = FakeSession::default();
    session.info.remote_ip = ip.to_owned();
    tries_in(plugin, &session, sender, to)
}

fn tries_in(plugin: &Greylist, session: &FakeSession, sender: &str, to: &str) -> Option<String> {
    let recipient = Recipient { address: to.to_owned(), original: None };
    let decision = plugin.on_rcpt(session, sender, &recipient);
    let tag = decision.edits.into_iter().find_map(|edit| match edit {
        Edit::Tag(name, value) if name == "greylist" => Some(value),
        _ => None,
    });
    let is_put_off = matches!(tag.as_deref(), Some("new" | "early"));
    match decision.verdict {
        Verdict::Next => assert!(!is_put_off, "{tag:?}"),
        Verdict::Tempfail(refusal) => {
            assert!(is_put_off, "{tag:?}");
            assert_eq!(refusal.enhanced, Some((4, 7, 1)));
        }
        other => panic!("{other:?}"),
    }
    tag
}

fn plugin(config: &str) -> Greylist {
    Greylist::init(config).unwrap()
}

fn tag(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn who_comes_again_in_time_passes_and_is_known() {
    let plugin = plugin("{}");
    let again = |at| {
        set_now_ms(at);
        tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test")
    };
    assert_eq!(again(0), tag("new"));
    assert_eq!(again(5 * MINUTE - 1), tag("early"));
    assert_eq!(again(5 * MINUTE), tag("passed after 300 s"));
    assert_eq!(again(DAY), tag("known"));
}

#[test]
fn who_comes_too_late_is_new() {
    let plugin = plugin(r#"{"delay":"1m","window":"10m"}"#);
    for (at, expected) in [(0, "new"), (10 * MINUTE, "new"), (19 * MINUTE, "passed after 540 s")] {
        set_now_ms(at);
        assert_eq!(tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test"), tag(expected), "{at}");
    }
}

#[test]
fn early_tries_do_not_begin_the_wait_again() {
    let plugin = plugin("{}");
    for (at, expected) in [(0, "new"), (4 * MINUTE, "early"), (5 * MINUTE, "passed after 300 s")] {
        set_now_ms(at);
        assert_eq!(tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test"), tag(expected), "{at}");
    }
}

#[test]
fn each_of_the_three_makes_a_stranger_and_a_neighbour_does_not() {
    let plugin = plugin("{}");
    let first = || tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test");
    assert_eq!(first(), tag("new"));
    for (ip, sender, to, expected) in [
        ("192.0.3.1", "alice@b.test", "bob@a.test", "new"),
        ("192.0.2.1", "eve@b.test", "bob@a.test", "new"),
        ("192.0.2.1", "alice@b.test", "amy@a.test", "new"),
        ("192.0.2.1", "", "bob@a.test", "new"),
        ("192.0.2.254", "Alice@b.test", "BOB@a.test", "early"),
        ("::ffff:192.0.2.9", "alice@b.test", "bob@a.test", "early"),
        ("2001:db8::1", "alice@b.test", "bob@a.test", "new"),
        ("2001:db8::2", "alice@b.test", "bob@a.test", "early"),
    ] {
        assert_eq!(tries(&plugin, ip, sender, to), tag(expected), "{ip} {sender} {to}");
    }
}

#[test]
fn a_network_that_came_again_often_is_no_stranger() {
    let plugin = plugin(r#"{"auto_allow":2}"#);
    for sender in ["alice@b.test", "amy@b.test"] {
        set_now_ms(0);
        assert_eq!(tries(&plugin, "192.0.2.1", sender, "bob@a.test"), tag("new"));
    }
    for sender in ["alice@b.test", "amy@b.test"] {
        set_now_ms(10 * MINUTE);
        assert_eq!(tries(&plugin, "192.0.2.1", sender, "bob@a.test"), tag("passed after 600 s"));
    }
    assert_eq!(tries(&plugin, "192.0.2.77", "eve@c.test", "eva@a.test"), tag("client"));
    assert_eq!(tries(&plugin, "198.51.100.1", "eve@c.test", "eva@a.test"), tag("new"));
}

#[test]
fn one_triplet_is_one_success_however_often_it_comes() {
    let plugin = plugin(r#"{"auto_allow":2}"#);
    for at in [0, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE] {
        set_now_ms(at);
        tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test");
    }
    assert_eq!(tries(&plugin, "192.0.2.1", "eve@c.test", "bob@a.test"), tag("new"));
}

#[test]
fn a_lifetime_begins_again_with_each_mail() {
    let plugin = plugin(r#"{"lifetime":"8d","auto_allow":1}"#);
    for at in [0, 10 * MINUTE, 7 * DAY, 14 * DAY, 21 * DAY] {
        set_now_ms(at);
        let told = tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test");
        assert_eq!(told == tag("client"), at >= DAY, "{at} {told:?}");
    }
    set_now_ms(29 * DAY + HOUR);
    assert_eq!(tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test"), tag("new"));
}

#[test]
fn without_auto_allow_a_triplet_lives_on_by_itself() {
    let plugin = plugin(r#"{"lifetime":"8d","auto_allow":0}"#);
    for (at, expected) in [
        (0, "new"),
        (10 * MINUTE, "passed after 600 s"),
        (7 * DAY, "known"),
        (14 * DAY, "known"),
        (22 * DAY + HOUR, "new"),
    ] {
        set_now_ms(at);
        assert_eq!(tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test"), tag(expected), "{at}");
    }
    world(|world| assert!(world.table.keys().all(|key| key.starts_with("t ")), "{:?}", world.table));
}

#[test]
fn users_and_our_own_servers_do_not_wait() {
    let plugin = plugin("{}");
    let changes: [fn(&mut SessionInfo); 5] = [
        |info| info.account = Some("bob@a.test".to_owned()),
        |info| info.may_relay = true,
        |info| info.direction = Direction::Submission,
        |info| info.listener = "lmtp".to_owned(),
        |info| info.remote_ip = "127.0.0.1".to_owned(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut session = FakeSession::default();
        change(&mut session.info);
        assert_eq!(tries_in(&plugin, &session, "alice@b.test", "bob@a.test"), None, "{number}");
    }
    world(|world| assert!(world.table.is_empty()));
}

#[test]
fn who_was_named_does_not_wait() {
    let config = r#"{"skip_ips":["198.51.100.0/24"],"skip_domains":["c.test","*.c.test",""],"skip_recipients":["postmaster@*"]}"#;
    let plugin = plugin(config);
    for (ip, sender, to, waits) in [
        ("198.51.100.7", "alice@b.test", "bob@a.test", false),
        ("192.0.2.1", "alice@c.test", "bob@a.test", false),
        ("192.0.2.1", "alice@mx.c.test", "bob@a.test", false),
        ("192.0.2.1", "", "bob@a.test", false),
        ("192.0.2.1", "alice@b.test", "Postmaster@a.test", false),
        ("192.0.2.1", "alice@xc.test", "bob@a.test", true),
        ("127.0.0.1", "alice@b.test", "bob@a.test", true),
    ] {
        assert_eq!(tries(&plugin, ip, sender, to).is_some(), waits, "{ip} {sender} {to}");
    }
}

#[test]
fn without_a_table_nobody_waits_unless_configured_so() {
    world(|world| world.table_trouble = Some(StoreError::Unavailable("closed".to_owned())));
    assert_eq!(tries(&plugin("{}"), "192.0.2.1", "alice@b.test", "bob@a.test"), None);
    world(|world| world.table_trouble = Some(StoreError::Full(1 << 20)));
    assert_eq!(tries(&plugin(r#"{"auto_allow":0}"#), "192.0.2.1", "alice@b.test", "bob@a.test"), None);
    let strict = plugin(r#"{"on_trouble":"tempfail"}"#);
    let recipient = Recipient { address: "bob@a.test".to_owned(), original: None };
    let decision = strict.on_rcpt(&FakeSession::default(), "alice@b.test", &recipient);
    assert!(matches!(decision.verdict, Verdict::Tempfail(_)), "{decision:?}");
}

#[test]
fn what_another_version_wrote_is_a_new_beginning() {
    let plugin = plugin("{}");
    world(|world| {
        world.table.insert("t 192.0.2.0/24 alice@b.test bob@a.test".to_owned(), (b"?".to_vec(), None));
        world.table.insert("c 192.0.2.0/24".to_owned(), (b"many".to_vec(), None));
    });
    for (at, expected) in [(0, "new"), (5 * MINUTE, "passed after 300 s"), (HOUR, "known")] {
        set_now_ms(at);
        assert_eq!(tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test"), tag(expected));
    }
}

/// An attempt, and by which term its answer holds.
fn tries_at(plugin: &Greylist, now_ms: u64, sender: &str) -> (Option<String>, Option<Term>) {
    set_now_ms(now_ms);
    let tag = tries(plugin, "192.0.2.1", sender, "bob@a.test");
    let held = world(|world| world.held.take());
    (tag, held.and_then(|held| plugin.freshness().into_iter().nth(held as usize)))
}

#[test]
fn who_is_known_is_not_looked_up_for_each_mail() {
    let network = Fact::RemoteNetwork(25, 64);
    let of_client = Term { seconds: 600, made_of: vec![network.clone()] };
    let plugin = plugin(r#"{"auto_allow":1,"ipv4_prefix":25}"#);
    assert_eq!(tries_at(&plugin, 0, "alice@b.test"), (tag("new"), None));
    assert_eq!(tries_at(&plugin, 1_000, "alice@b.test"), (tag("early"), None));
    assert_eq!(tries_at(&plugin, 400_000, "alice@b.test"), (tag("passed after 400 s"), None));
    assert_eq!(tries_at(&plugin, 500_000, "eve@b.test"), (tag("client"), Some(of_client)));
}

#[test]
fn who_is_known_is_looked_up_as_often_as_it_must_be_noted() {
    let plugin = plugin(r#"{"auto_allow":0,"delay":"1s","window":"1m","lifetime":"40s"}"#);
    assert_eq!(tries_at(&plugin, 1_000, "alice@b.test"), (tag("new"), None));
    assert_eq!(tries_at(&plugin, 3_000, "alice@b.test"), (tag("passed after 2 s"), None));
    let made_of = vec![Fact::RemoteNetwork(24, 64), Fact::Sender, Fact::Recipients];
    let known = Term { seconds: 5, made_of };
    assert_eq!(tries_at(&plugin, 4_000, "alice@b.test"), (tag("known"), Some(known)));
}

#[test]
fn attempts_are_counted() {
    let plugin = plugin("{}");
    tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test");
    tries(&plugin, "192.0.2.1", "alice@b.test", "bob@a.test");
    world(|world| {
        assert_eq!(world.metrics.get("attempts_total{standing=new}"), Some(&1.0));
        assert_eq!(world.metrics.get("attempts_total{standing=early}"), Some(&1.0));
    });
}

#[test]
fn a_bad_configuration_says_what_is_wrong() {
    for (config, told) in [
        (r#"{"dealy":"5m"}"#, "dealy"),
        (r#"{"delay":"5 minutes"}"#, "5 minutes"),
        (r#"{"delay":"4h"}"#, "window (4h) must be longer than delay (4h)"),
        (r#"{"lifetime":"0s"}"#, "lifetime"),
        (r#"{"ipv4_prefix":33}"#, "ipv4_prefix"),
        (r#"{"skip_ips":["10.0.0.0/99"]}"#, "10.0.0.0/99"),
        (r#"{"text":"a\nb"}"#, "printable line"),
        (r#"{"on_trouble":"reject"}"#, "reject"),
    ] {
        let error = Greylist::init(config).err().unwrap();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn the_fixtures_go_as_they_say() {
    fixtures::play::<Greylist>(std::path::Path::new("fixtures")).unwrap();
}
