//! The driver and the listeners with toy engines over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maitred_net::{
    Accepted, Connection, DriveError, Entrance, Gate, Limits, Listener, Network, Patience, Side, Stop, drive,
    stop,
};
use maitred_tls::{Config, Tls, Trust};
use maitred_wire::{Engine, Handler, OverTls, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Says back each line through its handler; `tls` starts TLS, `quit` closes, `big` sends a megabyte, and so on: see
/// [`Answer::handle`].
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

/// What the tests look at.
#[derive(Clone, Default)]
struct World {
    wake: Arc<Notify>,
    /// For each session that was closed: whether its engine knew of the end.
    closed: Arc<Mutex<Vec<bool>>>,
    /// How each drive ended.
    ended: Arc<Mutex<Vec<Result<(), DriveError>>>>,
    /// Something of the above came.
    news: Arc<Notify>,
}

impl World {
    fn closed(&self) -> usize {
        self.closed.lock().unwrap().len()
    }

    /// The end of the next drive.
    async fn end(&self) -> Result<(), DriveError> {
        loop {
            if let Some(end) = self.ended.lock().unwrap().pop() {
                return end;
            }
            self.news.notified().await;
        }
    }
}

struct Answer(World);

impl Handler<Echo> for Answer {
    async fn handle(&mut self, engine: &mut Echo, line: String) {
        match line.as_str() {
            "tls" => {
                engine.out.push(Bytes::from_static(b"go\n"));
                engine.wants_tls = true;
            }
            "quit" => {
                engine.out.push(Bytes::from_static(b"over\n"));
                engine.is_over = true;
            }
            "huge" => engine.out.push(vec![b'x'; 32 << 20].into()),
            "panic" => panic!("asked for"),
            "hang" => std::future::pending().await,
            "big" => engine.out.push(vec![b'x'; 1 << 20].into()),
            "busy" => engine.is_busy = true,
            "soon" => engine.until = Some(Instant::now() + Duration::from_millis(20)),
            _ => engine.out.push(format!("{line} {}\n", engine.tls.is_some()).into()),
        }
    }

    async fn wake(&mut self) {
        self.0.wake.notified().await;
    }

    async fn woken(&mut self, engine: &mut Echo) {
        engine.out.push(Bytes::from_static(b"woken\n"));
    }

    async fn closed(&mut self, engine: &mut Echo) {
        self.0.closed.lock().unwrap().push(engine.is_over);
    }
}

struct Served {
    address: std::net::SocketAddr,
    world: World,
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
    let (world, gate) = (World::default(), Gate::new(limits));
    let (stopper, stop) = stop();
    let side = Side::Server(Some(tls.server().clone()));
    let session = {
        let (world, stop) = (world.clone(), stop.clone());
        move |accepted: Accepted| one(accepted, world.clone(), stop.clone(), side.clone(), patience)
    };
    let entrance = Entrance { patience, ..entrance(&tls) };
    let serving = tokio::spawn(listener.serve(entrance, gate.clone(), stop, session));
    Served { address, world, stopper, gate, serving, tls, _folder: folder }
}

async fn one(accepted: Accepted, world: World, stop: Stop, side: Side, patience: Patience) {
    let mut engine = Echo { tls: accepted.tls, ..Echo::default() };
    engine.out.push(format!("hello {}\n", accepted.remote.ip()).into());
    let mut handler = Answer(world.clone());
    let ended = drive(accepted.connection, &mut engine, &mut handler, &side, &stop, patience).await;
    world.ended.lock().unwrap().push(ended);
    world.news.notify_one();
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
    served.world.wake.notify_one();
    assert_eq!(hear(&mut client).await, "woken\n");
    client.write_all(b"quit\n").await.unwrap();
    assert_eq!(hear(&mut client).await, "over\n");
    assert_eq!(hear(&mut client).await, "");
    drop(client);
    // One that vanishes.
    let mut gone = TcpStream::connect(served.address).await.unwrap();
    hear(&mut gone).await;
    drop(gone);
    served.stopper.stop();
    served.serving.await.unwrap();
    assert_eq!(served.world.closed(), 2);
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
    assert_eq!(served.world.closed(), 2);
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
    assert_eq!(hear(&mut first).await, "over\n");
    assert_eq!(hear(&mut first).await, "");
    drop(first);
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

#[tokio::test]
async fn a_peer_that_does_not_read_is_left() {
    let patience = Patience { write: Duration::from_millis(50), ..Patience::default() };
    let served = serve(Limits::default(), |_| Entrance::default(), patience);
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"huge\n").await.unwrap();
    assert!(matches!(served.world.end().await, Err(DriveError::Slow)));
    assert_eq!(served.world.closed(), 1);
}

#[tokio::test]
async fn a_peer_that_does_not_read_does_not_hold_up_the_stop() {
    let patience = Patience { stop: Duration::from_millis(50), ..Patience::default() };
    let served = serve(Limits::default(), |_| Entrance::default(), patience);
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"huge\n").await.unwrap();
    let mut some = [0; 100];
    client.read_exact(&mut some).await.unwrap();
    served.stopper.stop();
    served.serving.await.unwrap();
    assert_eq!(served.world.closed(), 1);
}

