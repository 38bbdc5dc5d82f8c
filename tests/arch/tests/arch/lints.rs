//! Whether each crate has asked for the lints that hold the rules which clippy knows better than a look at the text.

use crate::model::Tree;
use crate::{assert_finds, assert_kept, tree};

/// Rooms where no octet of a peer may become an index that is out of bounds.
const NO_INDEXING: &[&str] = &["mail", "wire", "smtp", "imap", "pop3", "route", "queue", "policy"];
const DENY_INDEXING: &str = "#![deny(clippy::indexing_slicing)]";

/// What every crate inherits from the workspace, or it would be held to nothing.
const INHERITS: &str = "[lints]\nworkspace = true\n";

/// What the workspace must say: a warning is an error in `.ci/run`.
const WANTED: &[&str] = &[
    "dbg_macro",
    "expect_used",
    "missing_docs",
    "panic",
    "todo",
    "too_many_lines",
    "unimplemented",
    "unreachable",
    "unsafe_code",
    "unused_must_use",
    "unwrap_used",
];

fn lints(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in &tree.files {
        let path = file.path.as_str();
        if path == "Cargo.toml" {
            broken.extend(
                missing(&file.text).map(|lint| format!("{path}: {lint} is not a lint of the workspace")),
            );
        } else if path.ends_with("/Cargo.toml") && !file.text.contains(INHERITS) {
            broken.push(format!("{path}: no [lints] of the workspace"));
        }
        let is_room = path.ends_with("/src/lib.rs") && NO_INDEXING.contains(&file.room());
        if is_room && !file.text.lines().any(|line| line == DENY_INDEXING) {
            broken.push(format!("{path}: {DENY_INDEXING} is missing"));
        }
    }
    broken
}

/// Lints that the workspace does not set, or sets to less than a warning.
fn missing(manifest: &str) -> impl Iterator<Item = &'static str> {
    let set = |lint: &str, level: &str| manifest.lines().any(|line| line == format!("{lint} = \"{level}\""));
    WANTED
        .iter()
        .copied()
        .filter(move |lint| !["warn", "deny", "forbid"].iter().any(|level| set(lint, level)))
}

#[test]
fn every_crate_is_held_to_the_lints() -> anyhow::Result<()> {
    assert_kept(&lints(tree()?));
    Ok(())
}

#[test]
fn a_crate_that_is_held_to_nothing_is_found() {
    let broken = lints(&Tree::of_files(&[
        ("Cargo.toml", "[workspace.lints.clippy]\npanic = \"allow\"\ntodo = \"warn\"\n"),
        ("host/crates/smtp/Cargo.toml", "[package]\nname = \"maitred-smtp\"\n"),
        ("host/crates/smtp/src/lib.rs", "//! SMTP.\n"),
        ("host/crates/net/Cargo.toml", "[lints]\nworkspace = true\n"),
        ("host/crates/net/src/lib.rs", "//! Sockets.\n"),
    ]));
    for found in ["panic is not a lint", "smtp/Cargo.toml: no [lints]", "smtp/src/lib.rs: #![deny"] {
        assert_finds(&broken, found);
    }
    assert!(!broken.iter().any(|line| line.contains("/net/") || line.contains(" todo ")), "{broken:?}");
}
