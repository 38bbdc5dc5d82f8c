//! The pages, on a loopback port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use maitred_admin::http::{HttpFacts, MailService, Metric, MetricKind, Security, Service, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
pub(super) struct Facts {
    is_ready: AtomicBool,
}

impl HttpFacts for Facts {
    fn ready(&self) -> Result<(), String> {
        if self.is_ready.load(Ordering::Relaxed) { Ok(()) } else { Err("the store is full".to_owned()) }
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![Metric {
            name: "maitred_sessions".to_owned(),
            help: "Sessions.".to_owned(),
            kind: MetricKind::Gauge,
            value: 2.0,
            labels: Vec::new(),
        }]
    }

    fn services(&self) -> Vec<MailService> {
        vec![MailService { service: Service::Imap, port: 2993, security: Security::Tls }]
    }

    fn hostname(&self) -> String {
        "mx.a.test".to_owned()
    }

    fn is_local(&self, domain: &str) -> bool {
        domain == "a.test"
    }
}

async fn start() -> (SocketAddr, Arc<Facts>) {
    let facts = Arc::new(Facts::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(Arc::clone(&facts) as Arc<dyn HttpFacts>);
    tokio::spawn(serve(listener, router, std::future::pending()));
    (address, facts)
}

pub(super) async fn say(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn page(address: SocketAddr, path: &str, host: &str) -> String {
    say(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn health_is_of_the_process_and_readiness_of_the_mail() {
    let (address, facts) = start().await;
    assert!(page(address, "/healthz", "x").await.starts_with("HTTP/1.1 200 "));
    let not_ready = page(address, "/readyz", "x").await;
    assert!(
        not_ready.starts_with("HTTP/1.1 503 ") && not_ready.ends_with("the store is full\n"),
        "{not_ready}"
    );
    facts.is_ready.store(true, Ordering::Relaxed);
    assert!(page(address, "/readyz", "x").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn figures_are_in_the_format_of_prometheus() {
    let (address, _) = start().await;
    let metrics = page(address, "/metrics", "x").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.ends_with("# TYPE maitred_sessions gauge\nmaitred_sessions 2\n"), "{metrics}");
}

#[tokio::test]
async fn settings_are_given_for_domains_of_ours_alone() {
    let (address, _) = start().await;
    let at_address = page(address, "/mail/config-v1.1.xml?emailaddress=bob%40A.test", "localhost:2080").await;
    assert!(at_address.contains("<emailProvider id=\"a.test\">"), "{at_address}");
    assert!(at_address.contains("<socketType>SSL</socketType>"), "{at_address}");
    let well_known = "/.well-known/autoconfig/mail/config-v1.1.xml";
    for host in ["a.test", "autoconfig.a.test", "a.test:2080"] {
        assert!(page(address, well_known, host).await.contains("<port>2993</port>"), "{host}");
    }
    assert!(page(address, well_known, "b.test").await.starts_with("HTTP/1.1 404 "));
    let other = page(address, &format!("{well_known}?emailaddress=bob@b.test"), "a.test").await;
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
}

#[tokio::test]
async fn nothing_can_be_commanded_here() {
    let (address, _) = start().await;
    assert!(page(address, "/api/accounts", "x").await.starts_with("HTTP/1.1 404 "));
    let posted = "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    assert!(say(address, posted).await.starts_with("HTTP/1.1 405 "));
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before all of it is taken.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
}
