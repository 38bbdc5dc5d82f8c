//! Whether what Cargo.lock names has a known hole: `host/ADVISORIES.tsv`, compared without a network.
//!
//! A version passes an advisory when it is in one of the patched or unaffected ranges. An entry that cannot be read is broken, for
//! it would let everything pass.

use std::collections::BTreeMap;

use cargo_metadata::semver::{Version, VersionReq};

use crate::model::Tree;
use crate::{assert_finds, assert_kept, tree};

const LIST: &str = "host/ADVISORIES.tsv";
const LOCK: &str = "Cargo.lock";

/// Advisories that nobody can heed today, and why that is bearable.
const ACCEPTED: &[(&str, &str)] = &[
    (
        "GHSA-f2pq-268w-886c",
        "on Windows only, where maitred does not run, and by way of files, which plugins are never given",
    ),
    ("RUSTSEC-2024-0384", "sled's parking_lot needs instant; it is not maintained, and has no known hole"),
    ("RUSTSEC-2025-0057", "sled needs fxhash; it is not maintained, and has no known hole"),
];

/// One line of the list.
struct Advisory<'a> {
    id: &'a str,
    krate: &'a str,
    /// Patched and unaffected: any of them will do.
    fine: Vec<VersionReq>,
    what: &'a str,
}

fn advisories(tree: &Tree) -> Vec<String> {
    let text = |path| tree.files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let (Some(list), Some(lock)) = (text(LIST), text(LOCK)) else {
        return vec![format!("{LIST} or {LOCK} is missing")];
    };
    let locked = match locked(lock) {
        Ok(locked) => locked,
        Err(problem) => return vec![format!("{LOCK}: {problem}")],
    };
    let mut broken = Vec::new();
    if !list.lines().any(is_dated) {
        broken.push(format!("{LIST}: no line says '# as of' a day"));
    }
    for (line, row) in list.lines().enumerate().filter(|(_, row)| !row.starts_with('#')) {
        match read(row) {
            Err(problem) => broken.push(format!("{LIST}:{}: {problem}", line + 1)),
            Ok(advisory) => {
                let versions = locked.get(advisory.krate).into_iter().flatten();
                let holed =
                    versions.filter(|version| !advisory.fine.iter().any(|fine| fine.matches(version)));
                let Advisory { id, krate, what, .. } = &advisory;
                let is_accepted = ACCEPTED.iter().any(|(accepted, _)| accepted == id);
                let told = holed.filter(|_| !is_accepted);
                broken.extend(told.map(|version| format!("{krate} {version}: {id}: {what}")));
            }
        }
    }
    broken
}

/// `# as of 2026-11-26`
fn is_dated(line: &str) -> bool {
    let Some(day) = line.strip_prefix("# as of ") else { return false };
    let parts: Vec<&str> = day.split('-').collect();
    parts.iter().map(|part| part.len()).eq([4, 2, 2])
        && parts.concat().bytes().all(|octet| octet.is_ascii_digit())
}

fn read(row: &str) -> Result<Advisory<'_>, String> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [id, krate, patched, unaffected, what] = columns[..] else {
        return Err("five columns are wanted".to_owned());
    };
    if !["RUSTSEC-", "CVE-", "GHSA-"].iter().any(|kind| id.starts_with(kind)) {
        return Err(format!("{id:?} is no identifier of an advisory"));
    }
    if krate.is_empty() || what.is_empty() {
        return Err("a crate and what it is about are wanted".to_owned());
    }
    let ranges = [patched, unaffected].into_iter().filter(|ranges| !ranges.is_empty());
    let ranges = ranges.flat_map(|ranges| ranges.split(" | "));
    // An empty range would be every version.
    let range = |text: &str| match text.trim() {
        "" | "*" => Err(format!("{text:?} is no range of versions")),
        _ => VersionReq::parse(text).map_err(|error| format!("{text:?}: {error}")),
    };
    Ok(Advisory { id, krate, fine: ranges.map(range).collect::<Result<_, _>>()?, what })
}

/// Every crate with its versions.
fn locked(lock: &str) -> Result<BTreeMap<&str, Vec<Version>>, String> {
    let mut found: BTreeMap<&str, Vec<Version>> = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(krate) = value(line, "name") {
            name = Some(krate);
        } else if let (Some(text), Some(krate)) = (value(line, "version"), name.take()) {
            let version = Version::parse(text).map_err(|error| format!("{krate} {text:?}: {error}"))?;
            found.entry(krate).or_default().push(version);
        }
    }
    if found.is_empty() { Err("no crate in it".to_owned()) } else { Ok(found) }
}

