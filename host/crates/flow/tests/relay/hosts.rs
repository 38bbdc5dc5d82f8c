//! RFC 5321 §5.1, RFC 7505: which hosts are tried, in which order, and what it means when there are none.

use std::time::Duration;

use maitred_mail::MailParameters;
use maitred_mail::dns::DnsError;
use maitred_route::{Credentials, Relay, StaticRoute, TlsPolicy};

use crate::house::{LETTER, Test, reason};
use crate::world::{GONE, Host};

async fn with_three_hosts() -> Test {
    let test = Test::new().await;
    test.world.has_mx("b.test", &[(30, "mx3.b.test"), (10, "mx1.b.test"), (20, "mx2.b.test")]);
    for (name, ip) in
        [("mx1.b.test", "192.0.2.11"), ("mx2.b.test", "192.0.2.12"), ("mx3.b.test", "192.0.2.13")]
    {
        test.world.has_address(name, ip);
    }
    test
}

#[tokio::test]
async fn a_message_goes_to_the_best_host_as_it_is_but_for_the_return_path() {
    let test = with_three_hosts().await;
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls(), ["192.0.2.11"]);
    let received = test.world.received();
    let [letter] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(letter.content, LETTER);
    assert!(letter.from.starts_with("MAIL FROM:<amy@a.test> SIZE="), "{letter:?}");
    assert_eq!(letter.to, ["<x@b.test>"]);
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
    assert_eq!(test.world.questions(), 2);
}

#[tokio::test]
async fn a_host_that_does_not_answer_or_greet_is_followed_by_the_next() {
    let test = with_three_hosts().await;
    test.world.host("192.0.2.11", Host::down());
    test.world.host("192.0.2.12", Host::new().says("CONNECT", "421 4.3.2 too busy"));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls(), ["192.0.2.11", "192.0.2.12", "192.0.2.13"]);
    assert_eq!(test.world.received().len(), 1);
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn a_host_that_breaks_off_before_it_has_a_message_is_followed_by_the_next() {
    for stage in ["MAIL", "RCPT", "DATA"] {
        for gone in [GONE, "421 4.3.2 going down", "250-a\r\n251 what?"] {
            let test = with_three_hosts().await;
            test.world.host("192.0.2.11", Host::new().says(stage, gone));
            test.send(&["x@b.test"]).await;
            test.run().await;
            assert_eq!(test.world.calls(), ["192.0.2.11", "192.0.2.12"], "{stage} {gone}");
            assert_eq!((test.world.received().len(), test.queued().await), (1, 0), "{stage} {gone}");
        }
    }
    let test = with_three_hosts().await;
    test.world.host("192.0.2.11", Host::new().says(".", GONE));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!((test.world.calls().len(), test.queued().await), (1, 1), "it may have the message");
}

#[tokio::test]
async fn what_a_server_said_tells_more_than_that_another_does_not_answer() {
    let test = with_three_hosts().await;
    test.world.host("192.0.2.11", Host::new().says("MAIL", "421 4.3.2 going down"));
    test.world.host("192.0.2.12", Host::down());
    test.world.host("192.0.2.13", Host::down());
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(reason(&test.only()), "4.3.2 421 4.3.2 going down");
}

#[tokio::test]
async fn a_host_that_says_no_is_not_followed_by_another() {
    let test = with_three_hosts().await;
    test.world.host("192.0.2.11", Host::new().says("RCPT", "550 5.1.1 who?"));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls(), ["192.0.2.11"]);
    assert!(test.report().await.contains("Diagnostic-Code: smtp; 550 5.1.1 who?\r\n"));
}

#[tokio::test]
async fn when_no_host_answers_the_message_waits() {
    let test = with_three_hosts().await;
    for ip in ["192.0.2.11", "192.0.2.12", "192.0.2.13"] {
        test.world.host(ip, Host::down());
    }
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls().len(), 3);
    assert!(reason(&test.only()).starts_with("4.4.1 "), "{}", reason(&test.only()));
    test.world.host("192.0.2.12", Host::new());
    test.pass(Duration::from_secs(59)).await;
    assert_eq!(test.world.calls().len(), 3);
    test.pass(Duration::from_secs(10)).await;
    assert_eq!(test.world.received().len(), 1);
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
}

#[tokio::test]
async fn without_mx_records_the_domain_is_its_own_host() {
    let test = Test::new().await;
    test.world.answers_mx("b.test", Err(DnsError::NoRecord));
    test.world.has_address("b.test", "192.0.2.20");
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.received()[0].at, "192.0.2.20");
}

