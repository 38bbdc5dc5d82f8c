//! What policy costs, side by side in one run: `cargo run --release --example bench -p tests-plugins [SECONDS]`.
//!
//! Calls of plugins (each in a fresh instance) on messages of 4 and 100 KiB, alone and from 16 tasks; beside them a milter-shaped
//! conversation and an HTTP hook that carries the message, both over loopback with a server that does nothing else; how soon a runaway
//! plugin is stopped; and what a swap from the cache takes. Each is measured in turns with the others, so that what else the machine
//! does falls on all of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_plugin_host::{Bundled, Config, Nowhere, PluginConfig, PluginHost};
use maitred_policy::{Chain, Direction, HookCall, MessageFacts, Peer, Registry, SessionFacts};
use tests_plugins::EVIL;

const ROUNDS: usize = 40;
const CALLS: usize = 100;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let small = host(folder.path(), "demo-filter", component("demo-filter")?, serde_json::json!({})).await?;
    let rules = host(folder.path(), "rules", component("rules")?, serde_json::json!({})).await?;
    let real = serde_json::json!({"rules": [
        {"name": "a", "when": {"subject": r"regex:(?i)\b(casino|lottery|viagra)\b"}, "action": "refuse"},
        {"name": "b", "when": {"content": r"regex:(?i)wire\s+transfer|urgent\s+reply"}, "action": "quarantine"},
        {"name": "c", "when": {"sender": r"regex:^bounce-[0-9]+@", "larger": 1_000_000}, "action": "tag"},
    ]});
    let regexes = host(folder.path(), "rules", component("rules")?, real).await?;
    let (milter, http) = (serve(milter_server)?, serve(http_server)?);

    println!("{ROUNDS} rounds of {CALLS}, in turns; microseconds: median (p10, p99)");
    for octets in [4 << 10, 100 << 10] {
        let facts = Arc::new((session(), message(octets)?));
        let mut rows: Vec<(&str, Vec<Duration>)> =
            ["small plugin", "rules, built-in", "rules, regexes", "milter-shaped", "HTTP hook"]
                .map(|n| (n, Vec::new()))
                .into();
        let mut milter = Milter::connect(milter)?;
        let mut http = Http::connect(http)?;
        for _ in 0..ROUNDS {
            for (row, host) in [&small, &rules, &regexes].into_iter().enumerate() {
                let chain = host.chain();
                for _ in 0..CALLS {
                    rows[row].1.push(timed(ask(&chain, &facts)).await?);
                }
            }
            for _ in 0..CALLS / 5 {
                let began = Instant::now();
                milter.message(&facts.1.head, &body(octets))?;
                rows[3].1.push(began.elapsed());
                let began = Instant::now();
                http.message(&facts.1.head, &body(octets))?;
                rows[4].1.push(began.elapsed());
            }
        }
        println!("\nmessage of {} KiB, one at a time", octets >> 10);
        for (name, times) in &mut rows {
            println!("  {name:<18} {}", shown(times));
        }
        for (name, host) in
            [("small plugin", &small), ("rules, built-in", &rules), ("rules, regexes", &regexes)]
        {
            let (times, rate) = from_tasks(host, &facts, 16).await?;
            println!("  {name:<18} {} from 16 tasks: {rate:.0} messages/s", shown(&mut times.clone()));
        }
    }
    runaway(folder.path()).await?;
    swap(folder.path()).await
}

async fn ask(chain: &Chain, facts: &(SessionFacts, MessageFacts)) -> Result<()> {
    let outcome = chain.ask(&facts.0, HookCall::Message(&facts.1)).await;
    ensure!(outcome.said.iter().all(|said| said.fault.is_none()), "{:?}", outcome.said);
    Ok(())
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed())
}

