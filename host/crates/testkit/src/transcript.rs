//! Transcripts: scripted sessions of an engine, one text file a subject, so that a new case needs no Rust.
//!
//! `# title` begins a case, empty lines mean nothing, and each other line is a step: a mark of two characters, a space
//! that may be missing, a text. What the marks mean belongs to the engine's tests; by custom `= ` begins, `C:` the
//! client sends a line, `C>` it sends octets, `S:` we send a line that begins so, `? ` an event, `! ` its answer,
//! `@ ` so many seconds pass, `C.` the client hangs up.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One case while it is played.
pub trait Player {
    /// Plays a step.
    ///
    /// # Errors
    /// What happened instead.
    fn step(&mut self, mark: &str, text: &str) -> Result<(), String>;

    /// What came out of the engine and no step asked for: nothing, at the end of a good case.
    fn left(&mut self) -> Option<String>;
}

/// Plays every case of every `*.txt` in `folder`, each with a player of its own, and counts them.
///
/// # Errors
/// Every case that failed, with file, line and title; or why the files cannot be read.
pub fn play_folder<P: Player>(folder: &Path, mut player: impl FnMut() -> P) -> Result<usize, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let (mut cases, mut failures) = (0, String::new());
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for case in cases_of(&text) {
            cases += 1;
            if let Err((line, failure)) = play(&case, player()) {
                // Writing to a String cannot fail.
                let _ = writeln!(failures, "{}:{line}: {}: {failure}", path.display(), case.title);
            }
        }
    }
    if failures.is_empty() { Ok(cases) } else { Err(failures) }
}

/// The octets of a step's text: `\r`, `\n`, `\t`, `\0` and `\xHH` stand for one octet, `\` before anything else for that.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        if *octet != b'\\' {
            out.push(*octet);
            continue;
        }
        let Some((escaped, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = after;
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (escaped, hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'x', Some(octet)) => {
                out.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'r', _) => out.push(b'\r'),
            (b'n', _) => out.push(b'\n'),
            (b't', _) => out.push(b'\t'),
            (b'0', _) => out.push(0),
            (other, _) => out.push(*other),
        }
    }
    out
}

struct Case<'a> {
    title: &'a str,
    /// Line numbers from 1.
    steps: Vec<(usize, &'a str)>,
}

fn cases_of(text: &str) -> Vec<Case<'_>> {
    let mut cases = vec![Case { title: "", steps: Vec::new() }];
    for (at, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix('#') {
            cases.push(Case { title: title.trim(), steps: Vec::new() });
        } else if !line.trim().is_empty()
            && let Some(case) = cases.last_mut()
        {
            case.steps.push((at + 1, line));
        }
    }
    cases.retain(|case| !case.steps.is_empty());
    cases
}

fn play(case: &Case<'_>, mut player: impl Player) -> Result<(), (usize, String)> {
    let mut last = 0;
    for (line, step) in &case.steps {
        last = *line;
        let (mark, text) = step.split_at_checked(2).ok_or((last, format!("{step:?} is no step")))?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        player.step(mark, text).map_err(|failure| (last, failure))?;
    }
    player.left().map_or(Ok(()), |left| Err((last, format!("left at the end: {left}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says back what it hears.
    #[derive(Default)]
    struct Echo(Vec<String>);

    impl Player for Echo {
        fn step(&mut self, mark: &str, text: &str) -> Result<(), String> {
            match mark {
                "C:" => self.0.push(text.to_owned()),
                "S:" if self.0.first().is_some_and(|heard| heard == text) => drop(self.0.remove(0)),
                _ => return Err(format!("{mark} {text} does not fit {:?}", self.0)),
            }
            Ok(())
        }

        fn left(&mut self) -> Option<String> {
            self.0.pop()
        }
    }

    #[test]
    fn a_good_case_passes_and_a_bad_one_names_its_line() {
        let results: Vec<_> =
            cases_of("# good\n\nC: a\nS: a\n# wrong\nC: a\nS: b\n# more\nC:a\n# short\nC\n# none\n")
                .iter()
                .map(|case| play(case, Echo::default()).map_err(|(line, _)| (case.title.to_owned(), line)))
                .collect();
        let failed = |title: &str, line| Err((title.to_owned(), line));
        assert_eq!(results, [Ok(()), failed("wrong", 7), failed("more", 9), failed("short", 11)]);
    }

    #[test]
    fn escapes_become_octets() {
        assert_eq!(unescape(r"a\r\n\0\xffz\\\xg\"), b"a\r\n\0\xffz\\xg\\");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        assert!(play_folder(Path::new("no/such/folder"), Echo::default).is_err());
    }
}
