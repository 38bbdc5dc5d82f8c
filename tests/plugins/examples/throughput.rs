//! What bundled filters cost of the real server's SMTP throughput:
//! `cargo run --release --example throughput -p tests-plugins [ROUNDS] [SECONDS] [FILTER,FILTER… …]`, after `cargo build --release`.
//!
//! Beside a server without plugins runs one for each list of filters (by default one with rules, greylist and dnsbl), and each takes its
//! turn in each round: messages of 4 KiB over 10 and 50 connections, pipelined, each client at an address of its own; and the same with a
//! session for each message, as mail comes from the Internet. Greylisting knows the senders already; the lists, served by a DNS of this
//! program, have none of them.
//!
//! In a virtual machine that has just been started, memory that was never touched costs more than what is measured here: fill it once before.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tests_e2e::Server;
use tests_e2e::load::{Times, letter, processor_time, session};

/// So many clients at a time, and whether each message has a session of its own.
const WORK: [(usize, bool); 4] = [(10, false), (50, false), (10, true), (50, true)];
const CLIENTS_MAX: usize = 50;
const ACCOUNTS: usize = 10;
const COMMON: &str = r#"
hostname = "mx.example.test"
data_dir = "data"
[[listener]]
protocol = "smtp"
bind = ["127.0.0.1:0"]
proxy_protocol = ["127.0.0.0/8"]
[log]
filter = "warn"
[limits]
connections_per_ip = 1000
transactions = 10000000
"#;

/// One server, and what it did in each round.
struct Contender {
    name: String,
    server: Server,
    _folder: tempfile::TempDir,
    /// For each kind of work.
    rounds: [Vec<Round>; WORK.len()],
}

/// What one server did in one round.
#[derive(Clone, Copy)]
struct Round {
    /// Messages a second.
    rate: f64,
    /// Processor milliseconds a message.
    processor: f64,
    p99: Duration,
    /// Messages that went to the disk together.
    gathered: f64,
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let lists = arguments.split_off(arguments.len().min(2));
    let number = |at: usize, otherwise| arguments.get(at).map_or(Ok(otherwise), |word| word.parse::<u64>());
    let (rounds, seconds) = (number(0, 7)?, number(1, 4)?);
    let dns = serve_dns()?;
    let mut contenders = vec![Contender::start("", dns)?];
    let lists = if lists.is_empty() { vec!["rules,greylist,dnsbl".to_owned()] } else { lists };
    for list in &lists {
        contenders.push(Contender::start(list, dns)?);
    }
    println!(
        "{rounds} rounds of {seconds} s, in turns; messages/s, processor ms a message, p99 ms, messages a sync"
    );
    for round in 0..=rounds {
        for (at, work) in WORK.into_iter().enumerate() {
            for contender in &mut contenders {
                let measured = contender.run(work, Duration::from_secs(seconds))?;
                // The first makes what is made once.
                if round > 0 {
                    contender.rounds[at].push(measured);
                }
            }
        }
    }
    for (at, (clients, has_sessions)) in WORK.into_iter().enumerate() {
        println!(
            "{clients} clients, {}",
            if has_sessions { "a session for each message" } else { "a session each" }
        );
        let bare = contenders[0].rounds[at].clone();
        for contender in &contenders {
            let own = &contender.rounds[at];
            let middle = |of: fn(&Round) -> f64| median(own.iter().map(of).collect());
            let ratio = |of: fn(&Round) -> f64| {
                median(own.iter().zip(&bare).map(|(own, bare)| of(own) / of(bare)).collect())
            };
            println!(
                "  {:<28} {:>6.0}/s {:.3} ms {:>5.1} ms {:>4.1}; to none: rate x{:.3}, processor x{:.3}",
                contender.name,
                middle(|round| round.rate),
                middle(|round| round.processor),
                middle(|round| round.p99.as_secs_f64() * 1e3),
                middle(|round| round.gathered),
                ratio(|round| round.rate),
                ratio(|round| round.processor),
            );
        }
    }
    Ok(())
}

