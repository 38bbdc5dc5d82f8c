//! Who may import whom, and who alone may use which crate of others.
//!
//! The manifests are looked at, because Rust code can only name what its manifest names.

use crate::model::{Crate, Tree};
use crate::{assert_finds, assert_kept, tree};

const WORDS: &[&str] = &["mail", "wire"];
const ENGINES: &[&str] = &["smtp", "imap", "pop3", "route", "queue", "policy"];
const ADAPTERS: &[&str] = &["store", "dns", "msgauth", "tls", "plugin-host", "confine", "scaffold"];

/// Crate, its layer, and the groups of ours that it may import. Imports point up this table only.
const TABLE: &[(&str, &str, &[&[&str]])] = &[
    ("mail", "words", &[]),
    ("wire", "words", &[]),
    ("smtp", "engine", &[WORDS]),
    ("imap", "engine", &[WORDS]),
    ("pop3", "engine", &[WORDS]),
    ("route", "engine", &[&["mail"]]),
    ("queue", "engine", &[&["mail"]]),
    ("policy", "engine", &[&["mail"]]),
    ("store", "adapter", &[&["mail", "queue", "policy"]]),
    ("dns", "adapter", &[&["mail"]]),
    ("tls", "adapter", &[]),
    ("msgauth", "adapter", &[&["mail", "policy"]]),
    ("plugin-host", "adapter", &[&["mail", "policy"]]),
    ("confine", "adapter", &[]),
    // The contract and the SDK come in as texts.
    ("scaffold", "adapter", &[]),
    ("flow", "flow", &[WORDS, ENGINES, &["store"]]),
    // One driver for all engines: it names them all, and tls for the handshake; what is stored it learns from flow.
    ("net", "driver", &[WORDS, ENGINES, &["flow", "tls"]]),
    ("admin", "driver", &[WORDS, &["queue", "policy", "store", "flow"]]),
    // Its build script builds the plugins by path; it imports nothing.
    ("bundled", "support", &[]),
    ("testkit", "support", &[WORDS]),
    // Stands in for a crate of others.
    ("gethostname", "support", &[]),
    ("maitred", "binary", &[WORDS, ENGINES, ADAPTERS, &["flow", "net", "admin", "bundled"]]),
    ("plugin-sdk", "guest", &[]),
];

/// Crates of others that stand behind one door each.
const OWNERS: &[(&[&str], &[&str])] = &[
    (&["sled", "argon2", "crc32c"], &["store"]),
    // Disks; threads that are nicer than others; and the terminal, which a password is typed at.
    (&["rustix"], &["store", "plugin-host", "maitred"]),
    // And whoever builds a resolver, to say that it trusts nobody.
    (&["rustls"], &["tls", "dns", "msgauth"]),
    (&["tokio-rustls", "rcgen", "webpki-roots", "rustls-pemfile", "instant-acme"], &["tls"]),
    (&["mail-auth"], &["msgauth"]),
    (&["hickory-proto", "hickory-resolver"], &["dns"]),
    (&["wasmtime", "wasmtime-wasi", "wasmtime-wizer", "notify"], &["plugin-host"]),
    (&["landlock", "nix", "seccompiler"], &["confine"]),
    (&["wit-bindgen"], &["plugin-sdk"]),
    // Expressions that operators write.
    (&["regex-automata"], &["rules"]),
    // Addresses that nobody else can make.
    (&["hmac", "sha1", "sha2"], &["srs-forward"]),
    (&["wit-bindgen-c", "wit-bindgen-core", "wit-component", "wit-parser"], &["scaffold"]),
    (&["clap", "tikv-jemallocator", "toml", "tracing-subscriber"], &["maitred"]),
    (&["axum"], &["admin"]),
    // Pages for people; and requests of plugins.
    (&["hyper", "hyper-util", "http-body-util"], &["admin", "net"]),
    (&["socket2"], &["net"]),
    (&["encoding_rs", "idna"], &["mail"]),
    // Salts of passwords; and the passwords that the binary makes up.
    (&["getrandom"], &["store", "maitred"]),
    // The demo and the check work in folders that are gone afterwards; a component that comes over HTTP lies in a file until it is read.
    (&["tempfile"], &["maitred", "admin"]),
    // Errors with a type everywhere but where nobody matches on them.
    (&["anyhow"], &["maitred"]),
];

/// Only for tests.
const TEST_ONLY: &[&str] = &["proptest", "cargo_metadata", "maitred-testkit"];

/// No engine has a clock, sockets or chance.
const NO_RUNTIME: &[&str] =
    &["tokio", "mio", "async-std", "smol", "rand", "getrandom", "fastrand", "chrono", "time"];

/// Words and engines return what happened; who drives them writes it down.
const NO_LOG: &[&str] = &["log", "tracing"];

