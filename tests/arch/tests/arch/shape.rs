//! How long a file may be, and names that say nothing.

use crate::model::Tree;
use crate::source::has_word;
use crate::{assert_finds, assert_kept, tree};

const ASK_AT_LINES: usize = 600;
const SPLIT_AT_LINES: usize = 900;

const NAMES: &[&str] =
    &["common", "core", "helper", "helpers", "misc", "shared_types", "types", "util", "utils"];

/// Rust files that should be split, and those that must be.
fn long_files(tree: &Tree) -> (Vec<String>, Vec<String>) {
    let (mut asked, mut broken) = (Vec::new(), Vec::new());
    for file in tree.files.iter().filter(|file| file.path.ends_with(".rs")) {
        let lines = file.text.lines().count();
        let told = format!("{}: {lines} lines", file.path);
        match lines {
            SPLIT_AT_LINES.. => broken.push(told),
            ASK_AT_LINES.. => asked.push(told),
            _ => {}
        }
    }
    (asked, broken)
}

/// Crates, files, folders and modules with a name that says nothing.
fn empty_names(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for krate in &tree.crates {
        if krate.name.split('-').any(|part| NAMES.contains(&part)) {
            broken.push(format!("crate {}: what is it about?", krate.name));
        }
    }
    for file in tree.files.iter().filter(|file| file.path.ends_with(".rs")) {
        if file.path.split('/').any(|part| NAMES.contains(&part.trim_end_matches(".rs"))) {
            broken.push(format!("{}: what is it about?", file.path));
        }
        for (number, line) in file.source.lines().filter(|(_, line)| has_word(line, "mod")) {
            let name = line.split("mod ").nth(1).unwrap_or_default().split([' ', ';', '{']).next();
            if name.is_some_and(|name| NAMES.contains(&name)) {
                broken.push(format!(
                    "{}:{number}: mod {}: what is it about?",
                    file.path,
                    name.unwrap_or_default()
                ));
            }
        }
    }
    broken
}

#[test]
fn no_file_is_too_long() -> anyhow::Result<()> {
    let (asked, broken) = long_files(tree()?);
    for file in asked {
        println!("over {ASK_AT_LINES} lines, has it one subject? {file}");
    }
    assert_kept(&broken);
    Ok(())
}

#[test]
fn names_say_something() -> anyhow::Result<()> {
    assert_kept(&empty_names(tree()?));
    Ok(())
}

#[test]
fn long_files_are_found() {
    let (fine, asked, split) = ("\n".repeat(599), "\n".repeat(600), "\n".repeat(900));
    let found = long_files(&Tree::of_files(&[
        ("a.rs", &fine),
        ("b.rs", &asked),
        ("c.rs", &split),
        ("d.txt", &split),
    ]));
    assert_eq!(found, (vec!["b.rs: 600 lines".to_owned()], vec!["c.rs: 900 lines".to_owned()]));
}

#[test]
fn empty_names_are_found() {
    assert_finds(&empty_names(&Tree::of_crate("maitred-common", "words", &[], &[])), "crate maitred-common");
    assert_finds(&empty_names(&Tree::of_files(&[("host/crates/net/src/utils.rs", "")])), "utils.rs");
    assert_finds(&empty_names(&Tree::of_files(&[("host/crates/net/src/helpers/a.rs", "")])), "helpers/a.rs");
    assert_finds(&empty_names(&Tree::of_files(&[("host/src/a.rs", "pub(crate) mod misc {}")])), "mod misc");
    assert_kept(&empty_names(&Tree::of_files(&[
        ("host/src/score.rs", "mod core_of_it; // mod util"),
        ("wit/types.wit", ""),
    ])));
}
