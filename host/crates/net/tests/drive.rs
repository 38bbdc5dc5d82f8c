//! The driver and the listeners with toy engines over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_net::{
    Accepted, Connection, Entrance, Gate, Limits, Listener, Network, Patience, Side, Stop, drive, stop,
};
use maitred_tls::{Config, Tls, Trust};
use maitred_wire::{Engine, Handler, OverTls, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Says back each line through its handler; `tls` starts TLS, `quit` closes, `big` sends a megabyte.
#[derive(Default)]
struct Echo {
    held: Vec<u8>,
    out: Vec<Bytes>,
    is_over: bool,
    wants_tls: bool,
    tls: Option<OverTls>,
    is_busy: bool,
    until: Option<Instant>,
}

impl Engine for Echo {
    type Event = String;

    fn input(&mut self, octets: &[u8]) -> usize {
        if octets.is_empty() {
            self.is_over = true;
        }
        // Takes three octets at a time, so that the rest is offered again.
        let piece = &octets[..octets.len().min(3)];
        self.held.extend_from_slice(piece);
        piece.len()
    }

    fn poll(&mut self, now: Instant) -> Step<String> {
        if let Some(out) = self.out.pop() {
            return Step::Send(out);
        }
        if std::mem::take(&mut self.wants_tls) {
            return Step::StartTls;
        }
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            return Step::Send(Bytes::from_static(b"time\n"));
        }
        if let Some(end) = self.held.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            return Step::Event(String::from_utf8(line).unwrap().trim().to_owned());
        }
        if self.is_over { Step::Close } else { Step::Wait { until: self.until } }
    }

    fn secured(&mut self, tls: OverTls) {
        self.held.clear();
        self.tls = Some(tls);
    }

    fn goodbye(&mut self) -> Option<Bytes> {
        (!self.is_busy).then(|| Bytes::from_static(b"bye\n"))
    }
}

struct Answer {
    wake: Arc<Notify>,
    closed: Arc<AtomicUsize>,
}

impl Handler<Echo> for Answer {
    async fn handle(&mut self, engine: &mut Echo, line: String) {
        match line.as_str() {
            "tls" => {
                engine.out.push(Bytes::from_static(b"go\n"));
                engine.wants_tls = true;
            }
            "quit" => engine.is_over = true,
            "big" => engine.out.push(vec![b'x'; 1 << 20].into()),
            "busy" => engine.is_busy = true,
            "soon" => engine.until = Some(Instant::now() + Duration::from_millis(20)),
            _ => engine.out.push(format!("{line} {}\n", engine.tls.is_some()).into()),
        }
    }

    async fn wake(&mut self) {
        self.wake.notified().await;
    }

    async fn woken(&mut self, engine: &mut Echo) {
        engine.out.push(Bytes::from_static(b"woken\n"));
    }

    async fn closed(&mut self, _engine: &mut Echo) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

struct Served {
    address: std::net::SocketAddr,
    wake: Arc<Notify>,
    closed: Arc<AtomicUsize>,
    stopper: maitred_net::Stopper,
    gate: Gate,
    serving: tokio::task::JoinHandle<()>,
    tls: Tls,
    _folder: tempfile::TempDir,
}

fn serve(limits: Limits, entrance: impl FnOnce(&Tls) -> Entrance, patience: Patience) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::open(&Config::default(), "mx.a.test", folder.path()).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let (wake, closed, gate) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)), Gate::new(limits));
    let (stopper, stop) = stop();
    let side = Side::Server(Some(tls.server().clone()));
    let session = {
        let (wake, closed, stop) = (Arc::clone(&wake), Arc::clone(&closed), stop.clone());
        move |accepted: Accepted| {
            let (wake, closed, stop, side) =
                (Arc::clone(&wake), Arc::clone(&closed), stop.clone(), side.clone());
            one(accepted, wake, closed, stop, side, patience)
        }
    };
    let serving = tokio::spawn(listener.serve(entrance(&tls), gate.clone(), stop, session));
    Served { address, wake, closed, stopper, gate, serving, tls, _folder: folder }
}

async fn one(
    accepted: Accepted,
    wake: Arc<Notify>,
    closed: Arc<AtomicUsize>,
    stop: Stop,
    side: Side,
    patience: Patience,
) {
    let mut engine = Echo { tls: accepted.tls, ..Echo::default() };
    engine.out.push(format!("hello {}\n", accepted.remote.ip()).into());
    let mut handler = Answer { wake, closed };
    // How it ended is the tests' matter only where they look.
    let _ = drive(accepted.connection, &mut engine, &mut handler, &side, &stop, patience).await;
}

