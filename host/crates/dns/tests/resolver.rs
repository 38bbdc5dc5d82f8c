//! The resolver against the zone server: real packets over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use maitred_dns::zone::{Zone, ZoneServer};
use maitred_dns::{Config, Dns};
use maitred_mail::Domain;
use maitred_mail::dns::{DnsError, Mx, Resolver as _};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn zone() -> Zone {
    let mut zone = Zone::new("test");
    zone.mx("b.test", 20, "mx2.b.test");
    zone.mx("b.test", 10, "mx1.b.test");
    zone.a("mx1.b.test", [192, 0, 2, 1].into());
    zone.a("mx1.b.test", "2001:db8::1".parse().unwrap());
    zone.a("mx2.b.test", [192, 0, 2, 2].into());
    zone.mx("null.test", 0, ".");
    zone.cname("alias.test", "b.test");
    zone.txt("text.test", "nothing else");
    zone.ptr([192, 0, 2, 1].into(), "mx1.b.test");
    zone.servfail("broken.test");
    zone.mx("long.test", 10, "mx1.b.test");
    zone.truncate("long.test");
    zone
}

async fn begin(zone: Zone) -> (ZoneServer, Dns) {
    let server = ZoneServer::start(zone, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = Config {
        servers: vec![server.address()],
        timeout: Duration::from_secs(2),
        attempts: 1,
        ..Config::default()
    };
    (server, Dns::new(&config))
}

fn mx(preference: u16, exchange: &str) -> Mx {
    Mx { preference, exchange: Some(domain(exchange)) }
}

#[tokio::test]
async fn records_are_found_along_aliases() {
    let (_server, dns) = begin(zone()).await;
    for name in ["b.test", "alias.test", "B.Test"] {
        let mut found = dns.mx(&domain(name)).await.unwrap();
        found.sort_by_key(|mx| mx.preference);
        assert_eq!(found, [mx(10, "mx1.b.test"), mx(20, "mx2.b.test")], "{name}");
    }
    let mut found = dns.ip(&domain("mx1.b.test")).await.unwrap();
    found.sort();
    assert_eq!(found, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    assert_eq!(dns.ip(&domain("mx2.b.test")).await.unwrap().len(), 1);
    assert_eq!(dns.ptr([192, 0, 2, 1].into()).await.unwrap(), [domain("mx1.b.test")]);
    assert_eq!(dns.mx(&domain("null.test")).await.unwrap(), [Mx { preference: 0, exchange: None }]);
}

#[tokio::test]
async fn no_name_no_record_and_not_now_are_three_things() {
    let (_server, dns) = begin(zone()).await;
    assert_eq!(dns.mx(&domain("absent.test")).await, Err(DnsError::NoSuchName));
    assert_eq!(dns.ip(&domain("absent.test")).await, Err(DnsError::NoSuchName));
    assert_eq!(dns.mx(&domain("text.test")).await, Err(DnsError::NoRecord));
    assert_eq!(dns.ip(&domain("b.test")).await, Err(DnsError::NoRecord));
    assert!(matches!(dns.mx(&domain("broken.test")).await, Err(DnsError::Temporary(_))));
    assert!(matches!(dns.ip(&domain("broken.test")).await, Err(DnsError::Temporary(_))));
}

#[tokio::test]
async fn what_is_cut_is_asked_again_by_tcp() {
    let (server, dns) = begin(zone()).await;
    assert_eq!(dns.mx(&domain("long.test")).await.unwrap(), [mx(10, "mx1.b.test")]);
    let questions = server.questions();
    assert!(
        questions.iter().any(|question| !question.is_tcp) && questions.iter().any(|question| question.is_tcp)
    );
}

#[tokio::test]
async fn answers_live_as_long_as_they_say() {
    let (server, dns) = begin(zone()).await;
    for _ in 0..3 {
        dns.mx(&domain("b.test")).await.unwrap();
        assert_eq!(dns.mx(&domain("absent.test")).await, Err(DnsError::NoSuchName));
    }
    assert_eq!(server.questions().len(), 2);
    assert_eq!(dns.questions(), 6);
    let mut short = zone();
    short.ttl(0);
    let (server, dns) = begin(short).await;
    for _ in 0..3 {
        dns.mx(&domain("b.test")).await.unwrap();
    }
    assert_eq!(server.questions().len(), 3);
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_now() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_millis(50),
        attempts: 1,
        ..Config::default()
    };
    assert!(matches!(Dns::new(&config).mx(&domain("b.test")).await, Err(DnsError::Temporary(_))));
}

#[tokio::test]
async fn octets_that_are_no_question_are_not_answered() {
    let (server, dns) = begin(zone()).await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for octets in [&b""[..], b"x", &[0xff; 12], &[0; 500]] {
        socket.send_to(octets, server.address()).await.unwrap();
    }
    assert!(dns.mx(&domain("b.test")).await.is_ok());
}
