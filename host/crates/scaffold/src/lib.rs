//! What plugins are made from: bindings for C, components out of core modules, and new projects in four languages.
//!
//! Rust, JavaScript and Python have tools of their own that end with a component. C has a compiler that ends with a core module; what
//! is missing on both sides of it, [`bindings_c`] and [`componentize`], is here, so that nobody needs a second tool for it.
//! [`inspect`] tells what a component asks for and offers; [`new_project`] writes a plugin that builds as it is.
//!
//! This is the only crate that names the tools of the component model which are not the host's. It imports nothing of ours: the
//! contract and the SDK come in as texts.

mod component;
mod language;
mod project;
mod template;

use std::io;
use std::path::PathBuf;

pub use component::{Interfaces, bindings_c, componentize, inspect};
pub use language::Language;
pub use project::new_project;

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name of a plugin is also that of its file, its package and its world.
    #[error(
        "{name:?} is no name for a plugin: a letter, then letters, digits, - and _, at most {max} in all"
    )]
    Name {
        /// As it was given.
        name: String,
        /// How long a name may be.
        max: usize,
    },
    /// A project in a language that there is no template for.
    #[error("{name:?} is no language with a template: rust, js, python or c")]
    Language {
        /// As it was given.
        name: String,
    },
    /// What is there already is not ours to write over.
    #[error("{} is there and is not an empty folder", dir.display())]
    NotEmpty {
        /// Where the project was to go.
        dir: PathBuf,
    },
    /// The contract could not be read, or has no such world.
    #[error("{}: {cause}", dir.display())]
    Wit {
        /// The folder of the contract.
        dir: PathBuf,
        /// What the parser said.
        cause: String,
    },
    /// The core module is none, or not one that the description in it fits.
    #[error("no component can be made of this module: {cause}")]
    Module {
        /// What the encoder said.
        cause: String,
    },
    /// Not a component.
    #[error("this is no component: {cause}")]
    Component {
        /// What the decoder said.
        cause: String,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
