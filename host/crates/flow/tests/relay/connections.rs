//! Many messages, few connections.

use std::sync::Arc;
use std::time::Duration;

use maitred_flow::Relay;
use tokio::task::JoinSet;

use crate::house::{LETTER, Test, reason};
use crate::world::{GONE, Host};

async fn with(host: Host, messages: usize) -> Test {
    let test = Test::new().await;
    test.world.host("192.0.2.10", host);
    for number in 0..messages {
        test.send(&[&format!("u{number}@b.test")]).await;
    }
    test.run().await;
    test
}

#[tokio::test]
async fn what_waits_for_one_domain_goes_over_one_connection() {
    let test = with(Host::new(), 5).await;
    assert_eq!(test.world.received().len(), 5);
    assert_eq!((test.world.calls().len(), test.queued().await), (1, 0));
    assert_eq!(test.world.said(0).last().unwrap(), "QUIT");
}

#[tokio::test]
async fn a_refused_message_does_not_end_the_connection() {
    let test = with(Host::new().says("RCPT TO:<u0@", "550 5.1.1 no"), 3).await;
    assert_eq!((test.world.received().len(), test.world.calls().len()), (2, 1));
    assert!(test.world.said(0).contains(&"RSET".to_owned()));
    assert_eq!((test.queued().await, test.inbox().await.len()), (0, 1));
}

#[tokio::test]
async fn a_server_that_closes_after_each_message_gets_them_all_at_once_all_the_same() {
    let test = with(Host::new().closes_after(1), 5).await;
    assert_eq!(test.world.received().len(), 5);
    assert_eq!((test.world.calls().len(), test.queued().await), (5, 0));
    let test = with(Host::new().closes_after(1), 120).await;
    assert_eq!((test.world.received().len(), test.queued().await), (120, 0));
}

#[tokio::test]
async fn a_server_that_says_421_to_the_second_message_gets_it_on_a_new_connection() {
    for stage in ["MAIL", "RCPT", "DATA"] {
        let test = with(Host::new().says_after(1, stage, "421 4.7.0 enough"), 2).await;
        assert_eq!((test.world.received().len(), test.world.calls().len()), (2, 2), "{stage}");
        assert_eq!((test.queued().await, test.inbox().await.len()), (0, 0), "{stage}");
    }
}

#[tokio::test]
async fn a_server_that_answers_data_with_success_makes_no_message_vanish() {
    let host = Host::new().says_after(1, "DATA", "250 2.0.0 Ok").says_after(2, "DATA", "250 2.0.0 Ok");
    let test = with(host, 5).await;
    test.pass(Duration::from_mins(10)).await;
    assert_eq!((test.world.received().len(), test.queued().await), (5, 0));
}

#[tokio::test]
async fn a_message_whose_end_was_sent_is_not_sent_again_at_once() {
    // The second one on its connection: the server has it, perhaps.
    let test = with(Host::new().says_after(1, ".", GONE), 2).await;
    assert_eq!(test.world.received().len(), 1);
    assert!(reason(&test.only()).starts_with("4.4.2 "), "{}", reason(&test.only()));
    test.pass(Duration::from_mins(2)).await;
    assert_eq!((test.world.received().len(), test.queued().await), (2, 0));
}

#[tokio::test]
async fn another_house_of_ours_takes_it() {
    let (test, other) = (Test::new().await, Test::new().await);
    // The other one has amy too; to this one she is elsewhere, under another name.
    test.world.host("192.0.2.10", Host::house(other.house.clone()));
    test.send(&["amy@b.test"]).await;
    test.run().await;
    assert!(test.report().await.contains("Status: 5.7.1\r\n"), "it has no b.test");
    let domain = maitred_mail::Domain::parse("b.test").unwrap();
    let mut batch = maitred_store::Batch::default();
    batch.intents.push(maitred_store::Intent::AddDomain(domain));
    batch.intents.push(maitred_store::Intent::SetAlias {
        key: maitred_mail::directory::AliasKey::Address(crate::house::at("amy@b.test")),
        targets: vec![crate::house::at("amy@a.test")],
    });
    other.house.store.commit(batch).await.unwrap();
    for _ in 0..3 {
        test.send(&["amy@b.test"]).await;
    }
    test.run().await;
    assert_eq!((test.queued().await, test.world.calls().len()), (0, 2));
    let inbox = other.inbox().await;
    assert_eq!(inbox.len(), 3);
    assert!(inbox[0].starts_with("Return-Path: <amy@a.test>\r\nReceived: from mx.a.test "), "{}", inbox[0]);
    assert!(inbox[0].ends_with(LETTER) && inbox[0].matches("Return-Path").count() == 1, "{}", inbox[0]);
}

/// As many at a time as the queue lets go.
async fn attempt_all(relay: &Arc<Relay>) {
    let mut attempts = JoinSet::new();
    loop {
        while let Some(unit) = relay.next_unit() {
            let relay = Arc::clone(relay);
            attempts.spawn(async move { relay.attempt(unit).await });
        }
        assert!(relay.next_wake(true).is_none_or(|at| at > relay.now()), "the courier would spin");
        match attempts.join_next().await {
            Some(ended) => ended.unwrap(),
            None => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_attempts_at_a_time_deliver_each_message_once() {
    for host in [Host::new(), Host::new().closes_after(1), Host::new().closes_after(7)] {
        let test = Test::new().await;
        test.world.host("192.0.2.10", host);
        for number in 0..150 {
            test.send(&[&format!("u{number}@b.test")]).await;
        }
        test.relay.take_new().await.unwrap();
        attempt_all(&test.relay).await;
        let mut to: Vec<_> = test.world.received().into_iter().flat_map(|letter| letter.to).collect();
        to.sort_unstable();
        to.dedup();
        assert_eq!((to.len(), test.world.received().len(), test.queued().await), (150, 150, 0));
    }
}

#[tokio::test]
async fn a_destination_without_room_is_not_looked_at_again_until_there_is() {
    let test = Test::new().await;
    for number in 0..30 {
        test.send(&[&format!("u{number}@b.test")]).await;
    }
    test.relay.take_new().await.unwrap();
    let units: Vec<_> = std::iter::from_fn(|| test.relay.next_unit()).collect();
    assert_eq!(units.len(), 20);
    assert!(test.relay.next_wake(true).unwrap() > test.relay.now());
    for unit in units {
        test.relay.attempt(unit).await;
    }
    assert_eq!((test.world.received().len(), test.queued().await), (30, 0));
}

#[tokio::test]
async fn of_a_host_that_does_not_answer_not_every_message_asks() {
    let test = with(Host::down(), 10).await;
    assert_eq!((test.world.calls().len(), test.queued().await), (1, 10));
    test.pass(Duration::from_mins(30)).await;
    assert!(test.world.calls().len() <= 4, "{}", test.world.calls().len());
    test.world.host("192.0.2.10", Host::new());
    test.pass(Duration::from_hours(1)).await;
    assert_eq!((test.world.received().len(), test.queued().await), (10, 0));
}
