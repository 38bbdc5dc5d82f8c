//! Guessing is slowed down.

use std::net::IpAddr;
use std::time::Duration;

use maitred_flow::{Config, House, LoginError};
use maitred_wire::sasl::Credentials;

use crate::house::{PASSWORD, Test};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn credentials(name: &str, password: &str) -> Credentials {
    Credentials { authorization: String::new(), authentication: name.into(), password: password.into() }
}

#[tokio::test]
async fn after_five_failures_even_the_right_password_waits() {
    let test = Test::new().await;
    let wrong = credentials("bob@a.test", "x");
    let right = credentials("BOB@a.test", PASSWORD);
    for _ in 0..5 {
        assert!(matches!(test.house.logins.verify(PEER, &wrong).await, Err(LoginError::Wrong)));
    }
    assert!(matches!(test.house.logins.verify(PEER, &right).await, Err(LoginError::Slow { .. })));
    let elsewhere = IpAddr::from([192, 0, 2, 7]);
    assert!(test.house.logins.verify(elsewhere, &right).await.is_ok(), "others are not locked out");
    test.clock.pass(Duration::from_secs(2));
    let login = test.house.logins.verify(PEER, &right).await.unwrap();
    assert_eq!(login.address().to_string(), "bob@a.test");
    assert!(matches!(test.house.logins.verify(PEER, &wrong).await, Err(LoginError::Wrong)), "forgiven");
}

#[tokio::test]
async fn the_wait_grows() {
    let test = Test::new().await;
    let wrong = credentials("bob@a.test", "x");
    let mut waits = Vec::new();
    for _ in 0..8 {
        let _ = test.house.logins.verify(PEER, &wrong).await;
        if let Err(LoginError::Slow { wait }) = test.house.logins.verify(PEER, &wrong).await {
            waits.push(wait.as_secs());
            test.clock.pass(wait);
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
}

#[tokio::test]
async fn unknown_accounts_and_acting_as_others_are_wrong_in_the_same_words() {
    let test = Test::new().await;
    for name in ["nobody@a.test", "bob", "", "bob@a.test\0"] {
        let verified = test.house.logins.verify(PEER, &credentials(name, PASSWORD)).await;
        assert!(matches!(verified, Err(LoginError::Wrong)), "{name:?}");
    }
    let other = Credentials { authorization: "amy@a.test".into(), ..credentials("bob@a.test", PASSWORD) };
    assert!(matches!(test.house.logins.verify(PEER, &other).await, Err(LoginError::Wrong)));
}

#[tokio::test]
async fn a_limit_of_0_never_slows_down() {
    let test = Test::new().await;
    let mut config = Config::default();
    config.limits.auth_failures = 0;
    let house =
        House::new(test.house.store.clone(), test.house.chains.clone(), test.house.clock.clone(), config);
    for _ in 0..20 {
        let verified = house.logins.verify(PEER, &credentials("bob@a.test", "x")).await;
        assert!(matches!(verified, Err(LoginError::Wrong)));
    }
}