async fn from_tasks(
    host: &Arc<PluginHost>,
    facts: &Arc<(SessionFacts, MessageFacts)>,
    tasks: usize,
) -> Result<(Vec<Duration>, f64)> {
    let began = Instant::now();
    let calls: Vec<_> = (0..tasks)
        .map(|_| {
            let (host, facts) = (Arc::clone(host), Arc::clone(facts));
            tokio::spawn(async move {
                let chain = host.chain();
                let mut times = Vec::new();
                for _ in 0..ROUNDS * CALLS / 4 {
                    times.push(timed(ask(&chain, &facts)).await?);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for call in calls {
        times.extend(call.await??);
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    Ok((times, rate))
}

/// A plugin that never ends, with 50 ms.
async fn runaway(folder: &Path) -> Result<()> {
    let mut plugin = PluginConfig::named("evil");
    plugin.limits.time = Duration::from_millis(50);
    // Loaded anew for each call: one that fails so often is not asked any more.
    let mut late = Vec::new();
    for _ in 0..15 {
        let host = start(folder, vec![plugin.clone()], Box::leak(Box::new([bundled("evil", EVIL)]))).await?;
        let looping = MessageFacts { head: Bytes::from_static(b"Subject: loop\r\n"), ..message(1 << 10)? };
        let began = Instant::now();
        let outcome = host.chain().ask(&session(), HookCall::Message(&looping)).await;
        let fault = outcome.said.first().and_then(|said| said.fault.clone());
        ensure!(matches!(fault, Some(maitred_policy::Fault::Time(_))), "{fault:?}");
        late.push(began.elapsed().saturating_sub(Duration::from_millis(50)));
    }
    println!("\na runaway plugin is stopped after its 50 ms and {}", shown(&mut late));
    Ok(())
}

/// From one version to the other and back, both compiled before; and what a call takes meanwhile.
async fn swap(folder: &Path) -> Result<()> {
    let state = folder.join("swaps");
    let config = Config { directory: Some(state.join("plugins")), state: state.clone(), plugins: Vec::new() };
    let host = PluginHost::start(config, &[], Arc::new(Nowhere)).await?;
    let mut files = Vec::new();
    for (number, component) in maitred_bundled::DEMO.iter().enumerate() {
        let file = folder.join(format!("demo-{number}.wasm"));
        std::fs::write(&file, component.octets)?;
        host.load(Some("filter".to_owned()), &file).await?;
        files.push(file);
    }
    let mut times = Vec::new();
    for round in 0..50 {
        let file = files.get(round % 2).context("a file")?;
        let began = Instant::now();
        host.load(Some("filter".to_owned()), file).await?;
        times.push(began.elapsed());
    }
    println!("a swap from the cache takes {}, its file synced to disk", shown(&mut times));
    let mut times = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        host.rollback("filter", None).await?;
        times.push(began.elapsed());
    }
    println!("a rollback takes {}, its file synced to disk", shown(&mut times));
    Ok(())
}

fn shown(times: &mut [Duration]) -> String {
    times.sort();
    let at = |percent: usize| {
        times.get(times.len() * percent / 100).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    format!("{:.1} ({:.1}, {:.1}) us", at(50), at(10), at(99))
}

fn bundled(name: &'static str, component: &'static [u8]) -> Bundled {
    Bundled { name, component, is_default: true }
}

fn component(name: &str) -> Result<&'static [u8]> {
    let mut all = maitred_bundled::PLUGINS.iter().chain(maitred_bundled::DEMO);
    Ok(all.find(|component| component.name == name).context("a bundled component")?.octets)
}

async fn host(
    folder: &Path,
    name: &'static str,
    component: &'static [u8],
    config: serde_json::Value,
) -> Result<Arc<PluginHost>> {
    let plugin = PluginConfig { config, ..PluginConfig::named(name) };
    start(folder, vec![plugin], Box::leak(Box::new([bundled(name, component)]))).await
}

async fn start(
    folder: &Path,
    plugins: Vec<PluginConfig>,
    bundled: &'static [Bundled],
) -> Result<Arc<PluginHost>> {
    let config = Config { directory: None, state: folder.join("state"), plugins };
    Ok(PluginHost::start(config, bundled, Arc::new(Nowhere)).await?)
}

fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("client.example".to_owned()),
        ..SessionFacts::internal(Timestamp(0))
    }
}

fn body(octets: usize) -> Vec<u8> {
    b"Some words of a letter that nobody has to read.\r\n".iter().copied().cycle().take(octets).collect()
}

fn message(octets: usize) -> Result<MessageFacts> {
    let recipients = vec![Recipient { address: Address::parse("bob@a.test")?, original: None }];
    let reverse_path = ReversePath::Address(Address::parse("alice@b.test")?);
    let mut head = "Received: from a by b; Thu, 01 Jan 1970 00:00:00 +0000\r\nSubject: lunch\r\nFrom: a@b.test\r\nTo: bob@a.test\r\n".to_owned();
    for number in 0..16 {
        head.push_str(&format!("X-Field-{number}: a value as fields have\r\n"));
    }
    Ok(MessageFacts {
        id: MessageId(1),
        envelope: Envelope { reverse_path, parameters: MailParameters::default(), recipients },
        head: head.into(),
        body: Arc::new(Bytes::from(body(octets))),
        original: None,
        symbols: Vec::new(),
        tags: Vec::new(),
    })
}

/// A server on loopback, a thread a connection.
fn serve(conversation: fn(TcpStream) -> std::io::Result<()>) -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || conversation(stream));
        }
    });
    Ok(address)
}

