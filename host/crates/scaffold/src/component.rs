//! Bindings for C, components out of core modules, and what a component asks for and offers.
//!
//! The encoder is given no adapter for WASI's first preview: a core module that writes to standard output or opens files does not
//! become a component here. It has nothing to write to in a mail server either; the contract has a log.

use std::path::Path;

use wit_bindgen_core::{Files, WorldGenerator};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldId, WorldKey};

use crate::ScaffoldError;

/// What a component asks for and offers: names of interfaces with package and version, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    /// What it asks for.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

/// Bindings for C: names and contents of a source, a header and an object file with the description of the world.
///
/// `wit_dir` holds a package, and those that it needs in `deps/`; `world` is one of that package.
///
/// # Errors
/// A contract that cannot be read, a world that it does not have.
pub fn bindings_c(wit_dir: &Path, world: &str) -> Result<Vec<(String, Vec<u8>)>, ScaffoldError> {
    let wrong = |cause: String| ScaffoldError::Wit { dir: wit_dir.to_owned(), cause };
    let (mut resolve, world) = read(wit_dir, world).map_err(wrong)?;
    let mut files = Files::default();
    let mut generator: Box<dyn WorldGenerator> = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files).map_err(|error| wrong(format!("{error:#}")))?;
    Ok(files.iter().map(|(name, octets)| (name.to_owned(), octets.to_owned())).collect())
}

fn read(wit_dir: &Path, world: &str) -> Result<(Resolve, WorldId), String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit_dir).map_err(|error| format!("{error:#}"))?;
    let world = resolve.select_world(&[package], Some(world)).map_err(|error| format!("{error:#}"))?;
    Ok((resolve, world))
}

/// A component out of a core module that was linked with the bindings' object file.
///
/// # Errors
/// A module that is none, that does not hold a description, or that imports what its description does not have.
pub fn componentize(core_wasm: &[u8]) -> Result<Vec<u8>, ScaffoldError> {
    let wrong = |cause: String| ScaffoldError::Module { cause };
    let encoded = ComponentEncoder::default().validate(true).module(core_wasm);
    let encoded = encoded.and_then(|mut encoder| encoder.encode());
    let component = encoded.map_err(|error| wrong(format!("{error:#}")))?;
    // Without a description the encoder makes a component of it, too: one that nobody can call.
    if inspect(&component)?.exports.is_empty() {
        return Err(wrong("it exports nothing; was it linked with the bindings' object file?".to_owned()));
    }
    Ok(component)
}

/// What a component asks for and offers.
///
/// # Errors
/// Octets that are no valid component.
pub fn inspect(component: &[u8]) -> Result<Interfaces, ScaffoldError> {
    let wrong = |cause: String| ScaffoldError::Component { cause };
    // The decoder takes a core module for a component of nothing.
    if !component.starts_with(PREAMBLE) {
        return Err(wrong("it does not begin as one".to_owned()));
    }
    let decoded = wit_component::decode(component).map_err(|error| wrong(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(wrong("it is a contract, encoded".to_owned()));
    };
    let world = resolve.worlds.get(world).ok_or_else(|| wrong("it has no world".to_owned()))?;
    let names =
        |keys: &mut dyn Iterator<Item = &WorldKey>| keys.map(|key| resolve.name_world_key(key)).collect();
    Ok(Interfaces { imports: names(&mut world.imports.keys()), exports: names(&mut world.exports.keys()) })
}

/// How each component begins: magic, version, layer.
const PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";

#[cfg(test)]
mod tests;
