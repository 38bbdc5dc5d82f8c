//! Plays `transcripts/*.txt`.
//!
//! `= [ready|tls|plaintext|nostls] [octets=120,200] [limit=value …]` begins a session with a maildrop of messages with UIDs
//! 10, 20 … (`ready`: over TLS and logged in), `C:` the client sends a line, `C>` the client sends octets, `S:` we send a line
//! that begins so (`S=`: that is so), `? ` an event, `! ` its answer, `! tls` the handshake is done, `@ ` so many seconds
//! pass, `C.` the client hangs up, `G:` the server stops and says this (`G.`: it waits).

use std::path::Path;
use std::time::Duration;

use maitred_pop3::Config;
use maitred_testkit::transcript::{Player, play_folder, unescape};
use maitred_wire::Engine as _;

use crate::driver::{Driver, Out};

#[test]
fn every_transcript_runs_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let cases = play_folder(&folder, || Case(None)).unwrap_or_else(|failures| panic!("{failures}"));
    assert!(cases > 30, "only {cases} cases found");
}

struct Case(Option<Driver>);

impl Player for Case {
    fn step(&mut self, mark: &str, text: &str) -> Result<(), String> {
        if mark == "= " || mark == "=" {
            self.0 = Some(begin(text)?);
            return Ok(());
        }
        let driver = self.0.as_mut().ok_or("a case begins with =")?;
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
            "G:" => {
                let said = driver.session.goodbye().ok_or("the server waits")?;
                if said != format!("{text}\r\n") {
                    return Err(format!("said {said:?}"));
                }
                driver.pump();
            }
            "G." if driver.session.goodbye().is_some() => return Err("the server does not wait".to_owned()),
            "G." => {}
            _ => return expect(mark, text, driver.out.pop_front()),
        }
        Ok(())
    }

    fn left(&mut self) -> Option<String> {
        let out = &self.0.as_ref()?.out;
        (!out.is_empty()).then(|| format!("{out:?}"))
    }
}

fn expect(mark: &str, text: &str, got: Option<Out>) -> Result<(), String> {
    let is_right = match (mark, &got) {
        ("S:", Some(Out::Line(line))) => line.starts_with(text),
        ("S=", Some(Out::Line(line))) => line == text,
        ("? ", Some(Out::Event(event))) => event == text,
        _ => false,
    };
    if is_right { Ok(()) } else { Err(format!("expected {mark} {text:?}, got {got:?}")) }
}

fn begin(words: &str) -> Result<Driver, String> {
    let mut config = Config::new("mx.test");
    let (mut is_ready, mut is_tls, mut octets) = (false, false, vec![120, 200]);
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<usize>().map_err(|_| format!("{name}=number"));
        match name {
            "ready" => (is_ready, is_tls) = (true, true),
            "tls" => is_tls = true,
            "plaintext" => config.allow_plaintext = true,
            "nostls" => config.has_stls = false,
            "octets" => octets = value.split(',').filter_map(|octets| octets.parse().ok()).collect(),
            "command" => config.limits.command_octets_max = number()?,
            "auth" => config.limits.auth_octets_max = number()?,
            "endless" => config.limits.endless_line_octets = number()? as u64,
            "errors" => config.limits.errors_max = u32::try_from(number()?).unwrap(),
            "piece" => config.limits.piece_octets_max = number()?,
            "toppiece" => config.limits.top_piece_octets_max = number()?,
            other => return Err(format!("no setting {other}")),
        }
    }
    let mut driver = Driver::new(config, &octets);
    if is_tls {
        driver.secure();
    }
    driver.pump();
    if is_ready {
        driver.send(b"USER mrose\r\nPASS secret\r\n");
        driver.answer("login");
        driver.out.clear();
    }
    Ok(driver)
}
