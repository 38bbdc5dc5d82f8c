//! Builds guests to components: for the bundled plugins here, and for the fixtures of the plugin suite.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// Builds these packages of the workspace at `root` and answers where the components are.
///
/// # Errors
/// One line that says what to do.
pub fn build(root: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    add_target()?;
    let target_dir = out.join("guests");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
    cargo.arg("--target-dir").arg(&target_dir);
    for package in packages {
        cargo.args(["-p", package]);
    }
    // What the outer build wants is not what a guest wants.
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_outer_build(name)) {
        cargo.env_remove(name);
    }
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("building plugins failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(target_dir.join(TARGET).join("guest"))
}

fn is_of_outer_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // How cargo reaches its registries is the same for both.
    let keep = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    let is_cargos = name.starts_with("CARGO_") && !keep.iter().any(|kept| name.starts_with(kept));
    is_cargos
        || [
            "RUSTFLAGS",
            "RUSTDOCFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC",
            "TARGET",
            "OUT_DIR",
            "MAKEFLAGS",
            "NUM_JOBS",
        ]
        .contains(&&*name)
}

/// Adds the Wasm target where rustup can, else says how.
fn add_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let is_there = printed.is_ok_and(|p| Path::new(String::from_utf8_lossy(&p.stdout).trim()).is_dir());
    if is_there {
        return Ok(());
    }
    match Command::new("rustup").args(["target", "add", TARGET]).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the plugins need the target {TARGET}: run `rustup target add {TARGET}`")),
    }
}
