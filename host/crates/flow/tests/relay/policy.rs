//! Where mail goes when a plugin says so.

use std::time::Duration;

use maitred_mail::EnhancedStatus;
use maitred_policy::{Hop, HopHost, HopTls, Refusal, RouteDecision};

use crate::house::{Test, reason};
use crate::world::Host;

fn refusal(status: &str) -> Refusal {
    Refusal { status: EnhancedStatus::parse(status).unwrap(), text: "policy says no".to_owned() }
}

#[tokio::test]
async fn mail_goes_to_the_hop_that_policy_names_from_the_address_that_it_names() {
    let test = Test::new().await;
    test.world.host("192.0.2.77", Host::new());
    test.route(|subject, found| {
        assert_eq!(subject, "hello");
        assert!(matches!(&found[0].host, HopHost::Name(name) if name.to_string() == "mx.b.test"));
        let host = HopHost::Ip("192.0.2.77".parse().unwrap());
        let source = Some("192.0.2.2".parse().unwrap());
        RouteDecision::Hops(vec![Hop { host, port: 2626, tls: HopTls::None, source }])
    });
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.received().len(), 1);
    let call = test.world.last_call();
    assert_eq!(call.to.to_string(), "192.0.2.77:2626");
    assert_eq!(call.from, Some("192.0.2.2".parse().unwrap()));
}

#[tokio::test]
async fn a_domain_that_the_dns_does_not_know_has_the_hop_that_policy_names() {
    let test = Test::new().await;
    test.world.host("192.0.2.77", Host::new());
    test.route(|_, found| {
        assert!(found.is_empty());
        let host = HopHost::Ip("192.0.2.77".parse().unwrap());
        RouteDecision::Hops(vec![Hop { host, port: 25, tls: HopTls::Opportunistic, source: None }])
    });
    test.send(&["x@intranet.test"]).await;
    test.run().await;
    assert_eq!(test.world.received().len(), 1);
}

#[tokio::test]
async fn what_policy_holds_is_tried_when_it_says_so() {
    let test = Test::new().await;
    test.world.host("192.0.2.10", Host::new());
    let until = test.relay.now().plus(Duration::from_secs(3600));
    test.route(move |_, _| RouteDecision::Hold(until));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!((test.minutes_left(), reason(&test.only()).as_str()), (60, "4.7.0 held by policy"));
    test.route(|_, _| RouteDecision::Next);
    test.pass(Duration::from_secs(3500)).await;
    assert_eq!(test.world.received().len(), 0);
    test.pass(Duration::from_secs(200)).await;
    assert_eq!(test.world.received().len(), 1);
}

#[tokio::test]
async fn what_policy_gives_up_is_reported_and_what_it_defers_is_not() {
    let test = Test::new().await;
    test.route(|_, _| RouteDecision::Defer(refusal("4.7.1")));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.queued().await, 1);
    test.route(|_, _| RouteDecision::Bounce(refusal("5.7.1")));
    test.pass(Duration::from_secs(120)).await;
    let report = test.report().await;
    assert!(report.contains("Status: 5.7.1\r\n") && report.contains("policy says no"), "{report}");
    assert_eq!((test.queued().await, test.world.received().len()), (0, 0));
}
