//! What every room owes to who opens it: each file begins by saying what it is, and each plugin that comes with the binary is tried
//! as plain Rust.

use std::collections::BTreeMap;

use crate::model::Tree;
use crate::{assert_finds, assert_kept, tree};

/// Files of crates and modules that do not open with `//!`.
fn silent_files(tree: &Tree) -> Vec<String> {
    let opens = |text: &str| text.lines().next().is_some_and(|line| line.starts_with("//! "));
    let silent = tree.shipped().filter(|file| !opens(&file.text));
    let told = silent.map(|file| format!("{}: its first line does not say what it is", file.path));
    // Suites are opened too, at their root.
    let suites = tree.files.iter().filter(|file| {
        let is_root = ["/lib.rs", "/main.rs"].iter().any(|name| file.path.ends_with(name));
        file.path.starts_with("tests/") && is_root && !opens(&file.text)
    });
    told.chain(suites.map(|file| format!("{}: its first line does not say what it is", file.path))).collect()
}

/// Plugins without a unit test.
fn untried_plugins(tree: &Tree) -> Vec<String> {
    let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
    for file in
        tree.files.iter().filter(|file| file.path.starts_with("plugins/") && file.path.ends_with(".rs"))
    {
        let found = file.text.lines().filter(|line| line.trim() == "#[test]").count();
        *tests.entry(file.room()).or_default() += found;
    }
    let untried = tests.into_iter().filter(|(_, tests)| *tests == 0);
    untried.map(|(plugin, _)| format!("plugins/{plugin}: no unit test")).collect()
}

#[test]
fn files_say_what_they_are() -> anyhow::Result<()> {
    assert_kept(&silent_files(tree()?));
    Ok(())
}

#[test]
fn bundled_plugins_are_tried_as_plain_rust() -> anyhow::Result<()> {
    let tree = tree()?;
    assert!(tree.files.iter().any(|file| file.path.starts_with("plugins/")), "no plugin was read");
    assert_kept(&untried_plugins(tree));
    Ok(())
}

#[test]
fn a_file_that_does_not_say_what_it_is_is_found() {
    let broken = silent_files(&Tree::of_files(&[
        ("host/crates/net/src/lib.rs", "mod gate;\n"),
        ("host/crates/net/src/gate.rs", "// No doc comment.\n"),
        ("tests/crash/src/lib.rs", "fn f() {}\n"),
    ]));
    for found in ["net/src/lib.rs", "net/src/gate.rs", "tests/crash/src/lib.rs"] {
        assert_finds(&broken, found);
    }
    assert_kept(&silent_files(&Tree::of_files(&[
        ("host/crates/net/src/lib.rs", "//! Sockets.\n"),
        ("host/crates/net/src/gate/tests.rs", "use super::*;\n"),
    ])));
}

#[test]
fn a_plugin_that_nobody_tried_is_found() {
    let broken = untried_plugins(&Tree::of_files(&[
        ("plugins/a/src/lib.rs", "//! A.\n// #[test] is for others\n"),
        ("plugins/b/src/lib.rs", "//! B.\nmod rule;\n"),
        ("plugins/b/src/rule.rs", "//! Rules.\n    #[test]\n    fn f() {}\n"),
    ]));
    assert_eq!(broken, ["plugins/a: no unit test"]);
}