#[tokio::test]
async fn a_panic_ends_its_session_alone_and_is_told_to_its_handler() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut bad = TcpStream::connect(served.address).await.unwrap();
    let mut good = TcpStream::connect(served.address).await.unwrap();
    bad.write_all(b"panic\n").await.unwrap();
    assert_eq!((hear(&mut bad).await, hear(&mut bad).await), ("hello 127.0.0.1\n".into(), String::new()));
    drop(bad);
    assert!(matches!(served.world.end().await, Err(DriveError::Broken(_))));
    assert_eq!(served.world.closed(), 1);
    good.write_all(b"x\n").await.unwrap();
    assert_eq!(
        (hear(&mut good).await, hear(&mut good).await),
        ("hello 127.0.0.1\n".into(), "x false\n".into())
    );
}

#[tokio::test]
async fn a_session_that_hangs_does_not_hold_up_the_stop() {
    let patience = Patience { stop: Duration::from_millis(20), ..Patience::default() };
    let served = serve(Limits::default(), |_| Entrance::default(), patience);
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"x\nhang\n").await.unwrap();
    hear(&mut client).await;
    assert_eq!(hear(&mut client).await, "x false\n");
    served.stopper.stop();
    served.serving.await.unwrap();
    assert_eq!(served.world.closed(), 0);
}

#[tokio::test]
async fn last_words_survive_what_was_not_read() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"quit\n").await.unwrap();
    client.write_all(&[b'x'; 300_000]).await.unwrap();
    assert_eq!(hear(&mut client).await, "hello 127.0.0.1\n");
    assert_eq!(hear(&mut client).await, "over\n");
    client.write_all(b"and more\n").await.unwrap();
    assert_eq!(client.read(&mut [0; 10]).await.unwrap(), 0);
}

#[tokio::test]
async fn half_a_connection_is_still_answered() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    client.write_all(b"one\ntwo\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello 127.0.0.1\none false\ntwo false\n");
    assert!(served.world.end().await.is_ok());
}

#[tokio::test]
async fn the_engine_hears_of_a_reset_and_its_handler_once() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let mut client = TcpStream::connect(served.address).await.unwrap();
    hear(&mut client).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert!(matches!(served.world.end().await, Err(DriveError::Io(_))));
    assert_eq!(*served.world.closed.lock().unwrap(), [true]);
}

/// The client's side: asks for TLS, says a word, keeps what it heard.
#[derive(Default)]
struct Ask {
    heard: String,
    stage: u8,
    tls: Option<OverTls>,
}

impl Engine for Ask {
    type Event = ();

    fn input(&mut self, octets: &[u8]) -> usize {
        self.heard.push_str(std::str::from_utf8(octets).unwrap());
        octets.len()
    }

    fn poll(&mut self, _now: Instant) -> Step<()> {
        let lines = self.heard.matches('\n').count();
        self.stage += 1;
        match (self.stage, lines) {
            (1, 1) => Step::Send(Bytes::from_static(b"tls\n")),
            (2, 2) => Step::StartTls,
            (3, 2) => Step::Send(Bytes::from_static(b"secret\n")),
            (4, 3) => Step::Event(()),
            (5, 3) => Step::Close,
            _ => {
                self.stage -= 1;
                Step::Wait { until: None }
            }
        }
    }

    fn secured(&mut self, tls: OverTls) {
        self.tls = Some(tls);
    }
}

struct Count(usize);

impl Handler<Ask> for Count {
    async fn handle(&mut self, _engine: &mut Ask, _event: ()) {
        self.0 += 1;
    }
}

#[tokio::test]
async fn a_client_is_driven_the_same_way() {
    let served = serve(Limits::default(), |_| Entrance::default(), Patience::default());
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut engine, mut handler) = (Ask::default(), Count(0));
    let tls = served.tls.client().clone();
    let side = Side::Client { tls, server_name: "mx.a.test".into(), trust: Trust::Any };
    // Its stopper is gone: that stops nobody.
    let (_, stop) = stop();
    let connection = Connection::Plain(stream);
    drive(connection, &mut engine, &mut handler, &side, &stop, Patience::default()).await.unwrap();
    assert_eq!(engine.heard, "hello 127.0.0.1\ngo\nsecret true\n");
    assert_eq!(handler.0, 1);
    assert!(engine.tls.is_some_and(|tls| tls.version == "TLSv1.3" && !tls.is_verified));
}

#[tokio::test]
async fn ipv6_addresses_are_for_ipv6_alone() {
    // A machine may have no IPv6.
    let Ok(six) = Listener::bind("[::]:0".parse().unwrap()) else { return };
    Listener::bind((std::net::Ipv4Addr::UNSPECIFIED, six.address().port()).into()).unwrap();
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
