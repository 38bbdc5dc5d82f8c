//! How plugins that misbehave in some sessions weigh on the others, at the real server over SMTP and IMAP:
//! `cargo run --release --example neighbours -p tests-plugins [ROUNDS] [SECONDS] [BAD SESSIONS] [PAUSE MS] [MISDEED…]`, after
//! `cargo build --release`.
//!
//! In each round the bad sessions first give the plugin messages at which it misbehaves, all its ways by turns, then as many at the
//! same pace at which it does not. The others' replies are timed in both. The bad ones are clients of two networks, so that the circuit
//! breaker never spares the server anything.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests_e2e::Server;
use tests_e2e::load::{Times, letter, processor_time, resident, session};
use tests_e2e::talk::Talk;
use tests_plugins::{EVIL, MISDEEDS, PROBE};

/// What takes too long to be tried among the faults, and what the probe does.
const MORE: [&str; 2] = ["middle", "table"];
const CONFIG: &str = r#"
[[listener]]
protocol = "smtp"
bind = ["127.0.0.1:0"]
proxy_protocol = ["127.0.0.0/8"]
[[listener]]
protocol = "imap"
bind = ["127.0.0.1:0"]
[log]
filter = "error"
[auth]
allow_plaintext = true
[limits]
connections_per_ip = 1000
refusals = 1000000
transactions = 1000000
[[plugin]]
name = "evil"
path = "evil.wasm"
on_error = "next"
[[plugin]]
name = "probe"
path = "probe.wasm"
grants = ["store", "dns", "directory", "submit", "authentication", "http:https://api.a.test"]
on_error = "tempfail"
limits = { table = "64KiB" }
config = { "message:table" = ["flood:150"] }
"#;
/// Sessions of each kind that are timed, and how long each rests between two letters or commands.
const SESSIONS: usize = 4;
const REST: Duration = Duration::from_millis(25);

struct Phase {
    smtp: Times,
    noop: Times,
    fetch: Times,
    bad: Times,
    computed: Duration,
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let misdeeds = arguments.split_off(arguments.len().min(4));
    let misdeeds = if misdeeds.is_empty() {
        MISDEEDS.iter().chain(&MORE).map(|&misdeed| misdeed.to_owned()).collect()
    } else {
        misdeeds
    };
    let mut arguments = arguments.iter().map(|word| word.parse::<u64>());
    let mut number = |otherwise| arguments.next().unwrap_or(Ok(otherwise));
    let (rounds, seconds, bad, pause) = (number(20)?, number(2)?, number(8)?, number(400)?);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("evil.wasm"), EVIL)?;
    std::fs::write(folder.path().join("probe.wasm"), PROBE)?;
    let config = folder.path().join("maitred.toml");
    std::fs::write(&config, format!("hostname = \"mx.example.test\"\ndata_dir = \"data\"\n{CONFIG}"))?;
    let server = Server::start(&config)?;
    server.furnish("example.test", &["alice", "bob", "carol"])?;
    let load =
        Load { server: &server, bad: usize::try_from(bad)?, pause: Duration::from_millis(pause), misdeeds };
    session(server.port("smtp"), "192.0.2.1")?.pipeline(
        "a@c.test",
        "carol@example.test",
        &letter("x", 4096),
    )?;
    let length = Duration::from_secs(seconds);
    // What is made once is made.
    load.run(true, length)?;
    println!(
        "{rounds} rounds of {seconds} s; {bad} bad sessions, {pause} ms between two messages of each; {SESSIONS} others of each kind"
    );
    println!(
        "milliseconds: p50, p99, longest of replies of the good while others misbehave | while all behave"
    );
    let (mut ratios, mut all) = (Vec::new(), Vec::new());
    let before = resident(server.pid())?;
    for round in 1..=rounds {
        let phases = [load.run(true, length)?, load.run(false, length)?];
        let [evil, good] = &phases;
        println!(
            "round {round}: SMTP {} | {}; NOOP {} | {}; FETCH {} | {}; bad calls {} | {}; CPU {:.1} | {:.1} s; {} MiB resident",
            shown(&evil.smtp),
            shown(&good.smtp),
            shown(&evil.noop),
            shown(&good.noop),
            shown(&evil.fetch),
            shown(&good.fetch),
            evil.bad.count(),
            good.bad.count(),
            evil.computed.as_secs_f64(),
            good.computed.as_secs_f64(),
            resident(server.pid())? >> 10
        );
        ratios.push(
            [|p: &Phase| p.smtp.at(990), |p: &Phase| p.noop.at(990), |p: &Phase| p.fetch.at(990)]
                .map(|p99| p99(evil).as_secs_f64() / p99(good).as_secs_f64()),
        );
        all.push(phases);
    }
    summarize(&ratios, &all);
    println!("memory: {before} KiB, then {} KiB", resident(server.pid())?);
    Ok(())
}