/// `key = "value"`
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}

#[test]
fn nothing_that_is_locked_has_a_known_hole() -> anyhow::Result<()> {
    assert_kept(&advisories(tree()?));
    Ok(())
}

#[test]
fn each_accepted_advisory_is_in_the_list_and_has_a_reason() -> anyhow::Result<()> {
    let list = tree()?.files.iter().find(|file| file.path == LIST);
    let list = list.map(|file| file.text.as_str()).unwrap_or_default();
    for (id, reason) in ACCEPTED {
        assert!(list.lines().any(|row| row.split('\t').next() == Some(id)), "{id} is not in {LIST}");
        assert!(reason.len() > 20, "{id}: {reason}");
    }
    Ok(())
}

const SAMPLE_LOCK: &str = "version = 4\n\n\
    [[package]]\nname = \"sandbox\"\nversion = \"48.0.2\"\nsource = \"registry\"\n\n\
    [[package]]\nname = \"words\"\nversion = \"0.24.1\"\ndependencies = [\n \"sandbox\",\n]\n\n\
    [[package]]\nname = \"words\"\nversion = \"1.2.0\"\n";

/// What is found when the list, after its first line, is this.
fn found(rows: &[&str]) -> Vec<String> {
    let list = format!("# as of 2026-11-26\n{}\n", rows.join("\n"));
    advisories(&Tree::of_files(&[(LOCK, SAMPLE_LOCK), (LIST, &list)]))
}

#[test]
fn a_locked_version_with_a_hole_is_found() {
    let broken = found(&["RUSTSEC-2026-9001\tsandbox\t>= 48.0.4, < 49.0.0 | >= 49.0.2\t< 39.0.0\tescape"]);
    assert_eq!(broken, ["sandbox 48.0.2: RUSTSEC-2026-9001: escape"]);
    // No version at all is fine; of two versions, the one with the hole is named.
    assert_finds(&found(&["CVE-2026-1\tsandbox\t\t\tabandoned"]), "sandbox 48.0.2: CVE-2026-1");
    let broken = found(&["GHSA-a-b\twords\t>= 1.0.0\t< 0.24.0\tgarbled"]);
    assert_eq!(broken, ["words 0.24.1: GHSA-a-b: garbled"]);
}

#[test]
fn a_version_that_is_patched_or_never_had_it_passes() {
    assert_kept(&found(&[
        "RUSTSEC-2026-9001\tsandbox\t>= 48.0.2, < 49.0.0 | >= 49.0.2\t\tpatched",
        "RUSTSEC-2026-9002\tsandbox\t>= 49.0.2\t< 48.1.0\tnever had it",
        "RUSTSEC-2026-9003\telsewhere\t\t\tnot locked",
        "RUSTSEC-2026-9004\twords\t^0.24.1 | >= 1.2\t\tboth patched",
    ]));
}

#[test]
fn a_list_that_cannot_be_read_is_found() {
    let row = "RUSTSEC-2026-9001\tsandbox";
    for (bad, told) in [
        (format!("{row}\t>= 1"), "five columns"),
        (format!("{row}\t>= 48.0.0.1\t\twhat"), "ADVISORIES.tsv:2: \">= 48.0.0.1\""),
        (format!("{row}\t>= 1 | *\t\twhat"), "\"*\" is no range"),
        (format!("{row}\t>= 1 | \t\twhat"), "\"\" is no range"),
        (format!("{row}\t>= 1\t\t"), "what it is about"),
        ("2026-9001\tsandbox\t>= 1\t\twhat".to_owned(), "no identifier"),
        (String::new(), "five columns"),
    ] {
        assert_finds(&found(&[&bad]), told);
    }
    let undated = "# as of today\n";
    assert_finds(&advisories(&Tree::of_files(&[(LOCK, SAMPLE_LOCK), (LIST, undated)])), "as of");
    assert_finds(&advisories(&Tree::of_files(&[(LOCK, "version = 4\n"), (LIST, undated)])), "no crate in it");
    assert_finds(&advisories(&Tree::of_files(&[(LOCK, SAMPLE_LOCK)])), "is missing");
}
