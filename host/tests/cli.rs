//! The command line as a process: words in, exit codes out. (That this suite is here makes `cargo test` build the program, which
//! `tests/e2e` and `tests/crash` start.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

fn maitred(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_maitred"))
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn help_and_version_are_answers() {
    let help = maitred(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for command in
        ["serve", "demo", "check", "domain", "account", "alias", "queue", "plugin", "status", "reload"]
    {
        assert!(text.contains(&format!("\n  {command}")), "{command} is not in\n{text}");
    }
    let version = maitred(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap().trim(),
        concat!("maitred ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn bad_arguments_are_one_line_and_two() {
    for arguments in [
        &["bake"][..],
        &["serve", "--fast"],
        &["account", "add"],
        &["account", "add", "no-address", "--password-stdin"],
        &["alias", "add", "@", "x@a.test"],
        &["queue", "show", "??"],
        &["check", "--config"],
    ] {
        let told = maitred(arguments);
        let error = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.trim().lines().count(), 1, "{arguments:?}: {error}");
    }
}

#[test]
fn without_a_file_the_defaults_are_good() {
    let told = maitred(&["check", "--print", "--data", "data"]);
    let printed = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(printed.contains("2525") && printed.contains("[limits]"), "{printed}");
}

#[test]
fn what_needs_a_running_server_says_so() {
    for arguments in [&["status"][..], &["reload"], &["plugin", "list"]] {
        let told = maitred(&[arguments, &["--data", "data"]].concat());
        let error = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains("no server runs"), "{arguments:?}: {error}");
    }
}

#[test]
fn what_is_kept_is_its_owners_alone_in_a_folder_of_others_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let told = Command::new(env!("CARGO_BIN_EXE_maitred"))
        .args(["domain", "add", "a.test", "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut folders = vec![data];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let facts = entry.metadata().unwrap();
            assert_eq!(facts.permissions().mode() & 0o077, 0, "{}", entry.path().display());
            seen += 1;
            if facts.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 3);
}

#[test]
fn what_is_made_for_an_author_is_as_any_source_and_told_in_json() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("mine");
    let told = maitred(&["plugin", "new", "mine", "--dir", &project.to_string_lossy(), "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(answer["name"], "mine");
    assert!(answer["files"].as_array().is_some_and(|files| files.len() > 5), "{answer}");
    let mode = std::fs::metadata(project.join("Cargo.toml")).unwrap().permissions().mode();
    let beside = folder.path().join("beside");
    std::fs::write(&beside, "").unwrap();
    assert_eq!(mode, std::fs::metadata(&beside).unwrap().permissions().mode());
}
