//! The plugin as plain Rust, with a directory and a clock of the test.

use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, fixtures, set_now_ms, world};

use super::*;

/// 26 November 2026.
const NOW: u64 = 20_783 * DAY;
const DAY: u64 = 86_400_000;
const CONFIG: &str = r#"{"domain":"srs.a.test","secret":"correct horse battery","rules":[
    {"recipient":"bob@a.test","forward":"bob@b.test"},
    {"recipient":"amy@a.test","forward":["amy@b.test","amy@c.test"],"keep":false},
    {"recipient":"eva@a.test","forward":"bob@a.test","mailbox":"Copies"}]}"#;

fn plugin(config: &str) -> SrsForward {
    set_now_ms(NOW);
    world(|world| world.domains = vec!["a.test".to_owned(), "srs.a.test".to_owned()]);
    SrsForward::init(config).unwrap_or_else(|error| panic!("{error}"))
}

fn delivered(plugin: &SrsForward, sender: &str, account: &str) -> DeliveryDecision {
    let mut message = FakeMessage::new("Subject: x\n\nhi");
    message.envelope.sender = sender.to_owned();
    let recipient = Recipient { address: account.to_owned(), original: None };
    plugin.on_deliver(&FakeSession::default(), &message, &recipient, account)
}

fn forwarded(plugin: &SrsForward, sender: &str, account: &str) -> Delivery {
    match delivered(plugin, sender, account) {
        DeliveryDecision::Deliver(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

fn returned(plugin: &SrsForward, recipient: &str) -> Resolution {
    plugin.on_resolve(&FakeSession::default(), "", recipient)
}

fn refused(resolution: &Resolution) -> Option<(u8, u16, u16)> {
    match resolution {
        Resolution::Reject(refusal) => refusal.enhanced,
        _ => None,
    }
}

#[test]
fn mail_is_forwarded_with_a_sender_of_ours_and_a_copy_stays() {
    let delivery = forwarded(&plugin(CONFIG), "Alice@c.test", "bob@a.test");
    assert_eq!(delivery.placements, [Placement { mailbox: "INBOX".to_owned(), flags: Vec::new() }]);
    assert_eq!(delivery.forward, ["bob@b.test"]);
    let rewritten = delivery.forward_as.unwrap();
    assert!(
        rewritten.starts_with("SRS0=") && rewritten.ends_with("=JP=c.test=Alice@srs.a.test"),
        "{rewritten}"
    );
}

#[test]
fn a_report_goes_back_to_the_sender() {
    let plugin = plugin(CONFIG);
    for sender in ["Alice@c.test", "\"a b\"@c.test", "SRS0=aaaa=2W=d.test=dora@c.test"] {
        let rewritten = forwarded(&plugin, sender, "bob@a.test").forward_as.unwrap();
        assert_eq!(returned(&plugin, &rewritten), Resolution::Rewrite(vec![sender.to_owned()]));
    }
}

#[test]
fn without_keep_no_copy_stays() {
    let delivery = forwarded(&plugin(CONFIG), "alice@c.test", "amy@a.test");
    assert!(delivery.placements.is_empty());
    assert_eq!(delivery.forward, ["amy@b.test", "amy@c.test"]);
}

#[test]
fn our_own_senders_reports_and_mail_among_us_keep_their_sender() {
    let plugin = plugin(CONFIG);
    assert_eq!(forwarded(&plugin, "carol@a.test", "bob@a.test").forward_as, None);
    assert_eq!(forwarded(&plugin, "", "bob@a.test").forward_as, None);
    let among_us = forwarded(&plugin, "alice@c.test", "eva@a.test");
    assert_eq!(among_us.forward_as, None);
    assert_eq!(among_us.placements, [Placement { mailbox: "Copies".to_owned(), flags: Vec::new() }]);
}

#[test]
fn whom_no_rule_is_about_gets_his_mail_as_ever() {
    let plugin = plugin(CONFIG);
    assert_eq!(delivered(&plugin, "alice@c.test", "dan@a.test"), DeliveryDecision::Next);
    let back = r#"{"domain":"srs.a.test","secret":"correct horse battery","rules":[{"recipient":"*","forward":"Bob@a.test","keep":false}]}"#;
    assert_eq!(delivered(&super::tests::plugin(back), "alice@c.test", "bob@a.test"), DeliveryDecision::Next);
}

#[test]
fn a_sender_too_long_to_be_rewritten_is_kept_or_is_none() {
    let sender = format!("{}@eu-west-1.bounces.c.test", "0100018d5a2b3c4d-1a2b3c4d-5e6f-000000");
    assert_eq!(forwarded(&plugin(CONFIG), &sender, "bob@a.test").forward_as, None);
    let null = CONFIG.replace("\"rules\"", "\"overlong\":\"null\",\"rules\"");
    assert_eq!(forwarded(&plugin(&null), &sender, "bob@a.test").forward_as, Some(String::new()));
    let fits = format!("{}@c.test", "x".repeat(64 - "SRS0=123456=JP=c.test=".len()));
    assert!(forwarded(&plugin(CONFIG), &fits, "bob@a.test").forward_as.is_some());
    assert_eq!(forwarded(&plugin(CONFIG), &format!("x{fits}"), "bob@a.test").forward_as, None);
}

#[test]
fn spam_stays_here_also_without_keep() {
    let plugin = plugin(&CONFIG.replace("\"rules\"", "\"spam_score\":5,\"rules\""));
    let recipient = Recipient { address: "amy@a.test".to_owned(), original: None };
    let mut message = FakeMessage::new("Subject: x\n\nhi");
    message.symbols = vec![("A".to_owned(), 4.0), ("B".to_owned(), 1.0)];
    let session = FakeSession::default();
    assert_eq!(plugin.on_deliver(&session, &message, &recipient, "amy@a.test"), DeliveryDecision::Next);
    message.symbols.push(("C".to_owned(), -1.0));
    let decision = plugin.on_deliver(&session, &message, &recipient, "amy@a.test");
    assert!(matches!(decision, DeliveryDecision::Deliver(_)));
}

#[test]
fn only_addresses_that_we_made_lead_elsewhere() {
    let plugin = plugin(CONFIG);
    let good = forwarded(&plugin, "alice@c.test", "bob@a.test").forward_as.unwrap();
    assert_eq!(refused(&returned(&plugin, &good.replace("alice", "eve"))), Some((5, 7, 1)));
    assert_eq!(refused(&returned(&plugin, "SRS0=AAAAAA=JP=c.test=alice@srs.a.test")), Some((5, 7, 1)));
    assert_eq!(refused(&returned(&plugin, "SRS0=AAAAAA=JP=c.test@srs.a.test")), Some((5, 1, 1)));
    for other in ["bob@srs.a.test", "bob@a.test", &good.replace("srs.a.test", "a.test"), "SRS0@srs.a.test"] {
        assert_eq!(returned(&plugin, other), Resolution::Next, "{other}");
    }
    set_now_ms(NOW + 22 * DAY);
    assert_eq!(refused(&returned(&plugin, &good)), Some((5, 1, 1)));
    world(|world| {
        let counted = |result| world.metrics.get(&format!("returned_total{{result={result}}}")).copied();
        assert_eq!(
            [counted("forged"), counted("malformed"), counted("expired")],
            [Some(2.0), Some(1.0), Some(1.0)]
        );
    });
}

#[test]
fn a_bad_configuration_says_what_is_wrong_and_no_secret() {
    let good = r#"{"domain":"srs.a.test","secret":"correct horse battery"}"#;
    assert!(SrsForward::init(good).is_ok());
    for (config, told) in [
        ("{}".to_owned(), "domain"),
        (r#"{"domain":"srs.a.test"}"#.to_owned(), "secret"),
        (good.replace("srs.a.test", "bob@a.test"), "bob@a.test"),
        (good.replace("correct horse battery", "hunter2"), "a secret has 7 octets"),
        (good.replace("\"correct horse battery\"", "[]"), "empty list"),
        (good.replace("}", ",\"hash_length\":3}"), "hash_length is 4 to 20"),
        (good.replace("}", ",\"max_age\":\"12h\"}"), "max_age"),
        (good.replace("}", ",\"max_age\":\"600d\"}"), "max_age"),
        (good.replace("}", ",\"digest\":\"md5\"}"), "md5"),
        (
            good.replace(
                "}",
                ",\"rules\":[{\"recipient\":\"*\",\"forward\":\"x@b.test\",\"mailbox\":\"\"}]}",
            ),
            "rule 1",
        ),
    ] {
        let error = SrsForward::init(&config).err().unwrap();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_fixtures_go_as_they_say() {
    fixtures::play::<SrsForward>(std::path::Path::new("fixtures")).unwrap();
}
