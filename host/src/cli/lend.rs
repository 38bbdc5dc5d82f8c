//! What a command names and the server shall read: handed over as a copy, for a server that has shut itself in reaches no
//! files but its own.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use maitred_admin::{Command, PluginCommand};
use tempfile::NamedTempFile;

use crate::config::ConfigError;

/// Puts a copy of the component that is named into the data directory, and its path into the command. The copy goes when
/// what is answered is dropped. What is no file is left for the server to refuse; and without such a directory no server
/// runs.
///
/// # Errors
/// Which file cannot be read, or the copy not be written.
pub(super) fn lend(command: &mut Command, data_dir: &Path) -> Result<Option<NamedTempFile>, ConfigError> {
    let Some((name, file)) = component(command) else { return Ok(None) };
    let (true, Ok(facts)) = (file.is_file(), data_dir.metadata()) else { return Ok(None) };
    let wrong = |file: &Path, error: io::Error| ConfigError::new(format!("{}: {error}", file.display()));
    let copy = tempfile::Builder::new().prefix("load-").suffix(".wasm").tempfile_in(data_dir);
    let copy = copy.map_err(|error| wrong(data_dir, error))?;
    let copied = File::open(&*file).and_then(|mut from| io::copy(&mut from, &mut copy.as_file()));
    copied.map_err(|error| wrong(file, error))?;
    // Root may ask; the server need not be root.
    let made = copy.as_file().metadata().map_err(|error| wrong(copy.path(), error))?;
    if (made.uid(), made.gid()) != (facts.uid(), facts.gid()) {
        chown(copy.path(), Some(facts.uid()), Some(facts.gid()))
            .map_err(|error| wrong(copy.path(), error))?;
    }
    let path = copy.path().canonicalize().map_err(|error| wrong(copy.path(), error))?;
    let lent = std::mem::replace(file, path);
    // Under the name of the file that was meant.
    name.get_or_insert_with(|| lent.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    Ok(Some(copy))
}

/// The component that a command names, and under which name.
fn component(command: &mut Command) -> Option<(&mut Option<String>, &mut PathBuf)> {
    let Command::Plugin { plugin } = command else { return None };
    match plugin {
        PluginCommand::Canary { name, file, .. }
        | PluginCommand::Load { name, file }
        | PluginCommand::Shadow { name, file } => Some((name, file)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(file: &Path) -> Command {
        Command::Plugin { plugin: PluginCommand::Load { name: None, file: file.to_owned() } }
    }

    #[test]
    fn a_component_is_copied_for_as_long_as_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let [data, file] = ["data", "mine.wasm"].map(|name| folder.path().join(name));
        fs::create_dir(&data).unwrap();
        fs::write(&file, "octets").unwrap();
        let mut command = load(&file);
        let copy = lend(&mut command, &data).unwrap();
        let (name, lent) = component(&mut command).unwrap();
        assert_eq!(name.as_deref(), Some("mine"));
        assert!(lent.starts_with(data.canonicalize().unwrap()));
        assert_eq!(fs::read(&lent).unwrap(), b"octets");
        drop(copy);
        assert!(!lent.exists() && file.exists());
    }

    #[test]
    fn what_is_no_file_or_has_no_server_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.wasm");
        fs::write(&file, "octets").unwrap();
        let absent = folder.path().join("absent");
        for (asked, data) in [(folder.path(), folder.path()), (file.as_path(), absent.as_path())] {
            let mut command = load(asked);
            assert!(lend(&mut command, data).unwrap().is_none());
            assert_eq!(component(&mut command).unwrap(), (&mut None, &mut asked.to_owned()));
        }
    }
}
