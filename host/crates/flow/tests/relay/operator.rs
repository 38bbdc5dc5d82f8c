//! The operator's words: hold, release, retry, cancel.

use std::sync::Arc;
use std::time::Duration;

use maitred_queue::NotQueued;
use tokio::task::JoinHandle;

use crate::house::Test;
use crate::world::{Gate, Host};

async fn waiting() -> Test {
    let test = Test::new().await;
    test.world.host("192.0.2.10", Host::down());
    test.send(&["x@b.test"]).await;
    test.run().await;
    test
}

#[tokio::test]
async fn what_is_held_is_neither_tried_nor_given_up_until_it_is_released() {
    let test = waiting().await;
    let id = test.only().id;
    test.relay.hold(id).await.unwrap();
    assert!(test.house.store.queue().await.unwrap()[0].1.is_held);
    test.world.host("192.0.2.10", Host::new());
    test.pass(Duration::from_hours(100)).await;
    assert_eq!((test.world.received().len(), test.inbox().await.len(), test.queued().await), (0, 0, 1));
    assert_eq!(test.only().next_attempt, None);
    test.relay.release(id).await.unwrap();
    assert!(!test.house.store.queue().await.unwrap()[0].1.is_held);
    test.run().await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 0));
}

#[tokio::test]
async fn what_is_to_be_tried_now_is_tried_now() {
    let test = waiting().await;
    test.world.host("192.0.2.10", Host::new());
    test.run().await;
    assert_eq!(test.world.received().len(), 0);
    test.relay.retry(test.only().id).unwrap();
    test.run().await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 0));
}

#[tokio::test]
async fn what_is_cancelled_is_gone_and_nobody_is_told() {
    let test = waiting().await;
    let id = test.only().id;
    test.relay.cancel(id).await.unwrap();
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0));
    test.pass(Duration::from_hours(200)).await;
    assert_eq!((test.world.calls().len(), test.inbox().await.len()), (1, 0));
    assert_eq!(test.relay.cancel(id).await, Err(NotQueued(id)));
    assert_eq!(test.relay.retry(id), Err(NotQueued(id)));
}

#[tokio::test]
async fn a_word_that_cannot_be_written_down_is_written_down_later() {
    let test = waiting().await;
    test.faults.fail_after(0, maitred_store::Error::Unavailable("disk".into()));
    test.relay.cancel(test.only().id).await.unwrap();
    test.pass(Duration::from_mins(1)).await;
    assert_eq!(test.queued().await, 0);
}

/// An attempt that has come to its MAIL and goes no further yet.
async fn trying(host: Host) -> (Test, Arc<Gate>, JoinHandle<()>) {
    let test = Test::new().await;
    test.world.host("192.0.2.10", host);
    test.send(&["x@b.test"]).await;
    test.relay.take_new().await.unwrap();
    let gate = test.world.gate("MAIL");
    let unit = test.relay.next_unit().unwrap();
    let relay = Arc::clone(&test.relay);
    let attempt = tokio::spawn(async move { relay.attempt(unit).await });
    gate.reached.notified().await;
    assert!(test.only().is_in_flight);
    (test, gate, attempt)
}

#[tokio::test]
async fn what_is_cancelled_while_it_is_tried_is_neither_reported_nor_tried_again() {
    for reply in ["250 2.0.0 Ok", "451 4.3.0 later", "550 5.7.1 never"] {
        let (test, gate, attempt) = trying(Host::new().says("RCPT", reply)).await;
        test.relay.cancel(test.only().id).await.unwrap();
        assert_eq!(test.queued().await, 0);
        gate.open.notify_one();
        attempt.await.unwrap();
        test.pass(Duration::from_hours(150)).await;
        assert_eq!((test.world.calls().len(), test.inbox().await.len()), (1, 0), "{reply}");
    }
}

#[tokio::test]
async fn what_is_held_while_it_is_tried_is_not_tried_again_until_it_is_released() {
    let (test, gate, attempt) = trying(Host::new().says_once("RCPT", "451 4.3.0 later")).await;
    let id = test.only().id;
    test.relay.hold(id).await.unwrap();
    gate.open.notify_one();
    attempt.await.unwrap();
    test.pass(Duration::from_hours(150)).await;
    assert_eq!((test.world.calls().len(), test.queued().await, test.inbox().await.len()), (1, 1, 0));
    test.relay.release(id).await.unwrap();
    test.pass(Duration::from_mins(1)).await;
    assert_eq!((test.world.received().len(), test.inbox().await.len(), test.queued().await), (1, 0, 0));
}

#[tokio::test]
async fn what_is_tried_is_not_tried_twice_at_a_time_whoever_asks() {
    let (test, gate, attempt) = trying(Host::new()).await;
    test.relay.retry(test.only().id).unwrap();
    test.run().await;
    assert_eq!(test.world.calls().len(), 1);
    gate.open.notify_one();
    attempt.await.unwrap();
    test.run().await;
    assert_eq!((test.world.received().len(), test.queued().await), (1, 0));
}

#[tokio::test]
async fn what_expires_while_it_is_tried_ends_as_the_attempt_does() {
    for (reply, ends) in [("250 2.0.0 Ok", (1, 0)), ("451 4.3.0 later", (0, 1))] {
        let (test, gate, attempt) = trying(Host::new().says("RCPT", reply)).await;
        test.pass(Duration::from_hours(150)).await;
        let warnings = test.inbox().await.len();
        assert_eq!((test.queued().await, warnings), (1, 1), "{reply}");
        gate.open.notify_one();
        attempt.await.unwrap();
        test.run().await;
        let ended = (test.world.received().len(), test.inbox().await.len() - warnings);
        assert_eq!((ended, test.queued().await), (ends, 0), "{reply}");
    }
}

#[tokio::test]
async fn what_comes_while_a_connection_is_open_goes_over_it() {
    let (test, gate, attempt) = trying(Host::new()).await;
    test.send(&["y@b.test"]).await;
    test.relay.take_new().await.unwrap();
    gate.open.notify_one();
    attempt.await.unwrap();
    assert_eq!((test.world.received().len(), test.world.calls().len()), (2, 1));
}