/// The packets of a milter (version 6, no replies wanted to what needs none): each is a length, a letter and octets.
struct Milter(TcpStream);

impl Milter {
    fn connect(to: std::net::SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// MAIL, RCPT, DATA, all fields, end of header, the body in pieces of 64 KiB, end: replies to MAIL, RCPT, DATA, end of header,
    /// each piece and the end.
    fn message(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        for letter in [b'M', b'R', b'T'] {
            self.packet(letter, b"<alice@b.test>\0")?;
            self.reply()?;
        }
        for line in head.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            self.packet(b'L', line)?;
        }
        self.packet(b'N', b"")?;
        self.reply()?;
        for piece in body.chunks(64 << 10) {
            self.packet(b'B', piece)?;
            self.reply()?;
        }
        self.packet(b'E', b"")?;
        self.reply()
    }

    fn packet(&mut self, letter: u8, octets: &[u8]) -> Result<()> {
        let length = u32::try_from(octets.len() + 1)?;
        let packet = [&length.to_be_bytes()[..], &[letter], octets].concat();
        Ok(self.0.write_all(&packet)?)
    }

    fn reply(&mut self) -> Result<()> {
        let mut reply = [0; 5];
        self.0.read_exact(&mut reply)?;
        ensure!(reply[4] == b'c', "a reply");
        Ok(())
    }
}

fn milter_server(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap_or(0)];
        stream.read_exact(&mut packet)?;
        // Of single fields nobody wants a reply.
        if packet.first() != Some(&b'L') {
            stream.write_all(&[0, 0, 0, 1, b'c'])?;
        }
    }
}

/// One POST with the message as JSON, on a connection that stays.
struct Http(TcpStream);

impl Http {
    fn connect(to: std::net::SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    fn message(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        let content = serde_json::to_vec(&serde_json::json!({
            "envelope": { "from": "alice@b.test", "to": ["bob@a.test"] },
            "headers": String::from_utf8_lossy(head),
            "contents": String::from_utf8_lossy(body),
        }))?;
        let request = format!("POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len());
        self.0.write_all(&[request.as_bytes(), &content].concat())?;
        let mut reply = [0; HTTP_REPLY.len()];
        self.0.read_exact(&mut reply)?;
        ensure!(reply == *HTTP_REPLY, "a reply");
        Ok(())
    }
}

const HTTP_REPLY: &[u8; 58] = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"action\":\"accept\"}";

fn http_server(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut octets = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            read_some(&mut stream, &mut octets)?;
        };
        let head = String::from_utf8_lossy(octets.get(..end).unwrap_or_default()).into_owned();
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        while octets.len() < end + length.unwrap_or(0) {
            read_some(&mut stream, &mut octets)?;
        }
        let content: serde_json::Value = serde_json::from_slice(octets.get(end..).unwrap_or_default())?;
        std::hint::black_box(content);
        octets.clear();
        stream.write_all(HTTP_REPLY)?;
    }
}

fn read_some(stream: &mut TcpStream, octets: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 64 << 10];
    let count = stream.read(&mut piece)?;
    if count == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    octets.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(())
}
