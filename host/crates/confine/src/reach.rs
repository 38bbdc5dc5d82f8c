//! What the process may still open: a list of folders and files that are there.

use std::path::{Path, PathBuf};

/// Folders and files, with all that is in them. What is not there when it is added is left out: the kernel knows files, not
/// names.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl Reach {
    /// To be read.
    pub fn add_read(&mut self, path: &Path) {
        // What is not there cannot be let in.
        self.read.extend(path.canonicalize());
    }

    /// To be read, changed, made and removed.
    pub fn add_write(&mut self, path: &Path) {
        self.write.extend(path.canonicalize());
    }

    /// To be read, and read again when another one has taken its name, as editors and certificate clients replace files:
    /// the folder that the name is in, and the one that it leads to. Not so in the root folder, which would be everything.
    pub fn add_replaceable(&mut self, file: &Path) {
        let named = folder_of(file).canonicalize();
        let real = file.canonicalize();
        let of_real = real.as_ref().ok().and_then(|file| file.parent()).map(Path::to_owned);
        self.read.extend(real);
        self.read.extend(named.ok().into_iter().chain(of_real).filter(|folder| folder.parent().is_some()));
    }

    /// Whether this may be read, be it there already or not.
    pub fn may_read(&self, path: &Path) -> bool {
        let real = resolve(path);
        self.read.iter().chain(&self.write).any(|within| real.starts_with(within))
    }

    /// Whether this may be changed or made.
    pub fn may_write(&self, path: &Path) -> bool {
        let real = resolve(path);
        self.write.iter().any(|within| real.starts_with(within))
    }

    /// What to read.
    pub(crate) fn read(&self) -> &[PathBuf] {
        &self.read
    }

    /// What to change.
    pub(crate) fn write(&self) -> &[PathBuf] {
        &self.write
    }
}

/// The folder that a name is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => file,
    }
}

/// Without links; of what is not there, the part that is.
fn resolve(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match path.file_name() {
        Some(name) => resolve(folder_of(path)).join(name),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_meant_with_all_that_is_or_will_be_in_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let mut reach = Reach::default();
        reach.add_write(&folder.path().join("data"));
        reach.add_read(&folder.path().join("absent"));
        for (path, is_in) in [("data", true), ("data/new/file", true), ("database", false), ("absent", false)]
        {
            let path = folder.path().join(path);
            assert_eq!((reach.may_read(&path), reach.may_write(&path)), (is_in, is_in), "{}", path.display());
        }
        assert!(!reach.may_read(&folder.path().join("data/../other")));
    }

    #[test]
    fn a_file_that_is_replaced_is_looked_for_where_its_name_is_and_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["live", "archive", "other"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("archive/cert1.pem"), "").unwrap();
        std::os::unix::fs::symlink("../archive/cert1.pem", path("live/cert.pem")).unwrap();
        let mut reach = Reach::default();
        reach.add_replaceable(&path("live/cert.pem"));
        assert!(reach.may_read(&path("live/cert.pem")) && reach.may_read(&path("archive/cert2.pem")));
        assert!(!reach.may_read(&path("other/cert.pem")) && !reach.may_write(&path("live/cert.pem")));
    }

    #[test]
    fn a_file_in_the_root_folder_does_not_let_everything_in() {
        let mut reach = Reach::default();
        reach.add_replaceable(Path::new("/maitred.toml"));
        assert!(!reach.may_read(Path::new("/etc/passwd")) && !reach.may_read(Path::new("/maitred.toml")));
    }

    #[test]
    fn a_bare_name_is_in_the_current_folder() {
        let mut reach = Reach::default();
        reach.add_replaceable(Path::new("maitred.toml"));
        assert!(reach.may_read(&std::env::current_dir().unwrap().join("maitred.toml")));
    }
}
