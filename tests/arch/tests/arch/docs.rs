//! What documents promise and can be looked up: links within the tree, and the two commands of the README that `.ci/run` takes from it.

use crate::model::{File, Tree};
use crate::{assert_finds, assert_kept, tree};

const TWO_COMMANDS: &str = "\n## Two commands\n";

/// Links to files that are not there.
fn dead_links(tree: &Tree) -> Vec<String> {
    let mut broken = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in prose(file) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = link.split('#').next().unwrap_or_default();
                let is_outside = path.contains("://") || path.starts_with("mailto:");
                if !path.is_empty() && !is_outside && !is_there(tree, &resolved(&file.path, path)) {
                    broken.push(format!("{}:{number}: {link} is not there", file.path));
                }
            }
        }
    }
    broken
}

/// Lines outside fenced blocks, numbered from 1.
fn prose(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    (1..).zip(file.text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

/// A link in this file, from the root.
fn resolved(file: &str, link: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// A file, or a folder with something in it.
fn is_there(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    tree.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// What the README lacks.
fn commands(tree: &Tree) -> Vec<String> {
    let readme =
        tree.files.iter().find(|file| file.path == "README.md").map_or("", |file| file.text.as_str());
    let section =
        readme.split(TWO_COMMANDS).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let lines: Vec<&str> = block.lines().collect();
    let is_right = matches!(lines.as_slice(), [run, test] if run.starts_with("cargo run") && test.starts_with("cargo test"));
    if is_right {
        Vec::new()
    } else {
        vec![format!(
            "README.md: a cargo run and a cargo test are wanted in an sh block under Two commands, not {lines:?}"
        )]
    }
}

#[test]
fn links_within_the_tree_lead_somewhere() -> anyhow::Result<()> {
    assert_kept(&dead_links(tree()?));
    Ok(())
}

#[test]
fn the_readme_has_its_two_commands() -> anyhow::Result<()> {
    assert_kept(&commands(tree()?));
    Ok(())
}

#[test]
fn dead_links_are_found() {
    let text = "[a](b.md) [c](../src/lib.rs#x) [d](#e) [f](https://example.org/g.md)\n```\n[h](i)\n```\n[j](gone.md#k)\n";
    let tree = Tree::of_files(&[("docs/a.md", text), ("docs/b.md", ""), ("src/lib.rs", "")]);
    assert_eq!(dead_links(&tree), ["docs/a.md:5: gone.md#k is not there"]);
}

#[test]
fn a_readme_without_its_commands_is_found() {
    let readme = |block: &str| format!("# x\n\n## Two commands\n\n```sh\n{block}```\n\n## More\n");
    let fine = readme("cargo run --release\ncargo test --workspace\n");
    assert_kept(&commands(&Tree::of_files(&[("README.md", &fine)])));
    for block in ["cargo run\n", "cargo test\ncargo run\n", "make\ncargo run\ncargo test\n"] {
        assert_finds(&commands(&Tree::of_files(&[("README.md", &readme(block))])), "are wanted");
    }
    assert_finds(&commands(&Tree::default()), "are wanted");
}