#[tokio::test]
async fn a_domain_without_mx_and_address_is_5_4_4() {
    let test = Test::new().await;
    test.world.answers_mx("b.test", Err(DnsError::NoRecord));
    test.world.answers_ip("b.test", Err(DnsError::NoRecord));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert!(test.report().await.contains("Status: 5.4.4\r\n"));
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn a_domain_that_takes_no_mail_is_reported_once_as_5_1_10() {
    let test = Test::new().await;
    test.world.has_mx("b.test", &[(0, ".")]);
    test.world.has_address("b.test", "192.0.2.20");
    test.send(&["x@b.test"]).await;
    test.run().await;
    let report = test.report().await;
    assert!(report.contains("Status: 5.1.10\r\n") && report.contains("Subject: hello\r\n"), "{report}");
    assert_eq!((test.queued().await, test.world.calls().len()), (0, 0));
}

#[tokio::test]
async fn a_domain_that_does_not_exist_is_5_1_2() {
    let test = Test::new().await;
    test.send(&["x@nowhere.test"]).await;
    test.run().await;
    let report = test.report().await;
    assert!(
        report.contains("Final-Recipient: rfc822; x@nowhere.test\r\nAction: failed\r\nStatus: 5.1.2\r\n")
    );
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn dns_trouble_is_no_answer_and_after_five_days_one_report() {
    let test = Test::new().await;
    test.world.answers_mx("b.test", Err(DnsError::Temporary("SERVFAIL".into())));
    test.send_as("amy@a.test", &["x@b.test", "y@b.test"], MailParameters::default()).await;
    test.run().await;
    assert!(reason(&test.only()).starts_with("4.4.3 "));
    test.pass(Duration::from_hours(119)).await;
    let warnings = test.inbox().await;
    assert_eq!(warnings.len(), 1, "the warning");
    test.pass(Duration::from_hours(24)).await;
    let inbox = test.inbox().await;
    assert_eq!(inbox.len(), 2);
    assert!(inbox[1].contains("x@b.test\r\nAction: failed\r\nStatus: 4.4.3\r\n"), "{}", inbox[1]);
    assert!(inbox[1].contains("y@b.test\r\nAction: failed\r\nStatus: 4.4.3\r\n"), "{}", inbox[1]);
    assert_eq!(test.queued().await, 0);
    assert!(test.world.questions() < 60, "{} questions", test.world.questions());
}

#[tokio::test]
async fn not_now_of_one_host_wins_over_no_of_the_others() {
    for second in [Err(DnsError::NoRecord), Err(DnsError::NoSuchName), Ok(Vec::new())] {
        let test = with_three_hosts().await;
        test.world.host("192.0.2.11", Host::down());
        test.world.answers_ip("mx2.b.test", second.clone());
        test.world.answers_ip("mx3.b.test", second);
        test.send(&["x@b.test"]).await;
        test.run().await;
        assert!(reason(&test.only()).starts_with("4.4.1 "), "{}", reason(&test.only()));
    }
    let test = with_three_hosts().await;
    test.world.answers_ip("mx1.b.test", Err(DnsError::NoRecord));
    test.world.answers_ip("mx2.b.test", Err(DnsError::Temporary("SERVFAIL".into())));
    test.world.answers_ip("mx3.b.test", Err(DnsError::NoRecord));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert!(reason(&test.only()).starts_with("4.4.3 "), "{}", reason(&test.only()));
}

#[tokio::test]
async fn mail_that_would_come_back_to_us_is_5_4_6() {
    for (name, ip) in [("mx.a.test", "192.0.2.1"), ("alias.b.test", "192.0.2.1"), ("me.b.test", "127.0.0.1")]
    {
        let test = Test::new().await;
        test.world.has_mx("b.test", &[(10, name)]);
        test.world.has_address(name, ip);
        test.send(&["x@b.test"]).await;
        test.run().await;
        assert!(test.report().await.contains("Status: 5.4.6\r\n"), "{name}");
        assert_eq!((test.queued().await, test.world.calls().len()), (0, 0));
    }
}

#[tokio::test]
async fn as_a_backup_we_wait_for_the_better_host_and_never_call_ourselves() {
    let test = Test::new().await;
    test.world.has_mx("b.test", &[(10, "mx.b.test"), (20, "alias.b.test")]);
    test.world.has_address("alias.b.test", "192.0.2.1");
    test.world.host("192.0.2.10", Host::down());
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls(), ["192.0.2.10"]);
    assert!(reason(&test.only()).starts_with("4.4.1 "));
}

#[tokio::test]
async fn every_address_of_a_host_is_tried() {
    let test = Test::new().await;
    let all = ["192.0.2.10", "2001:db8::10"].map(|ip| ip.parse().unwrap());
    test.world.answers_ip("mx.b.test", Ok(all.to_vec()));
    test.world.host("2001:db8::10", Host::new().says("CONNECT", GONE));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.calls(), ["2001:db8::10", "192.0.2.10"]);
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn a_static_route_is_taken_whatever_the_dns_says_and_with_its_credentials() {
    let route = StaticRoute {
        domain: maitred_mail::Domain::parse("b.test").unwrap(),
        relay: Relay::parse("192.0.2.50:587").unwrap(),
        tls: Some(TlsPolicy::Require),
        credentials: Some(Credentials { username: "u".into(), password: "p".into() }),
    };
    let test =
        Test::with(maitred_route::Config { routes: vec![route], ..maitred_route::Config::default() }).await;
    test.world.host("192.0.2.50", Host::new().offers("STARTTLS").offers("AUTH PLAIN"));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert_eq!(test.world.questions(), 0);
    let call = test.world.last_call();
    assert_eq!(call.to.to_string(), "192.0.2.50:587");
    assert!(call.needs_valid_certificate);
    let said = test.world.said(0);
    assert_eq!(said[..4], ["EHLO mx.a.test", "STARTTLS", "EHLO mx.a.test", "AUTH PLAIN AHUAcA=="]);
    assert!(test.world.received()[0].is_encrypted);
}

#[tokio::test]
async fn a_login_that_is_refused_loses_no_mail() {
    let route = StaticRoute {
        domain: maitred_mail::Domain::parse("b.test").unwrap(),
        relay: Relay::parse("192.0.2.50").unwrap(),
        tls: Some(TlsPolicy::Require),
        credentials: Some(Credentials { username: "u".into(), password: "p".into() }),
    };
    let test =
        Test::with(maitred_route::Config { routes: vec![route], ..maitred_route::Config::default() }).await;
    let host = Host::new().offers("STARTTLS").offers("AUTH PLAIN");
    test.world.host("192.0.2.50", host.says("AUTH", "535 5.7.8 no"));
    test.send(&["x@b.test"]).await;
    test.run().await;
    assert!(reason(&test.only()).starts_with("4.7.8 535 "), "{}", reason(&test.only()));
}