impl Contender {
    /// A server with these filters, whose senders are no strangers.
    fn start(list: &str, dns: u16) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("maitred.toml");
        let mut text = format!("{COMMON}[dns]\nservers = [\"127.0.0.1:{dns}\"]\n");
        for filter in list.split(',').filter(|filter| !filter.is_empty()) {
            text.push_str(settings(filter)?);
        }
        std::fs::write(&config, text)?;
        let server = Server::start(&config)?;
        let people: Vec<String> = (0..ACCOUNTS).map(|number| format!("user{number}")).collect();
        server.furnish("example.test", &people.iter().map(String::as_str).collect::<Vec<_>>())?;
        if !list.split(',').any(|filter| filter == "rules") {
            server.told(&["plugin", "disable", "rules"])?;
        }
        let name = if list.is_empty() { "none" } else { list }.to_owned();
        let contender = Self { name, server, _folder: folder, rounds: Default::default() };
        for number in 0..CLIENTS_MAX {
            let began = Instant::now();
            while !contender.deliver((number, false), Instant::now())?.1 {
                ensure!(began.elapsed() < Duration::from_secs(30), "greylisted for ever");
            }
        }
        Ok(contender)
    }

    fn run(&self, (clients, has_sessions): (usize, bool), length: Duration) -> Result<Round> {
        let synced = self.syncs()?;
        let (began, computed) = (Instant::now(), processor_time(self.server.pid())?);
        let times = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..clients)
                .map(|number| scope.spawn(move || self.deliver((number, has_sessions), began + length)))
                .collect();
            clients.into_iter().try_fold(Times::default(), |mut all, client| {
                let (times, is_taken) = client.join().ok().context("a client panicked")??;
                ensure!(is_taken, "a message was refused");
                all.join(times);
                anyhow::Ok(all)
            })
        })?;
        let (elapsed, computed) = (began.elapsed(), processor_time(self.server.pid())? - computed);
        let count = times.count() as f64;
        Ok(Round {
            rate: count / elapsed.as_secs_f64(),
            processor: computed.as_secs_f64() * 1e3 / count,
            p99: times.at(990),
            gathered: count / (self.syncs()? - synced).max(1) as f64,
        })
    }

    /// So often it has synced its log.
    fn syncs(&self) -> Result<u64> {
        let told = self.server.told(&["store", "stats"])?;
        let count = told.split(", ").find_map(|part| part.strip_suffix(" syncs"));
        Ok(count.context("no syncs are told")?.parse()?)
    }

    /// One client, until then; at least one message. Whether all were taken.
    fn deliver(&self, (number, has_sessions): (usize, bool), until: Instant) -> Result<(Times, bool)> {
        let client = format!("198.51.{number}.1");
        let connect = || session(self.server.port("smtp"), &client);
        let mut talk = connect()?;
        let (from, to) =
            (format!("sender{number}@c.test"), format!("user{}@example.test", number % ACCOUNTS));
        let (mut times, mut count, message) = (Times::default(), 0_u64, letter("lunch on Thursday", 4096));
        loop {
            let reply = times.of(|| {
                if has_sessions && count > 0 {
                    talk.smtp("QUIT")?;
                    talk = connect()?;
                }
                talk.pipeline(&from, &to, &message)
            })?;
            count += 1;
            if !reply.starts_with("250") {
                return Ok((times, false));
            }
            if Instant::now() >= until {
                return Ok((times, true));
            }
        }
    }
}

/// As a site would have it.
fn settings(filter: &str) -> Result<&'static str> {
    Ok(match filter {
        "rules" => "[[plugin]]\nname = \"rules\"\norder = 60\n",
        "greylist" => {
            "[[plugin]]\nname = \"greylist\"\norder = 40\ngrants = [\"store\"]\nconfig = { delay = \"100ms\" }\n"
        }
        "dnsbl" => {
            "[[plugin]]\nname = \"dnsbl\"\norder = 20\ngrants = [\"dns\"]\nlimits = { time = \"5s\" }\n[plugin.config]\nreject = 5.0\n\
             lists = [{ zone = \"zen.list.test\", weight = 5.0 }, { zone = \"white.list.test\", weight = -4.0 }]\n\
             domain_lists = [{ zone = \"dbl.list.test\", weight = 3.0 }]\n"
        }
        "rate-limit" => {
            "[[plugin]]\nname = \"rate-limit\"\norder = 10\ngrants = [\"store\"]\n[plugin.config]\nlimits = [\
             { per = \"ip\", what = \"connections\", limit = 100000, every = \"1m\" }, \
             { per = \"ip\", what = \"messages\", limit = 100000000, every = \"1h\", whom = \"strangers\" }]\n"
        }
        other => bail!("{other}: rules, greylist, dnsbl or rate-limit"),
    })
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or_default()
}

/// The SOA of `test`, for 300 s: without one nobody may remember that a name is not there (RFC 2308 §5).
const AUTHORITY: &[u8] = b"\x04test\0\0\x06\0\x01\0\0\x01\x2c\0\x16\0\0\0\0\0\x01\0\0\x0e\x10\0\0\x02\x58\0\x01\x51\x80\0\0\x01\x2c";

/// A DNS that knows nobody: NXDOMAIN to every question.
fn serve_dns() -> Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let port = socket.local_addr()?.port();
    std::thread::spawn(move || {
        let mut packet = [0; 1 << 10];
        while let Ok((octets, client)) = socket.recv_from(&mut packet) {
            let Some(question) = packet.get(12..octets) else { continue };
            // A name of labels, its type and class (RFC 1035 §4.1.2); what stands behind is left out.
            let name = question.iter().position(|octet| *octet == 0).unwrap_or_default();
            let question = question.get(..name + 5).unwrap_or_default();
            let head = [packet[0], packet[1], 0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0];
            // Who does not hear it asks again.
            let _ = socket.send_to(&[&head, question, AUTHORITY].concat(), client);
        }
    });
    Ok(port)
}
