//! Whatever comes, in whatever pieces.

use maitred_smtp::server::{Config, Mode};
use proptest::prelude::*;

use crate::driver::{Driver, Out};

/// Lines that make sense often enough to get somewhere.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "EHLO c.test\r\n", "LHLO c.test\r\n", "HELO c.test\r\n", "MAIL FROM:<a@c.test> SIZE=10\r\n",
            "MAIL FROM:<>\r\n", "RCPT TO:<b@mx.test>\r\n", "RCPT TO:<no@mx.test>\r\n", "DATA\r\n", "RSET\r\n",
            "NOOP\r\n", "QUIT\r\n", "AUTH PLAIN AGEAYg==\r\n", "AUTH LOGIN\r\n", "YQ==\r\n", "*\r\n", "VRFY x\r\n",
            "Subject: x\r\n", "\r\n", ".\r\n", "..\r\n", ".x\r\n", "\n.\r\n", "a\rb\r\n", "long long long long\r\n",
        ]).prop_map(str::to_owned),
        1 => "[ -~\r\n\\.]{0,30}",
    ]
}

fn config(mode: Mode) -> Config {
    let mut config = Config::new(mode, "mx.test");
    config.allow_plaintext = true;
    config.limits.command_octets_max = 60;
    config.limits.message_octets_max = 200;
    config.limits.text_line_octets_max = 40;
    config.limits.chunk_octets_max = 16;
    config.limits.errors_max = 5;
    config.limits.recipients_max = 3;
    config
}

/// Everything that the engine says and asks, with answers that depend on the question alone.
fn run(config: Config, pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Out> {
    let mut driver = Driver::new(config);
    let mut seen: Vec<Out> = Vec::new();
    let settle = |driver: &mut Driver, seen: &mut Vec<Out>| loop {
        for out in driver.out.drain(..) {
            match (seen.last_mut(), &out) {
                (Some(Out::Event(before)), Out::Event(more))
                    if before.starts_with("Chunk ") && more.starts_with("Chunk ") =>
                {
                    before.push_str(&more["Chunk ".len()..]);
                }
                _ => seen.push(out),
            }
        }
        if !driver.is_asking() || driver.is_over() {
            return;
        }
        let question = seen.iter().rev().find_map(|out| match out {
            Out::Event(event) if !event.starts_with("Chunk") && event != "Reset" => Some(event.clone()),
            _ => None,
        });
        driver.answer(match question.unwrap_or_default() {
            event if event.starts_with("EndOfData") => "store",
            event if event.starts_with("Authenticate") => "login a@mx.test",
            event if event == "Rcpt <no@mx.test>" => "refuse 5.1.1 no such user",
            _ => "accept",
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
    // How much of a message that is refused was handed on before is a matter of how it came.
    let mut kept: Vec<Out> = Vec::new();
    for out in seen {
        if out == Out::Event("Reset".into()) || out == Out::Event("Close".into()) {
            kept.pop_if(|last| matches!(last, Out::Event(event) if event.starts_with("Chunk ")));
        }
        kept.push(out);
    }
    kept
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(vec![Mode::Smtp, Mode::Submission, Mode::Lmtp])
}

proptest! {
    #[test]
    fn any_split_gives_the_same_session(
        mode in mode(),
        lines in prop::collection::vec(line(), 0..25),
        cut in 1usize..40,
    ) {
        let all = lines.concat().into_bytes();
        let whole = run(config(mode), [all.clone()].into_iter());
        let cut = run(config(mode), all.chunks(cut).map(<[u8]>::to_vec));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn no_octets_panic(
        mode in mode(),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
    ) {
        run(config(mode), pieces.into_iter());
    }
}
