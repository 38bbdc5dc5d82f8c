//! A plugin that misbehaves as the subject of a message says.

use std::hint::black_box;

use maitred_plugin_sdk::prelude::*;

/// The plugin.
pub struct Evil;

impl Plugin for Evil {
    const SUMMARY: &'static str = "Misbehaves";

    fn init(config: &str) -> Result<Self, String> {
        if config.contains("fail") { Err("init was told to fail".to_owned()) } else { Ok(Self) }
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let subject = message.header("Subject").unwrap_or_default();
        match subject.as_str() {
            "trap" => unreachable(),
            "loop" => spin(),
            "memory" => drop(black_box(vec![1u8; 1 << 30])),
            "string" => return Decision::reject("x".repeat(20 << 20)),
            "stack" => {
                black_box(recurse(1));
            }
            "host-calls" => (0..u64::MAX).for_each(|_| {
                black_box(message.size());
            }),
            "octets" => (0..u64::MAX).for_each(|_| drop(black_box(message.read_body(0, 1 << 20)))),
            "log" => (0..5_000).for_each(|_| log(Level::Info, &"x".repeat(5_000))),
            "notes" => session.set_note("n", &vec![0; 1 << 20]),
            "utf-8" => return Decision::reject(no_text()),
            "length" => return Decision::reject(longer_than_memory()),
            "header" => return Decision::next().with_header("X-Evil", "a\r\nBcc: victim@a.test"),
            "control" => return Decision::reject("no\r\n250 yes"),
            "class" => {
                return Verdict::Reject(Refusal { enhanced: Some((2, 0, 0)), text: "no".to_owned() }.clone())
                    .into();
            }
            "address" => return Decision::next().with(Edit::SetSender("not an address".to_owned())),
            "edits" => return Decision { verdict: Verdict::Next, edits: vec![Edit::Delay(1); 100_000] },
            "score" => return Decision::next().with(Edit::Symbol("X".to_owned(), f32::NAN, String::new())),
            "names" => drop(black_box(message.header_many(&["Subject"; 300]))),
            "body" => {
                return Decision::next().with(Edit::ReplaceBody(b"one\n.\ntwo".to_vec()));
            }
            "raw" => return raw(message),
            "parts" => return parts(message),
            "middle" => (0..u64::MAX).for_each(|_| drop(black_box(message.part_read(2, 1 << 20, 1)))),
            _ => {}
        }
        Decision::next().with_header("X-Good", subject)
    }
}

/// One tag for each part: what it is, and what is in it; read at once and in pieces.
fn parts(message: &dyn Message) -> Decision {
    let mut decision = Decision::next();
    for (index, part) in (0..).zip(message.parts()) {
        let whole = message.part_read(index, 0, 1 << 20);
        let mut pieces = Vec::new();
        while let Some(octet) = message.part_read(index, pieces.len() as u64, 1).first() {
            pieces.push(*octet);
        }
        if pieces != whole {
            return Decision::reject("part-read differs by where it begins");
        }
        let value = format!("{:?} {:?} {:?}", part.parent, part.file_name, message.part_text(index, 8));
        decision = decision.with(Edit::Tag(format!("{} {}", part.content_type, whole.len()), value));
    }
    decision
}

/// The message in pieces of every length must be the message.
fn raw(message: &dyn Message) -> Decision {
    let whole = message.read_raw(0, 1 << 20);
    for octets_max in 1..20 {
        let mut pieces = Vec::new();
        loop {
            let piece = message.read_raw(pieces.len() as u64, octets_max);
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        if pieces != whole || whole.len() as u64 != message.size() {
            return Decision::reject("read-raw is not the message");
        }
    }
    Decision::next().with_header("X-Raw", String::from_utf8_lossy(&whole).replace("\r\n", "|"))
}

fn unreachable() {
    let nothing: Option<u8> = black_box(None);
    #[expect(clippy::unwrap_used, reason = "this guest is here to trap")]
    black_box(nothing.unwrap());
}

#[expect(unsafe_code, reason = "this guest is here to answer with octets that are no text")]
fn no_text() -> String {
    // SAFETY: it is none. The host is to find out.
    unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xfe, b'z']) }
}

#[expect(unsafe_code, reason = "this guest is here to lie about a length")]
fn longer_than_memory() -> String {
    let few = b"few".to_vec().leak();
    // SAFETY: it is none. The host is to find out, and this instance ends with the answer.
    unsafe { String::from_raw_parts(few.as_mut_ptr(), 1 << 30, 1 << 30) }
}

fn spin() {
    while black_box(true) {}
}

#[expect(unconditional_recursion, reason = "this guest is here to overflow its stack")]
fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    recurse(depth + 1) + here.iter().sum::<u64>()
}

maitred_plugin_sdk::export!(Evil: message);
