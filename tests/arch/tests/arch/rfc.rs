//! The index of standards, `host/RFC.tsv`: number, title, `yes`, `partial` or `no`, room; sorted by number, separated by tabs.
//!
//! Each standard that code cites is in it, and each that is obeyed is cited in its room. A room is a crate under `host/crates`, a plugin,
//! `plugin-sdk`, `wit` or `host`; several are separated by commas. A `no` may stand without a room: `-`.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{File, Tree};
use crate::{assert_finds, assert_kept, tree};

const INDEX: &str = "host/RFC.tsv";

/// Which standards a text cites, as `RFC` and a number of three to five digits.
fn cited(text: &str) -> BTreeSet<u32> {
    let after = text.match_indices("RFC ").filter_map(|(at, found)| text.get(at + found.len()..));
    let digits = after.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.filter(|digits| (3..=5).contains(&digits.len())).filter_map(|digits| digits.parse().ok()).collect()
}

fn is_code(file: &File) -> bool {
    let is_ours =
        ["host/", "plugins/", "plugin-sdk/", "wit/"].iter().any(|place| file.path.starts_with(place));
    is_ours && file.path != INDEX
}

fn index(tree: &Tree) -> Vec<String> {
    let Some(index) = tree.files.iter().find(|file| file.path == INDEX) else {
        return vec![format!("{INDEX} is missing")];
    };
    let mut by_room: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for file in tree.files.iter().filter(|file| is_code(file)) {
        by_room.entry(file.room()).or_default().extend(cited(&file.text));
    }
    let mut broken = Vec::new();
    let mut indexed = BTreeSet::new();
    let mut last = 0;
    for (line, row) in index.text.lines().enumerate().map(|(at, row)| (at + 1, row)) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [number, title, state, rooms] = columns.as_slice() else {
            broken.push(format!("{INDEX}:{line}: four columns are wanted"));
            continue;
        };
        let Some(number) = number.parse::<u32>().ok().filter(|number| *number > last && !title.is_empty())
        else {
            broken.push(format!("{INDEX}:{line}: a number above the last one, and a title, are wanted"));
            continue;
        };
        last = number;
        indexed.insert(number);
        match *state {
            "yes" | "partial" => broken.extend(
                rooms
                    .split(',')
                    .filter_map(|room| uncited(number, room, &by_room))
                    .map(|told| format!("{INDEX}:{line}: {told}")),
            ),
            "no" => {}
            _ => broken.push(format!("{INDEX}:{line}: {state:?} is neither yes nor partial nor no")),
        }
    }
    for (room, cited) in &by_room {
        let missing = cited.difference(&indexed);
        broken.extend(missing.map(|number| format!("RFC {number} is cited in {room} and not in {INDEX}")));
    }
    broken
}

fn uncited(number: u32, room: &str, by_room: &BTreeMap<&str, BTreeSet<u32>>) -> Option<String> {
    match by_room.get(room) {
        None => Some(format!("there is no room {room:?}")),
        Some(cited) if !cited.contains(&number) => Some(format!("RFC {number} is not cited in {room}")),
        Some(_) => None,
    }
}

#[test]
fn the_index_of_standards_is_true() -> anyhow::Result<()> {
    assert_kept(&index(tree()?));
    Ok(())
}

#[test]
fn citations_are_read() {
    let text = "RFC 5321 §4.1 and RFC 822; no RFC, RFC 12, RFC 123456, RFC-2045";
    assert_eq!(cited(text).into_iter().collect::<Vec<_>>(), [822, 5321]);
}

#[test]
fn a_false_index_is_found() {
    let code = ("host/crates/smtp/src/a.rs", "// RFC 5321 §4; RFC 9999");
    let rows = "5321\tSimple Mail Transfer Protocol\tyes\tsmtp\n\
                3207\tStarttls\tyes\tsmtp\n\
                6152\t8BITMIME\tyes\tsmtp\n\
                6409\tSubmission\tpartial\tsubmission\n\
                6531\tInternationalized Email\tperhaps\tsmtp\n\
                6532\tHeaders\n";
    let broken = index(&Tree::of_files(&[code, (INDEX, rows)]));
    for found in [
        "RFC 9999 is cited in smtp and not in",
        "RFC.tsv:2: a number above",
        "RFC.tsv:3: RFC 6152 is not cited in smtp",
        "RFC.tsv:4: there is no room \"submission\"",
        "RFC.tsv:5: \"perhaps\"",
        "RFC.tsv:6: four columns",
    ] {
        assert_finds(&broken, found);
    }
    assert_finds(&index(&Tree::of_files(&[code])), "is missing");
}