/// `maitred-smtp` is `smtp`.
fn short(name: &str) -> &str {
    name.strip_prefix("maitred-").unwrap_or(name)
}

fn is_ours(name: &str) -> bool {
    name.starts_with("maitred") || name.starts_with("tests-")
}

/// What a crate of ours may import of ours; nothing where any is right.
fn allowed(krate: &Crate) -> Option<Vec<&'static str>> {
    match krate.layer.as_str() {
        "test" => None,
        "guest" if short(&krate.name) != "plugin-sdk" => Some(vec!["plugin-sdk"]),
        _ => {
            let row = TABLE.iter().find(|row| row.0 == short(&krate.name));
            Some(row.map(|row| row.2.concat()).unwrap_or_default())
        }
    }
}

/// Imports that the table does not have, and layers that differ from it.
fn imports(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for krate in &tree.crates {
        let name = short(&krate.name);
        match TABLE.iter().find(|row| row.0 == name) {
            Some(row) if row.1 != krate.layer => {
                broken.push(format!(
                    "{name}: its manifest says layer {:?}, the table {:?}",
                    krate.layer, row.1
                ));
            }
            None if !["test", "guest"].contains(&krate.layer.as_str()) => {
                broken.push(format!("{name}: not in the table of tests/arch; which layer is it?"));
            }
            _ => {}
        }
        let Some(allowed) = allowed(krate) else { continue };
        let wanted = krate.dependencies.iter().map(|name| (name, false));
        let wanted = wanted.chain(krate.dev_dependencies.iter().map(|name| (name, true)));
        for (dependency, is_dev) in wanted.filter(|(name, _)| is_ours(name)) {
            let dependency = short(dependency);
            if !(allowed.contains(&dependency) || is_dev && dependency == "testkit") {
                broken.push(format!("{name} may not import {dependency}"));
            }
        }
    }
    broken
}

/// Crates of others that are used by someone who does not own them.
fn owners(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for krate in tree.crates.iter().filter(|krate| krate.layer != "test") {
        let name = short(&krate.name);
        for dependency in &krate.dependencies {
            let owner = OWNERS.iter().find(|row| row.0.contains(&dependency.as_str()));
            if let Some((_, owners)) = owner.filter(|row| !row.1.contains(&name)) {
                broken
                    .push(format!("{name} may not use {dependency}, which belongs to {}", owners.join(", ")));
            }
            if TEST_ONLY.contains(&dependency.as_str()) && name != "testkit" {
                broken.push(format!("{name} may use {dependency} in its tests only"));
            }
            let is_value = ["words", "engine"].contains(&krate.layer.as_str());
            if is_value && NO_LOG.contains(&dependency.as_str()) {
                broken.push(format!("{name} is no place for {dependency}: it returns, and does not log"));
            }
            let is_pure = ["words", "engine", "flow"].contains(&krate.layer.as_str());
            if is_pure && NO_RUNTIME.contains(&dependency.as_str()) {
                broken.push(format!(
                    "{name} is no place for {dependency}: it has no clock, socket, thread or chance"
                ));
            }
        }
    }
    broken
}

#[test]
fn imports_point_up_the_table() -> anyhow::Result<()> {
    assert_kept(&imports(tree()?));
    Ok(())
}

#[test]
fn crates_of_others_are_used_by_their_owners() -> anyhow::Result<()> {
    assert_kept(&owners(tree()?));
    Ok(())
}

#[test]
fn an_engine_that_imports_an_engine_is_found() {
    let tree = Tree::of_crate("maitred-smtp", "engine", &["maitred-imap"], &[]);
    assert_finds(&imports(&tree), "smtp may not import imap");
    let tree = Tree::of_crate("maitred-smtp", "engine", &[], &["maitred-flow"]);
    assert_finds(&imports(&tree), "smtp may not import flow");
    let tree = Tree::of_crate("sieve", "guest", &["maitred-mail"], &[]);
    assert_finds(&imports(&tree), "sieve may not import mail");
}

#[test]
fn a_crate_without_a_row_or_with_a_wrong_layer_is_found() {
    assert_finds(&imports(&Tree::of_crate("maitred-sieve", "engine", &[], &[])), "sieve: not in the table");
    assert_finds(&imports(&Tree::of_crate("maitred-smtp", "driver", &[], &[])), "smtp: its manifest says");
}

#[test]
fn a_crate_used_by_a_stranger_is_found() {
    let tree = Tree::of_crate("maitred-flow", "flow", &["sled", "tokio"], &[]);
    assert_finds(&owners(&tree), "flow may not use sled, which belongs to store");
    assert_finds(&owners(&tree), "flow is no place for tokio");
    let tree = Tree::of_crate("maitred-mail", "words", &["proptest", "tracing"], &[]);
    assert_finds(&owners(&tree), "mail may use proptest in its tests only");
    assert_finds(&owners(&tree), "mail is no place for tracing");
}
