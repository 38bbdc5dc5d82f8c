//! Whatever comes, in whatever pieces.

use maitred_pop3::Config;
use proptest::prelude::*;

use crate::driver::{Driver, Out};

/// Lines that make sense often enough to get somewhere.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "USER mrose\r\n", "PASS secret\r\n", "AUTH PLAIN AGEAYg==\r\n", "AUTH LOGIN\r\n", "YQ==\r\n", "*\r\n",
            "CAPA\r\n", "STLS\r\n", "STAT\r\n", "LIST\r\n", "LIST 2\r\n", "UIDL\r\n", "UIDL 9\r\n", "RETR 1\r\n",
            "RETR 2\r\n", "RETR 3\r\n", "TOP 1 1\r\n", "TOP 2 0\r\n", "DELE 1\r\n", "DELE 2\r\n", "RSET\r\n", "NOOP\r\n",
            "QUIT\r\n", "\r\n", "\n", "a\rb\r\n", "long long long long long long long long long\r\n",
        ]).prop_map(str::to_owned),
        1 => "[ -~\r\n\\.]{0,30}",
    ]
}

fn config() -> Config {
    let mut config = Config::new("mx.test");
    config.limits.command_octets_max = 40;
    config.limits.auth_octets_max = 40;
    config.limits.errors_max = 5;
    config.limits.piece_octets_max = 16;
    config.limits.top_piece_octets_max = 16;
    config
}

const CONTENTS: [&str; 3] =
    ["A: b\r\n\r\n.dot\r\n..\r\nno end", "", "only: head\r\nthat goes on\r\nfor more than a piece\r\n"];

/// Everything that the engine says and asks, with answers that depend on the question alone.
fn run(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Out> {
    let octets = CONTENTS.map(|content| content.len() as u64);
    let mut driver = Driver::new(config(), &octets);
    // Over TLS: what follows STLS in one piece with it is refused, so there the pieces do matter.
    driver.secure();
    let mut seen = Vec::new();
    let settle = |driver: &mut Driver, seen: &mut Vec<Out>| loop {
        seen.extend(driver.out.drain(..));
        if !driver.is_asking() || driver.is_over() {
            return;
        }
        let question = seen.iter().rev().find_map(|out| match out {
            Out::Event(event) if !event.starts_with("Retrieved") => Some(event.clone()),
            _ => None,
        });
        let question = question.expect("a question");
        let mut words = question.split(' ').skip(1).map(|word| word.parse::<usize>().unwrap_or(0));
        driver.answer(&match question.split(' ').next() {
            Some("Authenticate") if question.contains("secret") => "login".to_owned(),
            Some("Authenticate") => "refuse wrong-login".to_owned(),
            Some("Content") => {
                let (uid, offset, max) =
                    (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                let content = CONTENTS[uid / 10 - 1].as_bytes();
                let piece = &content[offset..content.len().min(offset + max)];
                format!("content {}", piece.escape_ascii())
            }
            _ => "updated durable".to_owned(),
        });
    };
    driver.pump();
    settle(&mut driver, &mut seen);
    for piece in pieces {
        driver.send(&piece);
        settle(&mut driver, &mut seen);
    }
    driver.hang_up();
    settle(&mut driver, &mut seen);
    assert!(driver.is_over(), "a session ends when the client hangs up");
    seen
}

proptest! {
    #[test]
    fn any_split_gives_the_same_session(lines in prop::collection::vec(line(), 0..25), cut in 1usize..40) {
        for login in ["", "USER mrose\r\nPASS secret\r\n"] {
            let all = (login.to_owned() + &lines.concat()).into_bytes();
            let whole = run([all.clone()].into_iter());
            let cut = run(all.chunks(cut).map(<[u8]>::to_vec));
            prop_assert_eq!(whole, cut);
        }
    }

    #[test]
    fn no_octets_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        run(pieces.into_iter());
    }

    #[test]
    fn nothing_is_removed_without_quit(lines in prop::collection::vec(line(), 0..25)) {
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.to_ascii_uppercase().contains("QUIT")).collect();
        let seen = run(["USER mrose\r\nPASS secret\r\n".to_owned() + &lines.concat()].map(String::into_bytes).into_iter());
        prop_assert!(!seen.iter().any(|out| matches!(out, Out::Event(event) if event.starts_with("Update"))));
    }
}
