//! Compiled components on disk, so that a start does not compile.
//!
//! A compiled component is executable code. The folder is the server's alone (0700); beside each artefact lies its BLAKE3
//! digest, keyed with a secret of this folder, which is checked before the artefact is mapped; its name says which component,
//! configuration and engine it was made from. Nothing from outside is ever put here.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::Engine;
use wasmtime::component::Component;

/// The folder of artefacts.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    engine_hash: u64,
}

const KEY_FILE: &str = "key";
/// Artefacts that are kept; the oldest go.
const ARTEFACTS_MAX: usize = 64;

impl Cache {
    pub(crate) fn open(folder: &Path, engine: &Engine) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // The folder may have been there; only its owner can do this.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let path = folder.join(KEY_FILE);
        let key = match fs::read(&path) {
            Ok(octets) if octets.len() == 32 => octets,
            _ => {
                let mut octets = vec![0; 32];
                io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut octets)?;
                write_private(&path, &octets)?;
                octets
            }
        };
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
        let engine_hash = std::hash::Hasher::finish(&hasher);
        let key = key.try_into().map_err(|_| io::Error::other("the key of the plugin cache"))?;
        Ok(Self { folder: folder.to_owned(), key, engine_hash })
    }

    /// What this component with this configuration was compiled to before, if it is there and whole.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let expected = fs::read(path.with_extension("mac")).ok()?;
        let artefact = fs::read(&path).ok()?;
        if blake3::keyed_hash(&self.key, &artefact).as_bytes().as_slice() != expected {
            tracing::warn!(file = %path.display(), "compiled plugin is damaged, compiling it anew");
            return None;
        }
        drop(artefact);
        #[expect(
            unsafe_code,
            reason = "the artefact was made by this server and its keyed digest was just checked"
        )]
        // SAFETY: deserialising demands an artefact of `Component::serialize` that was not tampered with: see above.
        let component = unsafe { Component::deserialize_file(engine, &path) };
        component.ok()
    }

    /// Keeps an artefact. A cache that cannot be written costs time at the next start, nothing else.
    pub(crate) fn keep(&self, digest: &str, component: &Component) {
        let kept =
            component.serialize().map_err(|error| io::Error::other(error.to_string())).and_then(|artefact| {
                let path = self.path(digest);
                write_private(&path, &artefact)?;
                write_private(
                    &path.with_extension("mac"),
                    blake3::keyed_hash(&self.key, &artefact).as_bytes(),
                )
            });
        if let Err(error) = kept.and_then(|()| self.prune()) {
            tracing::warn!(error = %error, "compiled plugin not kept");
        }
    }

    /// Each version with each configuration leaves an artefact.
    fn prune(&self) -> io::Result<()> {
        let mut artefacts: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let made = path.metadata().and_then(|facts| facts.modified()).ok()?;
                path.extension().is_some_and(|extension| extension == "cwasm").then_some((made, path))
            })
            .collect();
        artefacts.sort();
        for (_, path) in artefacts.iter().take(artefacts.len().saturating_sub(ARTEFACTS_MAX)) {
            fs::remove_file(path)?;
            fs::remove_file(path.with_extension("mac"))?;
        }
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{:016x}.cwasm", self.engine_hash))
    }
}

/// Whole or not at all, readable by the owner alone.
pub(crate) fn write_private(path: &Path, octets: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