/// What all rounds come to: for each kind of reply, p99 with and without misbehaviour.
fn summarize(ratios: &[[f64; 3]], all: &[[Phase; 2]]) {
    for (kind, name) in ["SMTP", "NOOP", "FETCH"].into_iter().enumerate() {
        let mut of: Vec<f64> = ratios.iter().map(|round| round[kind]).collect();
        of.sort_by(f64::total_cmp);
        let pooled = [0, 1].map(|which| {
            let mut times = Times::default();
            for phases in all {
                let phase: &Phase = &phases[which];
                times.join([&phase.smtp, &phase.noop, &phase.fetch][kind].clone());
            }
            times
        });
        println!(
            "{name}: p99 of all rounds {} | {}; it moved by {:.2} (median of rounds; {:.2} to {:.2})",
            shown(&pooled[0]),
            shown(&pooled[1]),
            of[of.len() / 2],
            of[0],
            of[of.len() - 1]
        );
    }
}

struct Load<'a> {
    server: &'a Server,
    bad: usize,
    pause: Duration,
    misdeeds: Vec<String>,
}

impl Load<'_> {
    fn run(&self, is_evil: bool, length: Duration) -> Result<Phase> {
        let until = Instant::now() + length;
        let computed = processor_time(self.server.pid())?;
        std::thread::scope(|scope| {
            let bad: Vec<_> = (0..self.bad)
                .map(|number| scope.spawn(move || self.misbehave(number, is_evil, until)))
                .collect();
            let smtp: Vec<_> =
                (0..SESSIONS).map(|number| scope.spawn(move || self.deliver(number, until))).collect();
            let imap: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(move || self.read(until))).collect();
            let joined = |threads: Vec<std::thread::ScopedJoinHandle<'_, Result<Times>>>| {
                threads.into_iter().try_fold(Times::default(), |mut all, thread| {
                    all.join(thread.join().ok().context("a session panicked")??);
                    anyhow::Ok(all)
                })
            };
            let (mut noop, mut fetch) = (Times::default(), Times::default());
            for thread in imap {
                let (nooped, fetched) = thread.join().ok().context("a session panicked")??;
                noop.join(nooped);
                fetch.join(fetched);
            }
            let (smtp, bad) = (joined(smtp)?, joined(bad)?);
            let computed = processor_time(self.server.pid())?.saturating_sub(computed);
            Ok(Phase { smtp, noop, fetch, bad, computed })
        })
    }

    fn misbehave(&self, number: usize, is_evil: bool, until: Instant) -> Result<Times> {
        let mut talk = session(self.server.port("smtp"), &format!("192.0.{}.9", 2 + number % 2))?;
        let mut times = Times::default();
        // Not all at once.
        let mut next = Instant::now() + self.pause * u32::try_from(number)? / u32::try_from(self.bad)?;
        let mut turn = number * self.misdeeds.len() / self.bad;
        while next < until {
            rest_until(next);
            let subject = if is_evil { &self.misdeeds[turn % self.misdeeds.len()] } else { "fine" };
            turn += 1;
            let reply = times.of(|| talk.pipeline("e@c.test", "bob@example.test", &letter(subject, 4096)))?;
            ensure!(!reply.starts_with("421"), "{subject}: {reply}");
            next = (next + self.pause).max(Instant::now());
        }
        Ok(times)
    }

    fn deliver(&self, number: usize, until: Instant) -> Result<Times> {
        let mut talk = session(self.server.port("smtp"), &format!("198.51.100.{number}"))?;
        let mut times = Times::default();
        while Instant::now() < until {
            let reply =
                times.of(|| talk.pipeline("a@c.test", "alice@example.test", &letter("good", 4096)))?;
            ensure!(reply.starts_with("250"), "a good letter: {reply}");
            rest_until(Instant::now() + REST);
        }
        Ok(times)
    }

    fn read(&self, until: Instant) -> Result<(Times, Times)> {
        let mut talk = Talk::login(self.server.port("imap"), "carol@example.test")?;
        talk.select("INBOX")?;
        let (mut noop, mut fetch) = (Times::default(), Times::default());
        while Instant::now() < until {
            noop.of(|| talk.imap("NOOP"))?;
            rest_until(Instant::now() + REST / 2);
            fetch.of(|| talk.imap("FETCH 1 (FLAGS BODY.PEEK[])"))?;
            rest_until(Instant::now() + REST / 2);
        }
        Ok((noop, fetch))
    }
}

fn rest_until(then: Instant) {
    std::thread::sleep(then.saturating_duration_since(Instant::now()));
}

fn shown(times: &Times) -> String {
    [500, 990, 1_000].map(|per_mille| format!("{:.1}", times.at(per_mille).as_secs_f64() * 1e3)).join(" ")
}
