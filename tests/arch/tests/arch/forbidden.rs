//! What may not occur in code: I/O and clocks below the adapters, proofs made by strangers, panics, lints that are switched off.

use std::collections::BTreeSet;

use crate::model::{File, Tree};
use crate::source::has_word;
use crate::{assert_finds, assert_kept, tree};

/// Rooms that are values only.
const PURE: &[&str] = &["mail", "wire", "smtp", "imap", "pop3", "route", "queue", "policy", "flow"];

const OUTSIDE: &[&str] = &[
    "tokio",
    "std::env",
    "std::fs",
    "std::thread",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "Instant::now",
    "SystemTime::now",
    // Reads the clock behind its back.
    ".elapsed()",
    "rand",
    "getrandom",
];

/// What `use std::{…}` may not name in a pure room.
const OUTSIDE_MODULES: &[&str] = &["env", "fs", "thread", "process"];

/// A proof, the only room that makes it, and the file that defines how.
const PROOFS: &[(&str, &str, &str)] = &[
    ("after_sync", "store", "host/crates/mail/src/proof.rs"),
    ("after_handshake", "net", "host/crates/wire/src/engine.rs"),
    ("after_verification", "flow", "host/crates/mail/src/proof.rs"),
];

const PANICS: &[&str] = &[
    ".unwrap()",
    ".unwrap_err()",
    ".expect(\"",
    ".expect_err(\"",
    "panic!",
    "todo!",
    "unimplemented!",
    "unreachable!",
    "dbg!",
];

/// Where lints may be allowed, with a reason: in generated code, of which nobody knows what the next generator does, so that an
/// expectation could not be kept.
const GENERATED: &[&str] =
    &["host/crates/plugin-host/src/bindings.rs", "plugin-sdk/src/guest.rs", "plugin-sdk/src/lib.rs"];

/// Code that is not there yet. In any text of a file, comments before all.
const PROMISES: &[&str] = &["TODO", "FIXME", "XXX"];

fn outside_in_pure_rooms(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.shipped().filter(|file| PURE.contains(&file.room())) {
        for (number, line) in file.source.lines() {
            for word in OUTSIDE.iter().filter(|word| has_word(line, word)) {
                broken.push(format!(
                    "{}:{number}: {word} in a room without I/O, clock, thread or chance",
                    file.path
                ));
            }
        }
        for module in grouped(file).iter().filter(|module| OUTSIDE_MODULES.contains(&module.as_str())) {
            broken.push(format!(
                "{}: std::{{{module}}} in a room without I/O, clock, thread or chance",
                file.path
            ));
        }
    }
    broken
}

