//! RFC 7435: TLS where it can be had, plaintext where it cannot, unless someone wants otherwise.

use maitred_route::TlsPolicy;

use crate::house::{Test, reason};
use crate::world::{GONE, Host};

async fn with(tls: TlsPolicy, host: Host) -> Test {
    let test = Test::with(maitred_route::Config { tls, ..maitred_route::Config::default() }).await;
    test.world.host("192.0.2.10", host);
    test.send(&["x@b.test"]).await;
    test.run().await;
    test
}

#[tokio::test]
async fn tls_is_used_when_it_is_offered_whatever_the_certificate() {
    let test = with(TlsPolicy::Opportunistic, Host::new().offers("STARTTLS")).await;
    assert!(test.world.received()[0].is_encrypted);
    assert!(!test.world.last_call().needs_valid_certificate);
    let test = with(TlsPolicy::Opportunistic, Host::new()).await;
    assert!(!test.world.received()[0].is_encrypted);
    let test = with(TlsPolicy::None, Host::new().offers("STARTTLS")).await;
    assert!(!test.world.received()[0].is_encrypted);
}

#[tokio::test]
async fn after_a_failed_handshake_a_new_connection_does_without() {
    let test = with(TlsPolicy::Opportunistic, Host::new().cannot_shake()).await;
    assert_eq!(test.world.calls(), ["192.0.2.10", "192.0.2.10"]);
    assert_eq!(test.world.said(0), ["EHLO mx.a.test", "STARTTLS"]);
    assert!(!test.world.said(1).contains(&"STARTTLS".to_owned()));
    let received = test.world.received();
    assert!(received.len() == 1 && !received[0].is_encrypted, "{received:?}");
    assert_eq!(test.queued().await, 0);
}

#[tokio::test]
async fn after_a_connection_that_breaks_behind_the_handshake_a_new_one_does_without() {
    let host = || Host::new().offers("STARTTLS").says_after(1, "EHLO", GONE);
    let test = with(TlsPolicy::Opportunistic, host()).await;
    assert_eq!(test.world.said(0), ["EHLO mx.a.test", "STARTTLS", "EHLO mx.a.test"]);
    let received = test.world.received();
    assert!(received.len() == 1 && !received[0].is_encrypted, "{received:?}");
    let test = with(TlsPolicy::Require, host()).await;
    assert_eq!((test.world.calls().len(), test.queued().await), (1, 1));
}

#[tokio::test]
async fn a_starttls_that_is_refused_is_done_without_on_the_same_connection() {
    let host = Host::new().offers("STARTTLS").says("STARTTLS", "454 4.7.0 not now");
    let test = with(TlsPolicy::Opportunistic, host).await;
    assert_eq!(test.world.calls().len(), 1);
    assert_eq!(test.world.received().len(), 1);
}

#[tokio::test]
async fn where_tls_is_required_nothing_is_handed_over_without() {
    for host in [
        Host::new(),
        Host::new().cannot_shake(),
        Host::new().offers("STARTTLS").says("STARTTLS", "454 4.7.0 not now"),
    ] {
        let test = with(TlsPolicy::Require, host).await;
        assert_eq!(test.world.calls().len(), 1);
        assert!(test.world.said(0).iter().all(|line| !line.starts_with("MAIL")));
        assert!(reason(&test.only()).starts_with("4."), "{}", reason(&test.only()));
        assert_eq!((test.world.received().len(), test.inbox().await.len()), (0, 0));
    }
    let test = with(TlsPolicy::Require, Host::new().offers("STARTTLS")).await;
    assert!(test.world.received()[0].is_encrypted);
}
