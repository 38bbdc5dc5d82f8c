//! What others' code may be under, so that maitred stays MIT OR Apache-2.0: permissive licences, over all that Cargo.lock can bring.

use crate::model::{Outside, Tree};
use crate::{assert_finds, assert_kept, tree};

/// SPDX names of licences that ask for no more than their text.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crate, licence beyond the list, why that is fine.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "webpki-roots",
        "CDLA-Permissive-2.0",
        "a list of certificates is data; this licence for data asks for nothing but its text",
    ),
    ("webpki-root-certs", "CDLA-Permissive-2.0", "the same data in another form"),
    (
        "aws-lc-sys",
        "OpenSSL",
        "permissive; the acknowledgement that it asks for is in its own files, which we do not change",
    ),
];

fn licences(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for krate in &tree.outside {
        match &krate.licence {
            None => broken.push(format!("{} {}: no licence in its manifest", krate.name, krate.version)),
            Some(licence) if !is_fine(&krate.name, licence) => {
                broken.push(format!("{} {}: {licence}", krate.name, krate.version));
            }
            Some(_) => {}
        }
    }
    broken
}

/// An SPDX expression: `OR` binds weakest; the old `/` is an `OR`. What cannot be read is not fine.
fn is_fine(name: &str, licence: &str) -> bool {
    let spaced = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    choice(name, &mut words).is_some_and(|fine| fine && words.next().is_none())
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn choice(name: &str, words: &mut Words<'_>) -> Option<bool> {
    let mut fine = all(name, words)?;
    while words.next_if_eq(&"OR").is_some() {
        fine |= all(name, words)?;
    }
    Some(fine)
}

fn all(name: &str, words: &mut Words<'_>) -> Option<bool> {
    let mut fine = one(name, words)?;
    while words.next_if_eq(&"AND").is_some() {
        fine &= one(name, words)?;
    }
    Some(fine)
}

fn one(name: &str, words: &mut Words<'_>) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let fine = choice(name, words)?;
        return words.next_if_eq(&")").map(|_| fine);
    }
    let licence = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{word} WITH {}", words.next()?),
        None => word.to_owned(),
    };
    let is_exception = EXCEPTIONS.iter().any(|(krate, exception, _)| *krate == name && *exception == licence);
    Some(is_exception || PERMISSIVE.contains(&licence.as_str()))
}

#[test]
fn others_code_is_under_permissive_licences() -> anyhow::Result<()> {
    let tree = tree()?;
    // Fewer than that, and the graph was not read.
    assert!(tree.outside.len() > 100, "{} crates of others", tree.outside.len());
    assert_kept(&licences(tree));
    Ok(())
}

#[test]
fn each_exception_has_a_reason() {
    assert!(EXCEPTIONS.iter().all(|(_, _, reason)| reason.len() > 20));
}

#[test]
fn choices_are_ours_and_sums_are_not() {
    for licence in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "MPL-2.0 OR MIT OR Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "ISC AND (Apache-2.0 OR ISC)",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
    ] {
        assert!(is_fine("any", licence), "{licence}");
    }
    for licence in [
        "GPL-3.0-only",
        "AGPL-3.0-or-later",
        "MPL-2.0",
        "MIT AND GPL-3.0-only",
        "",
        "MIT OR",
        "(MIT",
        "OpenSSL",
    ] {
        assert!(!is_fine("any", licence), "{licence}");
    }
}

#[test]
fn copyleft_and_silence_are_found() {
    let outside = |name: &str, licence: Option<&str>| Outside {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        licence: licence.map(str::to_owned),
    };
    let outside = vec![outside("viral", Some("GPL-3.0-only")), outside("silent", None)];
    let broken = licences(&Tree { outside, ..Tree::default() });
    assert_finds(&broken, "viral 1.0.0: GPL-3.0-only");
    assert_finds(&broken, "silent 1.0.0: no licence");
}
