//! Compiles the bundled plugins to components and says where they are.

mod guests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Package, name, whether a server without configuration loads it.
const BUNDLED: [(&str, &str, bool); 7] = [
    ("rules", "rules", true),
    ("greylist", "greylist", false),
    ("dnsbl", "dnsbl", false),
    ("dmarc", "dmarc", false),
    ("rate-limit", "rate-limit", false),
    ("subaddress", "subaddress", false),
    ("srs-forward", "srs-forward", false),
];
const DEMO: [(&str, &str, bool); 2] = [("demo-v1", "demo-filter", false), ("demo-v2", "demo-filter", false)];

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.replace('\n', "\ncargo::error="));
    }
}

fn run() -> Result<(), String> {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    let root = crate_dir.join("../../..");
    for place in ["plugin-sdk", "wit", ".cargo", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(place).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=guests.rs");
    let all: Vec<&str> = BUNDLED.iter().chain(&DEMO).map(|(package, ..)| *package).collect();
    // Not all of plugins/: what is built among the examples there concerns nobody here.
    for package in &all {
        println!("cargo::rerun-if-changed={}", root.join("plugins").join(package).display());
    }
    let components = guests::build(&root, &all)?;
    let text = format!(
        "/// Known by name to every server.\n\
         pub const PLUGINS: &[Component] = &[{}];\n\
         /// The two versions that `maitred demo` swaps.\n\
         pub const DEMO: &[Component] = &[{}];\n",
        list(&components, &BUNDLED),
        list(&components, &DEMO)
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("components.rs");
    fs::write(out, text).map_err(|error| error.to_string())
}

fn list(components: &Path, bundled: &[(&str, &str, bool)]) -> String {
    let mut text = String::new();
    for (package, name, is_default) in bundled {
        let file = components.join(format!("{}.wasm", package.replace('-', "_")));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "Component {{ name: {name:?}, is_default: {is_default}, octets: include_bytes!({file:?}) }},"
        );
    }
    text
}