async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        match stream.read_u8().await {
            Ok(octet) => line.push(octet),
            Err(_) => break,
        }
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn octets_go_in_and_out_in_order_and_the_end_is_told_once() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(hear(&mut client).await, "hello 127.0.0.1\n");
    client.write_all(b"one\ntwo and more\nthree\n").await.unwrap();
    for expected in ["one false\n", "two and more false\n", "three false\n"] {
        assert_eq!(hear(&mut client).await, expected);
    }
    client.write_all(b"big\n").await.unwrap();
    let mut big = vec![0; 1 << 20];
    client.read_exact(&mut big).await.unwrap();
    client.write_all(b"soon\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "time\n");
    served.wake.notify_one();
    assert_eq!(hear(&mut client).await, "woken\n");
    client.write_all(b"quit\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "");
    // One that vanishes.
    let mut gone = TcpStream::connect(served.address).await.unwrap();
    hear(&mut gone).await;
    drop(gone);
    served.stopper.stop();
    served.serving.await.unwrap();
    assert_eq!(served.closed.load(Ordering::SeqCst), 2);
    assert_eq!(served.gate.count(), 0);
}

#[tokio::test]
async fn tls_begins_when_the_engine_says_and_drops_what_was_said_before() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    hear(&mut client).await;
    client.write_all(b"tls\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "go\n");
    let (mut client, _) = served.tls.client().connect(client, "mx.a.test", Trust::Any).await.unwrap();
    client.write_all(b"secret\n").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(hear(&mut client).await, "secret true\n");
    // Said in plaintext behind the command: dropped, never taken for a command (RFC 3207 §4.2).
    let mut client = TcpStream::connect(served.address).await.unwrap();
    hear(&mut client).await;
    client.write_all(b"tls\ninjected\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "go\n");
    let (mut client, _) = served.tls.client().connect(client, "mx.a.test", Trust::Any).await.unwrap();
    client.write_all(b"after\n").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(hear(&mut client).await, "after true\n");
}

#[tokio::test]
async fn implicit_tls_comes_before_the_session() {
    let tls = |tls: &Tls| Entrance { tls: Some(tls.server().clone()), ..Entrance::default() };
    let served = serve(Limits::default(), tls, Patience::default());
    let client = TcpStream::connect(served.address).await.unwrap();
    let (mut client, _) = served.tls.client().connect(client, "mx.a.test", Trust::Any).await.unwrap();
    assert_eq!(hear(&mut client).await, "hello 127.0.0.1\n");
    client.write_all(b"x\n").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(hear(&mut client).await, "x true\n");
}

#[tokio::test]
async fn at_the_stop_the_idle_are_told_and_the_busy_have_some_time() {
    let patience = Patience { stop: Duration::from_millis(100), ..Patience::default() };
    let served = serve(Limits::default(), |_| Entrance::default(), patience);
    let mut idle = TcpStream::connect(served.address).await.unwrap();
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    hear(&mut idle).await;
    hear(&mut busy).await;
    busy.write_all(b"busy\nready\n").await.unwrap();
    assert_eq!(hear(&mut busy).await, "ready false\n");
    served.stopper.stop();
    assert_eq!(hear(&mut idle).await, "bye\n");
    busy.write_all(b"still\n").await.unwrap();
    assert_eq!(hear(&mut busy).await, "still false\n");
    assert_eq!(hear(&mut busy).await, "");
    served.serving.await.unwrap();
    assert_eq!(served.closed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn beyond_the_limit_a_client_is_turned_away_with_a_word() {
    let limits = Limits { connections: 10, connections_per_ip: 1 };
    let served =
        serve(limits, |_| Entrance { turned_away: b"full\n", ..Entrance::default() }, Patience::default());
    let mut first = TcpStream::connect(served.address).await.unwrap();
    hear(&mut first).await;
    let mut second = TcpStream::connect(served.address).await.unwrap();
    assert_eq!((hear(&mut second).await, hear(&mut second).await), ("full\n".to_owned(), String::new()));
    first.write_all(b"quit\n").await.unwrap();
    assert_eq!(hear(&mut first).await, "");
    while served.gate.count() > 0 {
        tokio::task::yield_now().await;
    }
    let mut third = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(hear(&mut third).await, "hello 127.0.0.1\n");
}

#[tokio::test]
async fn a_trusted_proxy_says_who_connected_and_must() {
    let proxies = vec![Network::parse("127.0.0.1").unwrap()];
    let served =
        serve(Limits::default(), |_| Entrance { proxies, ..Entrance::default() }, Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.2 1000 25\r\nafter\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "hello 192.0.2.7\n");
    assert_eq!(hear(&mut client).await, "after false\n");
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"EHLO x\r\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = Listener::bind(first.address()).unwrap_err();
    assert!(error.to_string().contains(&first.address().to_string()), "{error}");
}

#[test]
fn an_idle_session_is_small() {
    fn size<T>(
        _: impl FnOnce(Connection, &'static mut Echo, &'static mut Answer, &'static Side, &'static Stop) -> T,
    ) -> usize {
        std::mem::size_of::<T>()
    }
    let octets = size(|connection, engine, handler, side, stop| {
        drive(connection, engine, handler, side, stop, Patience::default())
    });
    assert!(octets <= 1536, "{octets} octets");
}
