//! The plugin contract: `wit/*.wit` is the version being written, `wit/frozen/X.Y.Z/` are the released ones, which never change.
//!
//! What is written next has a version that is not released, or is the released one, octet for octet.
//!
//! A released folder holds its `.wit` files and `DIGESTS`: a line for each, BLAKE3 in hex, two blanks, the file's name.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{File, Tree};
use crate::{assert_finds, assert_kept, tree};

const PACKAGE: &str = "package maitred:plugin@";

fn contract(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    let mut written = BTreeSet::new();
    let mut released: BTreeMap<&str, BTreeMap<&str, &File>> = BTreeMap::new();
    let mut current: BTreeMap<&str, &File> = BTreeMap::new();
    for file in &tree.files {
        let parts: Vec<&str> = file.path.split('/').collect();
        match parts.as_slice() {
            ["wit", name] if name.ends_with(".wit") => match version(file) {
                Some(version) => {
                    written.insert(version);
                    current.insert(name, file);
                }
                None => broken.push(format!("{}: no line {PACKAGE}…;", file.path)),
            },
            ["wit", "frozen", version, name] => _ = released.entry(version).or_default().insert(name, file),
            ["wit", "frozen", ..] => broken.push(format!("{}: not in a folder of a version", file.path)),
            _ => {}
        }
    }
    if written.len() != 1 {
        broken.push(format!("wit/*.wit: one version is written at a time, not {written:?}"));
    }
    if released.is_empty() && written.iter().any(|version| !version.starts_with("0.")) {
        broken.push(format!("wit/*.wit: {written:?} without a released version in wit/frozen"));
    }
    for (version, files) in &released {
        broken.extend(frozen(version, files));
        if written.contains(version) {
            broken.extend(rewritten(version, files, &current));
        }
    }
    broken
}

/// What is written under the name of a released version, and differs from it.
fn rewritten(
    version: &str,
    released: &BTreeMap<&str, &File>,
    written: &BTreeMap<&str, &File>,
) -> Vec<String> {
    let names: BTreeSet<&str> = released.keys().chain(written.keys()).copied().collect();
    names
        .into_iter()
        .filter(|name| *name != "DIGESTS")
        .filter(|name| released.get(name).map(|file| &file.text) != written.get(name).map(|file| &file.text))
        .map(|name| format!("wit/{name}: {version} is released; what is changed has another version"))
        .collect()
}

fn version(file: &File) -> Option<&str> {
    file.text.lines().find_map(|line| line.trim().strip_prefix(PACKAGE)?.strip_suffix(';'))
}

/// What differs between a released folder and its digests.
fn frozen(released: &str, files: &BTreeMap<&str, &File>) -> Vec<String> {
    let Some(digests) = files.get("DIGESTS") else {
        return vec![format!("wit/frozen/{released}: no DIGESTS")];
    };
    let mut broken = Vec::new();
    let recorded: BTreeMap<&str, &str> = digests
        .text
        .lines()
        .filter_map(|line| line.split_once("  ").map(|(digest, name)| (name, digest)))
        .collect();
    for name in recorded.keys().filter(|name| !files.contains_key(*name)) {
        broken.push(format!("wit/frozen/{released}/{name}: recorded, but gone"));
    }
    if recorded.is_empty() {
        broken.push(format!("wit/frozen/{released}: DIGESTS records nothing"));
    }
    for (name, file) in files.iter().filter(|(name, _)| **name != "DIGESTS") {
        let digest = blake3::hash(file.text.as_bytes()).to_hex();
        match recorded.get(name) {
            None => broken.push(format!("{}: not in DIGESTS", file.path)),
            Some(recorded) if **recorded != *digest => {
                broken.push(format!("{}: changed after its release", file.path))
            }
            Some(_) => {}
        }
        if version(file) != Some(released) {
            broken.push(format!("{}: its package is not of version {released}", file.path));
        }
    }
    broken
}

#[test]
fn released_contracts_have_not_changed() -> anyhow::Result<()> {
    assert_kept(&contract(tree()?));
    Ok(())
}

const WRITTEN: (&str, &str) = ("wit/hooks.wit", "package maitred:plugin@0.2.0;\n");
const RELEASED: &str = "package maitred:plugin@0.1.0;\n";

#[test]
fn a_released_contract_with_its_digest_is_fine() {
    let digests = format!("{}  hooks.wit\n", blake3::hash(RELEASED.as_bytes()).to_hex());
    let tree = Tree::of_files(&[
        WRITTEN,
        ("wit/frozen/0.1.0/hooks.wit", RELEASED),
        ("wit/frozen/0.1.0/DIGESTS", &digests),
    ]);
    assert_kept(&contract(&tree));
}

#[test]
fn a_changed_or_half_made_release_is_found() {
    let digests = format!("{}  hooks.wit\n{0}  gone.wit\n", blake3::hash(b"as it was").to_hex());
    let tree = Tree::of_files(&[
        WRITTEN,
        ("wit/frozen/0.1.0/hooks.wit", RELEASED),
        ("wit/frozen/0.1.0/new.wit", WRITTEN.1),
        ("wit/frozen/0.1.0/DIGESTS", &digests),
        ("wit/frozen/0.0.1/hooks.wit", RELEASED),
        ("wit/frozen/stray.wit", RELEASED),
    ]);
    let broken = contract(&tree);
    for found in [
        "0.1.0/hooks.wit: changed",
        "0.1.0/gone.wit: recorded, but gone",
        "0.1.0/new.wit: not in DIGESTS",
        "0.1.0/new.wit: its package",
        "0.0.1: no DIGESTS",
        "stray.wit: not in a folder",
    ] {
        assert_finds(&broken, found);
    }
}

#[test]
fn a_released_version_that_is_written_anew_is_found() {
    let digests = format!("{}  hooks.wit\n", blake3::hash(RELEASED.as_bytes()).to_hex());
    let changed = format!("{RELEASED}interface new {{}}\n");
    let files = |written: &str| {
        Tree::of_files(&[
            ("wit/hooks.wit", written),
            ("wit/frozen/0.1.0/hooks.wit", RELEASED),
            ("wit/frozen/0.1.0/DIGESTS", &digests),
        ])
    };
    assert_kept(&contract(&files(RELEASED)));
    assert_finds(&contract(&files(&changed)), "wit/hooks.wit: 0.1.0 is released");
    let mut more = files(RELEASED);
    more.files.extend(Tree::of_files(&[("wit/more.wit", RELEASED)]).files);
    assert_finds(&contract(&more), "wit/more.wit: 0.1.0 is released");
}

#[test]
fn a_contract_of_two_versions_or_of_none_is_found() {
    let two = Tree::of_files(&[WRITTEN, ("wit/types.wit", RELEASED)]);
    assert_finds(&contract(&two), "one version is written at a time");
    let unreleased = Tree::of_files(&[("wit/types.wit", "package maitred:plugin@1.0.0;\n")]);
    assert_finds(&contract(&unreleased), "without a released version");
    let none = Tree::of_files(&[WRITTEN, ("wit/types.wit", "interface types {}\n")]);
    assert_finds(&contract(&none), "wit/types.wit: no line");
}
