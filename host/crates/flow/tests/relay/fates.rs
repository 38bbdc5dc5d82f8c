//! RFC 5321 §4.2.1, §4.5.3.1.10, §4.5.4: each recipient has its own fate.

use std::time::Duration;

use maitred_mail::{BodyType, MailParameters};

use crate::house::{Test, reason};
use crate::world::{GONE, Host};

async fn with(host: Host, to: &[&str]) -> Test {
    let test = Test::new().await;
    test.world.host("192.0.2.10", host);
    test.send(to).await;
    test.run().await;
    test
}

#[tokio::test]
async fn what_is_refused_for_now_is_delivered_when_its_time_has_come() {
    for stage in ["MAIL", "RCPT", "DATA", "."] {
        let test = with(Host::new().says_once(stage, "451 4.7.1 greylisted"), &["x@b.test"]).await;
        assert_eq!(reason(&test.only()), "4.7.1 451 4.7.1 greylisted", "{stage}");
        assert_eq!(test.minutes_left(), 1, "{stage}");
        test.pass(Duration::from_secs(59)).await;
        assert_eq!(test.world.received().len(), 0, "{stage}");
        test.pass(Duration::from_secs(10)).await;
        assert_eq!(test.world.received().len(), 1, "{stage}");
        assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0), "{stage}");
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_reported_at_whatever_stage() {
    for stage in ["MAIL", "RCPT", "DATA", "."] {
        for host in [Host::new(), Host::new().without("PIPELINING")] {
            let test = with(host.says(stage, "554 5.7.1 spam"), &["x@b.test", "y@b.test"]).await;
            let report = test.report().await;
            assert_eq!(report.matches("Status: 5.7.1\r\n").count(), 2, "{stage}: {report}");
            assert!(report.contains("Remote-MTA: dns; mx.b.test\r\n"), "{report}");
            assert_eq!((test.queued().await, test.world.received().len()), (0, 0), "{stage}");
        }
    }
}

#[tokio::test]
async fn who_is_refused_is_reported_and_who_is_not_is_delivered() {
    let host = Host::new().says("RCPT TO:<no@", "550 5.1.1 no such user");
    let test = with(host, &["yes@b.test", "no@b.test"]).await;
    assert_eq!(test.world.received()[0].to, ["<yes@b.test>"]);
    let report = test.report().await;
    assert!(report.contains("Final-Recipient: rfc822; no@b.test\r\n") && !report.contains("; yes@"));
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn only_who_was_put_off_is_tried_again() {
    let host = Host::new().says_once("RCPT TO:<later@", "451 4.2.1 not now");
    let test = with(host, &["yes@b.test", "later@b.test"]).await;
    assert_eq!(test.only().entry.recipients.len(), 1);
    test.pass(Duration::from_mins(2)).await;
    let to: Vec<_> = test.world.received().into_iter().map(|letter| letter.to).collect();
    assert_eq!(to, [["<yes@b.test>"], ["<later@b.test>"]]);
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
}

#[tokio::test]
async fn too_many_recipients_for_one_transaction_are_done_in_two_on_the_same_connection() {
    for reply in ["452 4.5.3 too many", "552 too many"] {
        let host = Host::new().says_once("RCPT TO:<b@", reply).says_once("RCPT TO:<c@", reply);
        let test = with(host, &["a@b.test", "b@b.test", "c@b.test"]).await;
        let to: Vec<_> = test.world.received().into_iter().map(|letter| letter.to).collect();
        assert_eq!(to, [vec!["<a@b.test>"], vec!["<b@b.test>", "<c@b.test>"]]);
        assert_eq!(test.world.calls().len(), 1);
        assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_server_that_takes_one_recipient_at_a_time_gets_them_one_by_one() {
    let test = with(Host::new().says("RCPT TO:<z@", "452 4.2.2 full"), &["a@b.test", "z@b.test"]).await;
    assert_eq!(test.world.received().len(), 1);
    assert_eq!(reason(&test.only()), "4.2.2 452 4.2.2 full");
}

#[tokio::test]
async fn more_recipients_than_a_transaction_may_have_are_split() {
    let names: Vec<String> = (0..250).map(|number| format!("u{number}@b.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let test = with(Host::new(), &names).await;
    let counts: Vec<_> = test.world.received().iter().map(|letter| letter.to.len()).collect();
    assert_eq!(counts, [100, 100, 50]);
    assert_eq!((test.queued().await, test.world.calls().len()), (0, 1));
}

#[tokio::test]
async fn a_connection_lost_at_any_stage_loses_nothing() {
    for stage in ["MAIL", "RCPT", "DATA", "."] {
        for gone in [GONE, "421 4.3.2 going down", "what?"] {
            let test = with(Host::new().says_once(stage, gone), &["x@b.test"]).await;
            assert!(reason(&test.only()).starts_with("4."), "{stage} {gone}");
            assert_eq!(test.world.received().len(), 0);
            test.pass(Duration::from_mins(2)).await;
            assert_eq!(test.world.received().len(), 1, "{stage} {gone}");
            assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_go_ahead_where_none_belongs_is_no_acceptance() {
    for stage in ["MAIL", "RCPT", "."] {
        for host in [Host::new(), Host::new().without("PIPELINING")] {
            let test = with(host.says_once(stage, "354 go on"), &["x@b.test"]).await;
            assert_eq!(test.world.received().len(), 0);
            assert!(reason(&test.only()).starts_with("4.5.0 "), "{stage}: {}", reason(&test.only()));
        }
    }
}

#[tokio::test]
async fn what_was_refused_before_the_connection_broke_stays_refused() {
    let host = Host::new().says("RCPT TO:<no@", "550 5.1.1 no such user").says_once(".", GONE);
    let test = with(host, &["yes@b.test", "no@b.test"]).await;
    assert!(test.report().await.contains("; no@b.test\r\n"));
    assert_eq!(test.only().entry.recipients.len(), 1);
}

#[tokio::test]
async fn internationalized_mail_does_not_go_where_it_is_not_understood() {
    let test = Test::new().await;
    test.world.host("192.0.2.10", Host::new().without("SMTPUTF8"));
    let parameters = MailParameters { is_smtputf8: true, ..MailParameters::default() };
    test.send_as("amy@a.test", &["bj\u{f6}rn@b.test"], parameters).await;
    test.run().await;
    let report = test.report().await;
    assert!(report.contains("Status: 5.6.7\r\n"), "{report}");
    assert!(report.contains("Final-Recipient: utf-8; bj\u{f6}rn@b.test\r\n"), "{report}");
    assert!(test.world.said(0).iter().all(|line| !line.starts_with("MAIL")));
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn eight_bit_mail_is_declared_where_that_is_understood_and_sent_all_the_same_where_not() {
    for (host, is_declared) in [(Host::new(), true), (Host::new().without("8BITMIME"), false)] {
        let test = Test::new().await;
        test.world.host("192.0.2.10", host);
        let parameters = MailParameters { body: BodyType::EightBitMime, ..MailParameters::default() };
        test.send_as("amy@a.test", &["x@b.test"], parameters).await;
        test.run().await;
        let received = test.world.received();
        assert_eq!(received[0].from.contains("BODY=8BITMIME"), is_declared, "{received:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_big_for_the_host_is_reported_without_being_sent() {
    let test = with(Host::new().without("SIZE 1000000").offers("SIZE 10"), &["x@b.test"]).await;
    assert!(test.report().await.contains("Status: 5.3.4\r\n"));
    assert!(test.world.said(0).iter().all(|line| !line.starts_with("MAIL")));
}
