//! RFC 5321 §2.3.8 and CVE-2023-51764, 51765, 51766: only CRLF.CRLF ends a message.

use maitred_smtp::server::{Config, Mode};

use crate::driver::{Driver, Out};

/// All that has been tried before and behind the dot: 3 × 3 line ends, and each with something between.
fn marks() -> Vec<String> {
    let ends = ["\r\n", "\n", "\r"];
    let mut marks = Vec::new();
    for before in ends {
        for after in ends {
            for dot in [".", "\0.", ".\0"] {
                marks.push(format!("{before}{dot}{after}"));
            }
        }
    }
    marks
}

#[test]
fn one_end_mark_of_27_ends_a_message() {
    let marks = marks();
    assert_eq!(marks.len(), 27);
    for mark in marks {
        let events = session(&mark);
        let mails = events.iter().filter(|event| event.starts_with("Mail ")).count();
        let is_true_mark = mark == "\r\n.\r\n";
        assert_eq!(mails, if is_true_mark { 2 } else { 1 }, "{mark:?}: {events:?}");
        let is_whole = events.iter().any(|event| event.starts_with("EndOfData"));
        let has_bare = mark.replace("\r\n", "").contains(['\r', '\n']);
        assert_eq!(is_whole, !has_bare, "{mark:?}: a bare line end drops the message");
    }
}

/// A message, the mark, a smuggled transaction, and the true mark.
fn session(mark: &str) -> Vec<String> {
    let mut driver = Driver::new(Config::new(Mode::Smtp, "mx.test"));
    driver.send(b"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n");
    driver.send(format!("text{mark}MAIL FROM:<evil@c.test>\r\n.\r\n").as_bytes());
    while driver.is_asking() {
        let is_end = driver.out.iter().rev().find_map(|out| match out {
            Out::Event(event) if !event.starts_with("Chunk") => Some(event.starts_with("EndOfData")),
            _ => None,
        });
        driver.answer(if is_end == Some(true) { "store" } else { "accept" });
    }
    driver
        .out
        .into_iter()
        .filter_map(|out| if let Out::Event(event) = out { Some(event) } else { None })
        .collect()
}
