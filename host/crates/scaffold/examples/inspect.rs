//! Prints what a component asks for and offers: `inspect COMPONENT.wasm`. Fails where it asks for more than a plugin may have.

use std::{env, fs};

use anyhow::{Context, Result, bail};

/// Nothing that a server would give to a filter.
const REFUSED: [&str; 3] = ["wasi:filesystem/", "wasi:http/", "wasi:sockets/"];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file] = arguments.as_slice() else {
        bail!("usage: inspect COMPONENT.wasm");
    };
    let octets = fs::read(file).with_context(|| file.clone())?;
    let found = maitred_scaffold::inspect(&octets).with_context(|| file.clone())?;
    for name in &found.imports {
        println!("import {name}");
    }
    for name in &found.exports {
        println!("export {name}");
    }
    let refused = found.imports.iter().find(|name| REFUSED.iter().any(|prefix| name.starts_with(prefix)));
    match refused {
        Some(name) => bail!("{file} asks for {name}"),
        None => Ok(()),
    }
}
