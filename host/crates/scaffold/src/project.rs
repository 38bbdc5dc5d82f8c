//! New projects: a folder with a plugin that builds as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::template::{self, WORLD};
use crate::{Language, ScaffoldError, bindings_c};

/// How long a name may be, octets; as the server has it.
pub(crate) const NAME_OCTETS_MAX: usize = 64;

/// Where the bindings for C go.
const BINDINGS: &str = "bindings";

/// Writes a plugin in that language to `dir`, which is made, or is empty. Answers the files, in order.
///
/// # Errors
/// A name that a plugin cannot have, a folder with something in it, the disk.
pub fn new_project(name: &str, language: Language, dir: &Path) -> Result<Vec<PathBuf>, ScaffoldError> {
    if !is_legal(name) {
        return Err(ScaffoldError::Name { name: name.to_owned(), max: NAME_OCTETS_MAX });
    }
    make_empty(dir)?;
    let mut written = Vec::new();
    for (path, text) in template::files(name, language) {
        write(&mut written, dir.join(path), text.as_bytes())?;
    }
    if language == Language::C {
        for (path, octets) in bindings_c(&dir.join("wit"), WORLD)? {
            write(&mut written, dir.join(BINDINGS).join(path), &octets)?;
        }
    }
    written.sort();
    Ok(written)
}

/// As the server has it; the first is a letter, because Cargo wants it so.
fn is_legal(name: &str) -> bool {
    name.len() <= NAME_OCTETS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn make_empty(dir: &Path) -> Result<(), ScaffoldError> {
    let disk = |source| ScaffoldError::Disk { path: dir.to_owned(), source };
    let is_empty = fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    match is_empty {
        Ok(true) => Ok(()),
        Ok(false) => Err(ScaffoldError::NotEmpty { dir: dir.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir).map_err(disk),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(ScaffoldError::NotEmpty { dir: dir.to_owned() })
        }
        Err(error) => Err(disk(error)),
    }
}

fn write(written: &mut Vec<PathBuf>, path: PathBuf, octets: &[u8]) -> Result<(), ScaffoldError> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, octets));
    let made = made.and_then(|()| make_runnable(&path));
    match made {
        Ok(()) => {
            written.push(path);
            Ok(())
        }
        Err(source) => Err(ScaffoldError::Disk { path, source }),
    }
}

/// Scripts are started by their name.
#[cfg(unix)]
fn make_runnable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    if path.extension().is_none_or(|extension| extension != "sh") {
        return Ok(());
    }
    let mut permissions = fs::metadata(path)?.permissions();
    // Who may read it may run it.
    let mode = permissions.mode();
    permissions.set_mode(mode | (mode & 0o444) >> 2);
    fs::set_permissions(path, permissions)
}

#[cfg(not(unix))]
fn make_runnable(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
