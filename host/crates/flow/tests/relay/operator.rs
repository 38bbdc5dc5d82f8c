//! The operator's words: hold, release, retry, cancel.

use std::time::Duration;

use maitred_queue::NotQueued;

use crate::house::Test;
use crate::world::Host;

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
