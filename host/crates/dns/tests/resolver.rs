//! The resolver against the zone server: real packets over loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use maitred_dns::zone::{Zone, ZoneServer};
use maitred_dns::{Config, Dns};
use maitred_mail::Domain;
use maitred_mail::dns::{DnsError, Mx, Resolver as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
async fn an_alias_answers_for_its_target_whatever_that_is() {
    let mut zone = zone();
    zone.cname("to-nothing.test", "absent.test");
    zone.cname("to-text.test", "text.test");
    zone.cname("to-broken.test", "broken.test");
    zone.cname("to-null.test", "null.test");
    let (server, dns) = begin(zone).await;
    assert_eq!(dns.mx(&domain("to-nothing.test")).await, Err(DnsError::NoSuchName));
    assert_eq!(dns.mx(&domain("to-text.test")).await, Err(DnsError::NoRecord));
    assert!(matches!(dns.mx(&domain("to-broken.test")).await, Err(DnsError::Temporary(_))));
    assert_eq!(dns.mx(&domain("to-null.test")).await.unwrap(), [Mx { preference: 0, exchange: None }]);
    assert_eq!(server.count("to-null.test", "MX"), 1);
}

#[tokio::test]
async fn aliases_in_a_circle_are_left_and_are_no_reason_to_bounce() {
    let mut zone = zone();
    zone.cname("one.test", "two.test");
    zone.cname("two.test", "one.test");
    zone.cname("self.test", "self.test");
    for depth in 0..40 {
        zone.cname(&format!("deep{depth}.test"), &format!("deep{}.test", depth + 1));
    }
    let mut bare = zone.clone();
    bare.leave_out_soa();
    for zone in [zone, bare] {
        let (server, dns) = begin(zone).await;
        for name in ["one.test", "self.test"] {
            assert!(matches!(dns.mx(&domain(name)).await, Err(DnsError::Temporary(_))), "{name}");
            assert!(matches!(dns.ip(&domain(name)).await, Err(DnsError::Temporary(_))), "{name}");
        }
        assert!(server.questions().len() < 100, "{}", server.questions().len());
    }
}

#[tokio::test]
async fn small_servers_say_no_without_a_soa() {
    let mut zone = zone();
    zone.leave_out_soa();
    let (_server, dns) = begin(zone).await;
    assert_eq!(dns.mx(&domain("text.test")).await, Err(DnsError::NoRecord));
    assert_eq!(dns.ip(&domain("b.test")).await, Err(DnsError::NoRecord));
    assert_eq!(
        dns.ip(&domain("mx2.b.test")).await.unwrap(),
        ["192.0.2.2".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(dns.mx(&domain("absent.test")).await, Err(DnsError::NoSuchName));
}

#[tokio::test]
async fn one_family_that_cannot_be_asked_does_not_hide_the_other() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_millis(50),
        attempts: 0,
        ..Config::default()
    };
    assert!(matches!(Dns::new(&config).ip(&domain("b.test")).await, Err(DnsError::Temporary(_))));
    assert!(matches!(Dns::new(&config).ptr([192, 0, 2, 1].into()).await, Err(DnsError::Temporary(_))));
}

#[tokio::test]
async fn names_are_absolute_and_localhost_is_never_asked_for() {
    let (server, dns) = begin(zone()).await;
    assert_eq!(dns.mx(&domain("b")).await, Err(DnsError::NoSuchName));
    assert_eq!(server.count("b", "MX"), 1);
    assert_eq!(server.questions().len(), 1);
    // RFC 6761 §6.3.
    let loopback = dns.ip(&domain("localhost")).await.unwrap();
    assert!(loopback.iter().all(std::net::IpAddr::is_loopback) && !loopback.is_empty());
    assert_eq!(dns.mx(&domain("localhost")).await, Err(DnsError::NoRecord));
    assert_eq!(server.questions().len(), 1);
}

#[tokio::test]
async fn what_is_too_long_for_udp_comes_by_tcp() {
    let mut zone = zone();
    for number in 0..200u16 {
        zone.mx("many.test", number, &format!("a-host-with-a-long-name-{number}.many.test"));
    }
    let (server, dns) = begin(zone).await;
    assert_eq!(dns.mx(&domain("many.test")).await.unwrap().len(), 200);
    assert_eq!(server.count("many.test", "MX"), 2);
}

#[tokio::test]
async fn what_was_not_now_is_asked_again() {
    let (server, dns) = begin(zone()).await;
    assert!(matches!(dns.mx(&domain("broken.test")).await, Err(DnsError::Temporary(_))));
    let mut mended = Zone::new("test");
    mended.mx("broken.test", 5, "mx1.b.test");
    server.replace(mended);
    assert_eq!(dns.mx(&domain("broken.test")).await.unwrap(), [mx(5, "mx1.b.test")]);
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
    for octets in [&b""[..], b"x", &[0xff; 12], &[0; 500], b"\0\0\x80\0\0\x01\0\0\0\0\0\0\x01b\0\0\x0f\0\x01"]
    {
        socket.send_to(octets, server.address()).await.unwrap();
    }
    assert!(dns.mx(&domain("b.test")).await.is_ok());
    assert_eq!(server.questions().len(), 1);
    assert_eq!(socket.try_recv(&mut [0; 10]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // Nor does anybody keep it busy by TCP.
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"\0\x05hello").await.unwrap();
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
    let address = server.address();
    drop(server);
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
