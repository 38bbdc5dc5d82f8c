//! Whether the tree keeps the house rules: who imports whom, what may not occur where, licences, known holes in others' code, the
//! plugin contract, the index of standards.
//!
//! Each rule is a function from a [`model::Tree`] to the places that break it, one line each. It is tried twice: on the tree that
//! is there, and on a small broken one, so that a rule that finds nothing is known to be able to find something.

mod advisories;
mod answers;
mod contract;
mod docs;
mod forbidden;
mod imports;
mod licences;
mod lints;
mod model;
mod opening;
mod rfc;
mod shape;
mod source;

use std::sync::OnceLock;

/// The tree, read once for all rules.
fn tree() -> anyhow::Result<&'static model::Tree> {
    static TREE: OnceLock<Result<model::Tree, String>> = OnceLock::new();
    let tree = TREE.get_or_init(|| model::Tree::read().map_err(|error| format!("{error:#}")));
    tree.as_ref().map_err(|error| anyhow::anyhow!("reading the tree: {error}"))
}

/// Fails with all of what a rule found.
#[track_caller]
fn assert_kept(broken: &[String]) {
    assert!(broken.is_empty(), "{} places break this rule:\n{}", broken.len(), broken.join("\n"));
}

/// A rule that is tried on a broken sample must name this.
#[track_caller]
fn assert_finds(broken: &[String], what: &str) {
    assert!(broken.iter().any(|line| line.contains(what)), "not found: {what}; found: {broken:#?}");
}
