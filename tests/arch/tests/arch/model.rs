//! The tree in memory: crates with what they depend on, files with their text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::source::Source;

/// All that a rule may look at.
#[derive(Debug, Default)]
pub struct Tree {
    pub crates: Vec<Crate>,
    pub files: Vec<File>,
    /// Crates of others, with their licence: everything that Cargo.lock can bring in.
    pub outside: Vec<Outside>,
}

/// A crate of ours.
#[derive(Debug, Default)]
pub struct Crate {
    pub name: String,
    /// What its manifest says in `package.metadata.maitred.layer`.
    pub layer: String,
    /// Needed to build it, on any platform, build scripts included.
    pub dependencies: Vec<String>,
    pub dev_dependencies: Vec<String>,
}

/// A crate of someone else.
#[derive(Debug, Default)]
pub struct Outside {
    pub name: String,
    pub version: String,
    pub licence: Option<String>,
}

/// A file of ours; `path` from the root, with `/`.
#[derive(Debug, Default)]
pub struct File {
    pub path: String,
    pub text: String,
    pub source: Source,
}

impl Tree {
    /// Reads what is there.
    pub fn read() -> Result<Self> {
        let root = root()?;
        let (crates, outside) = packages(&root)?;
        Ok(Self { crates, files: files(&root)?, outside })
    }

    /// A tree of files alone, for broken samples.
    pub fn of_files(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File::new(path, (*text).to_owned())).collect();
        Self { files, ..Self::default() }
    }

    /// A tree of one crate, for broken samples.
    pub fn of_crate(name: &str, layer: &str, dependencies: &[&str], dev_dependencies: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let krate = Crate {
            name: name.to_owned(),
            layer: layer.to_owned(),
            dependencies: owned(dependencies),
            dev_dependencies: owned(dev_dependencies),
        };
        Self { crates: vec![krate], ..Self::default() }
    }

    /// Rust files outside tests, examples and the test kit.
    pub fn shipped(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs") && !is_test_path(&file.path))
    }
}

impl File {
    pub fn new(path: &str, text: String) -> Self {
        let source = Source::new(&text, !path.ends_with(".rs") || is_test_path(path));
        Self { path: path.to_owned(), text, source }
    }

    /// `host/crates/smtp/src/x.rs` is in room `smtp`; `plugins/rules/…` in `rules`.
    pub fn room(&self) -> &str {
        let mut parts = self.path.split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("host"), Some("crates"), Some(room)) | (Some("plugins"), Some(room), _) => room,
            (Some(first), _, _) => first,
            _ => "",
        }
    }
}

fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.starts_with("host/crates/testkit/")
        || path.split('/').any(|part| ["tests", "examples", "benches"].contains(&part))
}

fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().context("the root of the tree")
}

/// What git would know, without needing git: no hidden folders but .ci, no build output.
fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_symlink() || (name.starts_with('.') && name != ".ci") {
                continue;
            }
            if path.is_dir() {
                if !is_output(&path, name) {
                    folders.push(path);
                }
                continue;
            }
            let from_root = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            // What is no text is nothing to read: certificates in DER, components.
            if let Ok(text) = std::fs::read_to_string(&path) {
                found.push(File::new(&from_root, text));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_output(path: &Path, name: &str) -> bool {
    // What the examples in other languages are built with and to.
    let is_of_example = ["build", "deps", "dist", "node_modules"].contains(&name)
        && path.components().any(|part| part.as_os_str() == "examples");
    name == "target" || name == "maitred-data" || is_of_example || path.join("CACHEDIR.TAG").exists()
}

fn packages(root: &Path) -> Result<(Vec<Crate>, Vec<Outside>)> {
    let metadata = metadata(root)?;
    let members: Vec<_> = metadata.workspace_members.clone();
    let mut crates = Vec::new();
    let mut outside = BTreeMap::new();
    for package in &metadata.packages {
        let name = package.name.to_string();
        if !members.contains(&package.id) {
            let version = package.version.to_string();
            let licence = package.license.clone();
            outside.insert((name.clone(), version.clone()), Outside { name, version, licence });
            continue;
        }
        let of_kind = |is_dev: bool| {
            let wanted = package.dependencies.iter();
            wanted
                .filter(|dependency| (dependency.kind == DependencyKind::Development) == is_dev)
                .map(|dependency| dependency.name.clone())
                .collect()
        };
        let layer = package.metadata["maitred"]["layer"].as_str().unwrap_or_default().to_owned();
        crates.push(Crate { name, layer, dependencies: of_kind(false), dev_dependencies: of_kind(true) });
    }
    Ok((crates, outside.into_values().collect()))
}

/// Of all platforms; without a network, of this one, whose crates are here or this test would not have been built.
fn metadata(root: &Path) -> Result<cargo_metadata::Metadata> {
    let mut command = MetadataCommand::new();
    command.manifest_path(root.join("Cargo.toml"));
    let all = command.other_options(vec!["--locked".to_owned()]).exec();
    let Err(error) = all else { return all.context("cargo metadata") };
    println!("SKIPPED: licences of crates for other platforms: {error}");
    let rustc = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let told = String::from_utf8(rustc.stdout)?;
    let triple = told.lines().find_map(|line| line.strip_prefix("host: ")).context("no host in rustc -vV")?;
    let options = ["--locked", "--offline", "--filter-platform", triple].map(str::to_owned);
    command.other_options(options.to_vec()).exec().context("cargo metadata --offline")
}
