//! What plugins are made from: bindings for C, and components out of core modules.
//!
//! Rust, JavaScript and Python have tools of their own that end with a component. C has a compiler that ends with a core module; what
//! is missing on both sides of it, [`bindings_c`] and [`componentize`], is here, so that nobody needs a second tool for it.
//! [`inspect`] tells what a component asks for and offers.
//!
//! This is the only crate that names the tools of the component model which are not the host's. It imports nothing of ours.

mod component;

use std::path::PathBuf;

pub use component::{Interfaces, bindings_c, componentize, inspect};

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
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
}
