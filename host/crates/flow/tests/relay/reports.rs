//! RFC 5321 §4.5.5, §6.1, RFC 3464: who is told what, and how often, whatever the store does meanwhile.

use std::time::Duration;

use maitred_mail::MailParameters;
use maitred_store::Error;

use crate::house::{Test, at, reason};
use crate::world::Host;

async fn with(host: Host, from: &str) -> Test {
    let test = Test::new().await;
    test.world.host("192.0.2.10", host);
    test.send_as(from, &["x@b.test"], MailParameters::default()).await;
    test
}

fn refusing() -> Host {
    Host::new().says("RCPT TO:<x@", "550 5.1.1 no such user")
}

#[tokio::test]
async fn nobody_is_told_of_a_report_that_failed_or_is_late() {
    let test = with(refusing(), "").await;
    test.run().await;
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
    let test = with(Host::down(), "").await;
    test.pass(Duration::from_hours(150)).await;
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
}

#[tokio::test]
async fn a_report_to_elsewhere_is_queued_with_the_null_reverse_path() {
    let test = with(refusing(), "carl@c.test").await;
    test.world.has_mx("c.test", &[(10, "mx.c.test")]);
    test.world.has_address("mx.c.test", "192.0.2.30");
    test.run().await;
    let received = test.world.received();
    let [report] = received.as_slice() else { panic!("{received:?}") };
    assert!(report.from.starts_with("MAIL FROM:<> "), "{report:?}");
    assert_eq!(report.to, ["<carl@c.test>"]);
    assert!(report.content.starts_with("Date: "), "{report:?}");
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
}

#[tokio::test]
async fn a_report_with_words_beyond_ascii_is_declared_as_such() {
    let test = with(Host::new().says("RCPT TO:<x@", "550 5.1.1 f\u{fc}r niemanden"), "carl@c.test").await;
    test.world.has_mx("c.test", &[(10, "mx.c.test")]);
    test.world.has_address("mx.c.test", "192.0.2.30");
    test.run().await;
    let received = test.world.received();
    assert!(received[0].from.contains(" BODY=8BITMIME"), "{received:?}");
}

#[tokio::test]
async fn a_report_that_nobody_takes_is_the_last_one() {
    let test = with(refusing(), "carl@nowhere.test").await;
    test.run().await;
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
}

#[tokio::test]
async fn a_report_has_the_header_section_and_not_the_body() {
    let test = with(refusing(), "amy@a.test").await;
    test.run().await;
    let report = test.report().await;
    assert!(report.starts_with("Return-Path: <>\r\n"), "{report}");
    assert!(report.contains("Subject: hello\r\n") && !report.contains("Hello,"), "{report}");
    assert_eq!(report.matches("Return-Path").count(), 1, "{report}");
}

#[tokio::test]
async fn who_has_no_room_for_a_report_gets_none_and_the_queue_goes_on() {
    let test = with(refusing(), "full@a.test").await;
    test.run().await;
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn who_has_no_room_for_a_warning_is_not_warned_again_and_again() {
    let test = with(Host::down(), "full@a.test").await;
    test.pass(Duration::from_hours(5)).await;
    assert!(test.only().entry.is_warned);
    test.pass(Duration::from_hours(150)).await;
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn a_sender_who_is_gone_keeps_nothing_in_the_queue() {
    let test = with(refusing(), "amy@a.test").await;
    let mut batch = maitred_store::Batch::default();
    batch.intents.push(maitred_store::Intent::RemoveAccount(at("amy@a.test")));
    test.house.store.commit(batch).await.unwrap();
    test.run().await;
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn what_expires_is_tried_one_last_time() {
    let test = with(Host::down(), "amy@a.test").await;
    test.pass(Duration::from_mins(5 * 24 * 60 - 1)).await;
    assert_eq!(test.queued().await, 1);
    test.world.host("192.0.2.10", Host::new());
    test.pass(Duration::from_mins(2)).await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 0));
    assert!(test.report().await.contains("Action: delayed\r\n"));
}

#[tokio::test]
async fn a_warning_of_a_delay_comes_once() {
    let test = with(Host::down(), "amy@a.test").await;
    test.pass(Duration::from_mins(239)).await;
    assert_eq!(test.inbox().await.len(), 0);
    test.pass(Duration::from_mins(2)).await;
    let warning = test.report().await;
    assert!(warning.contains("Action: delayed\r\n") && warning.contains("Will-Retry-Until: "), "{warning}");
    test.pass(Duration::from_hours(48)).await;
    assert_eq!(test.inbox().await.len(), 1);
    test.world.host("192.0.2.10", Host::new());
    test.pass(Duration::from_hours(5)).await;
    assert_eq!((test.world.received().len(), test.inbox().await.len(), test.queued().await), (1, 1, 0));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_written_down_later_and_not_done_again() {
    let test = with(Host::new(), "amy@a.test").await;
    test.faults.fail_after(0, Error::Unavailable("disk".into()));
    test.run().await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 1));
    test.pass(Duration::from_secs(29)).await;
    assert_eq!(test.queued().await, 1);
    test.pass(Duration::from_mins(10)).await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 0));
}

#[tokio::test]
async fn a_report_that_cannot_be_stored_is_stored_later_and_once() {
    for error in [Error::Unavailable("disk".into()), Error::Full] {
        let test = with(refusing(), "amy@a.test").await;
        test.faults.fail_after(0, error);
        test.run().await;
        assert_eq!((test.inbox().await.len(), test.queued().await), (0, 1));
        // A disk that is full for longer.
        test.faults.fail_after(0, Error::Full);
        test.pass(Duration::from_secs(45)).await;
        assert_eq!((test.inbox().await.len(), test.queued().await), (0, 1));
        test.pass(Duration::from_mins(10)).await;
        assert_eq!((test.inbox().await.len(), test.queued().await), (1, 0));
        assert_eq!(test.world.calls().len(), 1);
    }
}

#[tokio::test]
async fn another_server_process_finds_the_queue_as_it_was() {
    let test = with(Host::new().says("RCPT", "451 4.2.1 not now"), "amy@a.test").await;
    test.run().await;
    let stored = test.house.store.queue().await.unwrap();
    assert_eq!(stored[0].1, test.only().entry);
    assert_eq!(stored[0].1.recipients[0].recipient.address, at("x@b.test"));
    assert!(reason(&test.only()).starts_with("4.2.1 "));
}