/// The first names of each path in a `std::{…}`.
fn grouped(file: &File) -> Vec<String> {
    let mut names = Vec::new();
    for (at, group) in file.source.code.match_indices("std::{") {
        let mut depth = 1;
        let mut name = String::new();
        for c in file.source.code.get(at + group.len()..).unwrap_or_default().chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ if depth == 1 && c != ',' => name.push(c),
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                names.push(name.split("::").next().unwrap_or_default().trim().to_owned());
                name.clear();
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

fn proofs_of_strangers(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.shipped() {
        for (number, line) in file.source.lines() {
            for (proof, room, defined) in PROOFS.iter().filter(|(proof, ..)| has_word(line, proof)) {
                let is_definition = file.path == *defined && line.contains(&format!("fn {proof}("));
                if file.room() != *room && !is_definition {
                    broken.push(format!("{}:{number}: {proof} is said in {room} alone", file.path));
                }
            }
        }
    }
    broken
}

fn panics(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.shipped() {
        for (number, line) in file.source.lines() {
            for word in PANICS.iter().filter(|word| has_word(line, word)) {
                broken.push(format!("{}:{number}: {word} outside tests", file.path));
            }
        }
        for (number, line) in file.text.lines().enumerate() {
            for word in PROMISES.iter().filter(|word| has_word(line, word)) {
                broken.push(format!("{}:{}: {word}: finish it or file it", file.path, number + 1));
            }
        }
    }
    broken
}

/// Tests may switch a lint off, because what a suite does not use today it may use tomorrow; the reason stands beside it.
fn unreasoned_in_tests(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    let shipped: BTreeSet<&str> = tree.shipped().map(|file| file.path.as_str()).collect();
    let is_rust = |file: &&File| file.path.ends_with(".rs") && !shipped.contains(file.path.as_str());
    for file in tree.files.iter().filter(is_rust) {
        for (number, line) in (1..).zip(file.text.lines()).filter(|(_, line)| line.trim().starts_with('#')) {
            if line.contains("[allow(") && !has_word(line, "reason") {
                broken.push(format!("{}:{number}: allow without a reason", file.path));
            }
        }
    }
    broken
}

fn allowed_lints(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.shipped() {
        let is_generated = GENERATED.contains(&file.path.as_str());
        for (switch, is_fine) in [("[allow(", is_generated), ("[expect(", true)] {
            for (at, found) in file.source.code.match_indices(switch) {
                let (before, rest) = file.source.code.split_at(at);
                let number = before.lines().count();
                let inside =
                    rest.get(found.len()..).and_then(|rest| rest.split(']').next()).unwrap_or_default();
                if !is_fine {
                    broken.push(format!("{}:{number}: allow: say expect, with a reason", file.path));
                } else if !has_word(inside, "reason") {
                    broken.push(format!("{}:{number}: {switch}…)] without a reason", file.path));
                }
            }
        }
    }
    broken
}

#[test]
fn words_engines_and_flow_touch_nothing_outside() -> anyhow::Result<()> {
    assert_kept(&outside_in_pure_rooms(tree()?));
    Ok(())
}

#[test]
fn proofs_are_made_in_one_room_each() -> anyhow::Result<()> {
    assert_kept(&proofs_of_strangers(tree()?));
    Ok(())
}

#[test]
fn nothing_panics_or_is_put_off() -> anyhow::Result<()> {
    assert_kept(&panics(tree()?));
    Ok(())
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() -> anyhow::Result<()> {
    assert_kept(&allowed_lints(tree()?));
    assert_kept(&unreasoned_in_tests(tree()?));
    Ok(())
}

#[test]
fn a_clock_in_an_engine_is_found() {
    let engine = "host/crates/smtp/src/session.rs";
    for (code, found) in [
        ("fn f() { let at = Instant::now(); }", "Instant::now"),
        ("use tokio::net;", "tokio"),
        ("use std::{env, fs::{self, File}};", "std::{fs}"),
        ("fn f() { std::fs::read(\"x\") }", "std::fs"),
        ("fn f(began: Instant) { began.elapsed(); }", ".elapsed()"),
    ] {
        assert_finds(&outside_in_pure_rooms(&Tree::of_files(&[(engine, code)])), found);
    }
    let fine = [
        ("host/crates/net/src/driver.rs", "fn f() { let at = Instant::now(); }"),
        (engine, "// Instant::now is the driver's\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }"),
    ];
    assert_kept(&outside_in_pure_rooms(&Tree::of_files(&fine)));
}

#[test]
fn a_proof_made_elsewhere_is_found() {
    let flow = Tree::of_files(&[("host/crates/flow/src/receive.rs", "fn f() { Durable::after_sync(); }")]);
    assert_finds(&proofs_of_strangers(&flow), "receive.rs:1: after_sync is said in store alone");
    let store = Tree::of_files(&[("host/crates/store/src/commit.rs", "fn f() { Durable::after_sync(); }")]);
    assert_kept(&proofs_of_strangers(&store));
}

#[test]
fn panics_and_promises_are_found() {
    for (code, found) in [
        ("fn f() { g().unwrap(); }", ".unwrap()"),
        ("fn f() { g().expect(\"h\"); }", ".expect("),
        ("fn f() { unreachable!() }", "unreachable!"),
        ("// TODO: more", "TODO"),
    ] {
        assert_finds(&panics(&Tree::of_files(&[("host/crates/net/src/a.rs", code)])), found);
    }
    let fine = "fn f() { assert!(true, \"panic!\"); g().unwrap_or_default(); cursor.expect(b'(')?; }";
    assert_kept(&panics(&Tree::of_files(&[("host/crates/net/src/a.rs", fine)])));
}

#[test]
fn an_allowed_lint_is_found() {
    let file = "host/crates/net/src/a.rs";
    assert_finds(
        &allowed_lints(&Tree::of_files(&[(file, "#[allow(dead_code)]\nfn f() {}")])),
        "a.rs:1: allow",
    );
    let bare = Tree::of_files(&[(file, "#[expect(clippy::x)]\nfn f() {}")]);
    assert_finds(&allowed_lints(&bare), "a.rs:1: [expect(…)] without a reason");
    let bare = Tree::of_files(&[(GENERATED[0], "\n#![allow(clippy::all)]\nfn f() {}")]);
    assert_finds(&allowed_lints(&bare), ":2: [allow(…)] without a reason");
    let bare = Tree::of_files(&[("host/crates/net/tests/a.rs", "\n#![allow(clippy::all)]\n")]);
    assert_finds(&unreasoned_in_tests(&bare), "a.rs:2: allow without a reason");
    let fine = Tree::of_files(&[(file, "#[expect(clippy::x, reason = \"a table\")]\nfn f() {}")]);
    assert_kept(&allowed_lints(&fine));
    let fine = Tree::of_files(&[("host/crates/net/tests/a.rs", "#![allow(clippy::all, reason = \"b\")]\n")]);
    assert_kept(&unreasoned_in_tests(&fine));
}
