//! Writes down what a new project gets of this tree: the contract in `wit/`, the SDK's sources and its manifest.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={error}");
    }
}

fn run() -> io::Result<()> {
    let var =
        |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_owned()));
    let root = var("CARGO_MANIFEST_DIR")?.join("../../..").canonicalize()?;
    // Released contracts lie in folders below `wit/`; a new plugin is for the one that is being written.
    let wit = list(&root.join("wit"), "wit", false)?;
    let sdk = list(&root.join("plugin-sdk/src"), "rs", true)?;
    let manifests = [root.join("Cargo.toml"), root.join("plugin-sdk/Cargo.toml")];
    let [workspace, of_sdk] = manifests.each_ref().map(fs::read_to_string);
    let manifest = standalone(&workspace?, &of_sdk?).map_err(io::Error::other)?;
    let text = format!(
        "/// The contract that is being written.\npub(crate) const WIT: &[(&str, &str)] = &[\n{wit}];\n\
         /// The sources of the SDK for Rust.\npub(crate) const SDK: &[(&str, &str)] = &[\n{sdk}];\n\
         /// Its manifest, out of the workspace.\npub(crate) const SDK_MANIFEST: &str = {manifest:?};\n"
    );
    for manifest in manifests {
        println!("cargo::rerun-if-changed={}", manifest.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    fs::write(var("OUT_DIR")?.join("embedded.rs"), text)
}

/// A line of Rust for each such file, in the order of their names.
fn list(folder: &Path, ending: &str, is_deep: bool) -> io::Result<String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && is_deep {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    let mut text = String::new();
    for file in found {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        // Writing to a string does not fail.
        let _ = writeln!(text, "    ({name:?}, include_str!({:?})),", file.display().to_string());
    }
    Ok(text)
}

/// The manifest of a member of the workspace with everything written out that it takes from there; without the house's lints.
fn standalone(workspace: &str, member: &str) -> Result<String, String> {
    let mut text = String::new();
    for line in without_lints(member).lines() {
        let written = match line.split_once(".workspace = true") {
            Some((key, "")) => format!("{key} = {}", inherited(workspace, key)?),
            _ => match line.split_once(" = { workspace = true, ") {
                Some((key, own)) => format!("{key} = {{ {}, {own}", fields(&inherited(workspace, key)?)),
                None => line.to_owned(),
            },
        };
        if written.contains("workspace") {
            return Err(format!("plugin-sdk/Cargo.toml: {line}: this is not understood here"));
        }
        text.push_str(&written);
        text.push('\n');
    }
    Ok(text)
}

/// The lints are the house's, with a comment above them.
fn without_lints(member: &str) -> String {
    let is_kept = |paragraph: &&str| !paragraph.contains("[lints]");
    member.split("\n\n").filter(is_kept).collect::<Vec<_>>().join("\n\n")
}

/// What the workspace's manifest says for a key, in one line.
fn inherited(workspace: &str, key: &str) -> Result<String, String> {
    let value = workspace.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    value.map(str::to_owned).ok_or_else(|| format!("Cargo.toml: no {key}"))
}

/// `"1"` and `{ version = "1" }` as the fields of a table.
fn fields(dependency: &str) -> String {
    match dependency.strip_prefix("{ ").and_then(|rest| rest.strip_suffix(" }")) {
        Some(fields) => fields.to_owned(),
        None => format!("version = {dependency}"),
    }
}
