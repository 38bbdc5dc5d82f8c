//! Runs `transcripts/*.txt`.
//!
//! `= smtp|submission|lmtp [ready|tls|plaintext] [limit=value …]` begins a session (`ready`: greeted and EHLO said),
//! `C:` the client sends a line, `C>` the client sends octets (`\r`, `\n`, `\0`, `\\`), `S:` we send a line that begins
//! so, `?` an event, `!` its answer, `! tls` the handshake is done, `@` so many seconds pass, `C.` the client hangs up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use maitred_smtp::server::{Config, Mode};

use crate::driver::{Driver, Out};

#[test]
fn every_transcript_runs_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/server");
    let mut cases = 0;
    let mut failures = Vec::new();
    for file in fs::read_dir(folder).expect("transcripts") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a transcript");
        let mut title = String::new();
        let mut script: Vec<(usize, &str)> = Vec::new();
        for (number, line) in text.lines().enumerate().chain([(0, "#")]) {
            match line.strip_prefix('#') {
                Some(next) => {
                    if !script.is_empty() {
                        cases += 1;
                        if let Err(error) = run(&script) {
                            failures.push(format!("{}:{title}: {error}", path.display()));
                        }
                        script.clear();
                    }
                    next.trim().clone_into(&mut title);
                }
                None if line.trim().is_empty() => {}
                None => script.push((number + 1, line)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(cases > 30, "only {cases} cases found");
}

fn run(script: &[(usize, &str)]) -> Result<(), String> {
    let Some(((_, first), rest)) = script.split_first() else { return Ok(()) };
    let mut driver = begin(first.strip_prefix("= ").ok_or("a case begins with =")?);
    for (number, line) in rest {
        let (mark, text) = line.split_at_checked(2).ok_or(format!("line {number}: too short"))?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        match mark {
            "C:" => driver.send(format!("{text}\r\n").as_bytes()),
            "C>" => driver.send(&unescape(text)),
            "C." => driver.hang_up(),
            "! " if text == "tls" => {
                driver.secure();
                driver.pump();
            }
            "! " => driver.answer(text),
            "@ " => driver.pass(Duration::from_secs(text.parse().map_err(|_| "seconds")?)),
            "S:" => match driver.out.pop_front() {
                Some(Out::Line(line)) if line.starts_with(text) => {}
                other => return Err(format!("line {number}: expected reply {text:?}, got {other:?}")),
            },
            "? " => match driver.out.pop_front() {
                Some(Out::Event(event)) if event == text => {}
                other => return Err(format!("line {number}: expected event {text:?}, got {other:?}")),
            },
            _ => return Err(format!("line {number}: {line:?} is no step")),
        }
    }
    if driver.out.is_empty() { Ok(()) } else { Err(format!("left at the end: {:?}", driver.out)) }
}

fn begin(words: &str) -> Driver {
    let mut words = words.split(' ');
    let mode = match words.next() {
        Some("smtp") => Mode::Smtp,
        Some("submission") => Mode::Submission,
        Some("lmtp") => Mode::Lmtp,
        other => panic!("no mode {other:?}"),
    };
    let mut config = Config::new(mode, "mx.test");
    let (mut is_ready, mut is_tls) = (false, false);
    for word in words {
        let number = || word.split_once('=').and_then(|(_, n)| n.parse::<u64>().ok()).expect("limit=number");
        match word.split('=').next().unwrap_or_default() {
            "ready" => is_ready = true,
            "tls" => is_tls = true,
            "plaintext" => config.allow_plaintext = true,
            "errors" => config.limits.errors_max = number() as u32,
            "refusals" => config.limits.refusals_max = number() as u32,
            "idle" => config.limits.idle_commands_max = number() as u32,
            "recipients" => config.limits.recipients_max = number() as usize,
            "transactions" => config.limits.transactions_max = number() as u32,
            "message" => config.limits.message_octets_max = number(),
            "drain" => config.limits.drain_octets_max = number(),
            "textline" => config.limits.text_line_octets_max = number() as usize,
            "endless" => config.limits.endless_line_octets = number(),
            "command" => config.limits.command_octets_max = number() as usize,
            other => panic!("no setting {other}"),
        }
    }
    let mut driver = Driver::new(config);
    if is_tls {
        driver.secure();
    }
    driver.pump();
    if is_ready {
        driver.answer("accept");
        driver.send(if mode == Mode::Lmtp { b"LHLO c.test\r\n" } else { b"EHLO c.test\r\n" });
        driver.answer("accept");
        driver.out.clear();
    }
    driver
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        out.push(match octet {
            b'\\' => match octets.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    out
}
