//! Builds the fixtures to components.

#[path = "../../host/crates/bundled/guests.rs"]
mod guests;

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.replace('\n', "\ncargo::error="));
    }
}

fn run() -> Result<(), String> {
    let suite = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    let root = suite.join("../..");
    for place in ["plugin-sdk", "wit", "tests/plugins/guests", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(place).display());
    }
    let evil = guests::build(&root, &["evil"])?.join("evil.wasm");
    let text =
        format!("/// The fixture that misbehaves.\npub const EVIL: &[u8] = include_bytes!({evil:?});\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("fixtures.rs");
    fs::write(out, text).map_err(|error| error.to_string())
}
