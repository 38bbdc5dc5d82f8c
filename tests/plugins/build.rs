//! Builds the fixtures to components.

#[path = "../../host/crates/bundled/guests.rs"]
mod guests;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// Package, where it lies, the constant it becomes, what it is.
const GUESTS: [(&str, &str, &str, &str); 4] = [
    ("evil", "tests/plugins/guests/evil", "EVIL", "The one that misbehaves."),
    ("light", "tests/plugins/guests/light", "LIGHT", "The one that does next to nothing."),
    ("probe", "tests/plugins/guests/probe", "PROBE", "The one that does what its configuration says."),
    ("doorman", "plugins/examples/rust", "DOORMAN", "The example in Rust."),
];

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.replace('\n', "\ncargo::error="));
    }
}

fn run() -> Result<(), String> {
    let suite = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    let root = suite.join("../..");
    for place in ["plugin-sdk", "wit", ".cargo", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(place).display());
    }
    for (_, place, ..) in GUESTS {
        // Not the whole folder: an example leaves what it built there.
        println!("cargo::rerun-if-changed={}", root.join(place).join("src").display());
        println!("cargo::rerun-if-changed={}", root.join(place).join("Cargo.toml").display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let components = guests::build(&root, &GUESTS.map(|(package, ..)| package))?;
    let mut text = String::new();
    for (package, _, name, what) in GUESTS {
        let file = components.join(format!("{package}.wasm"));
        // Writing to a string does not fail.
        let _ = writeln!(text, "/// {what}\npub const {name}: &[u8] = include_bytes!({file:?});");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("fixtures.rs");
    fs::write(out, text).map_err(|error| error.to_string())
}
