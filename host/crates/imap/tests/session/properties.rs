//! Whatever comes, in whatever pieces.

use maitred_imap::Config;
use proptest::prelude::*;

use crate::driver::{Driver, Out};

/// Lines that make sense often enough to get somewhere.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "a CAPABILITY\r\n", "a NOOP\r\n", "a LOGIN a b\r\n", "a LOGIN {1}\r\n", "a\r\n", "a LOGIN {1+}\r\na {1+}\r\nb\r\n",
            "a AUTHENTICATE PLAIN AGEAYg==\r\n", "a AUTHENTICATE LOGIN\r\n", "YQ==\r\n", "*\r\n", "a STARTTLS\r\n",
            "a SELECT INBOX\r\n", "a EXAMINE x\r\n", "a CREATE x\r\n", "a DELETE x\r\n", "a RENAME x y\r\n",
            "a SUBSCRIBE x\r\n", "a LIST \"\" *\r\n", "a LIST \"\" \"\"\r\n", "a LSUB \"\" %\r\n", "a NAMESPACE\r\n",
            "a STATUS x (MESSAGES)\r\n", "a APPEND x {5}\r\n", "hello\r\n", "a APPEND x (\\Seen) {5+}\r\nhello\r\n",
            "a APPEND x {5+}\r\nhello more\r\n", "a APPEND no {900+}\r\n", "a IDLE\r\n", "DONE\r\n", "a CHECK\r\n",
            "a CLOSE\r\n", "a UNSELECT\r\n", "a EXPUNGE\r\n", "a UID EXPUNGE 1:*\r\n", "a SEARCH UNSEEN\r\n",
            "a UID SEARCH 1:3 SUBJECT {1+}\r\nx\r\n", "a FETCH 1:* FLAGS\r\n", "a FETCH 9 FLAGS\r\n",
            "a UID FETCH 1:* (BODY[])\r\n", "a STORE 1:2 +FLAGS (\\Seen $k)\r\n", "a STORE 1 FLAGS.SILENT ()\r\n",
            "a UID STORE 3 -FLAGS \\Deleted\r\n", "a COPY 1:* x\r\n", "a UID MOVE 1:* x\r\n", "a ID NIL\r\n",
            "a ENABLE X\r\n", "\r\n", "a nothing\r\n", "a NOOP\n", "a N\rOOP\r\n",
        ]).prop_map(str::to_owned),
        1 => "[ -~\r\n\\{\\}\\+]{0,30}",
    ]
}

fn config() -> Config {
    let mut config = Config::new("mx.test");
    config.allow_plaintext = true;
    config.limits.errors_max = 30;
    config.limits.page_octets = 64;
    config.limits.grammar.command_octets_max = 100;
    config.limits.grammar.literal_octets_max = 50;
    config.limits.grammar.message_octets_max = 200;
    config.limits.grammar.drain_octets_max = 500;
    config
}

/// What the mailbox is after so many questions.
fn mailbox(questions: usize) -> &'static str {
    ["1 3 5S", "1 3S 5S 7", "3S 7D 8k", "3S 8 9 10 11", "11 12"][questions / 2 % 5]
}

/// Everything that the engine says and asks, with answers that depend on the questions alone.
fn run(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Out> {
    let mut driver = Driver::new(config());
    let mut seen: Vec<Out> = Vec::new();
    let mut questions = 0;
    let mut settle = |driver: &mut Driver, seen: &mut Vec<Out>| loop {
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
            Out::Event(event) if !event.starts_with("Chunk") && event != "Abandoned" => Some(event.clone()),
            _ => None,
        });
        let question = question.unwrap_or_default();
        questions += 1;
        let word = question.split(' ').next().unwrap_or_default();
        if !matches!(word, "Authenticate" | "Select" | "Examine") {
            driver.answer(&format!("update {}", mailbox(questions)));
        }
        match word {
            "Authenticate" => driver.answer("login a@mx.test"),
            "Select" | "Examine" => driver.answer(&format!("select {}", mailbox(questions))),
            "Append" if question.contains(" no ") => driver.answer("refuse NoDestination"),
            "Append" => driver.answer("accept"),
            "Appended" => driver.answer("appended 12"),
            "Fetch" | "Search" | "List" | "Lsub" => driver.answer("page * page\\r\\n"),
            "Store" => driver.answer(&format!("stored {}", mailbox(questions))),
            "Copy" | "Move" => driver.answer("copied 1=5 2=6"),
            "Create" => driver.answer("refuse AlreadyExists"),
            _ => driver.answer("done"),
        }
    };
    settle(&mut driver, &mut seen);
    driver.pump();
    for piece in pieces {
        driver.send(&piece);
        settle(&mut driver, &mut seen);
    }
    settle(&mut driver, &mut seen);
    seen
}

proptest! {
    #[test]
    fn any_split_says_and_asks_the_same(lines in prop::collection::vec(line(), 0..40), cut in 1usize..30) {
        let mut all = String::from("l LOGIN a b\r\ns SELECT INBOX\r\n");
        all.extend(lines.into_iter().filter(|line| !line.contains("STARTTLS")));
        let all = all.into_bytes();
        let whole = run([all.clone()].into_iter());
        let cut = run(all.chunks(cut).map(<[u8]>::to_vec));
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn no_commands_panic(lines in prop::collection::vec(line(), 0..40)) {
        run(lines.into_iter().map(String::into_bytes));
    }

    #[test]
    fn no_octets_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        run(pieces.into_iter());
    }
}
