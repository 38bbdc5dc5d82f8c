//! Writes bindings for C: `bindings WIT_FOLDER WORLD OUT_FOLDER`.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [wit, world, out] = arguments.as_slice() else {
        bail!("usage: bindings WIT_FOLDER WORLD OUT_FOLDER");
    };
    fs::create_dir_all(out).with_context(|| out.clone())?;
    for (name, octets) in maitred_scaffold::bindings_c(Path::new(wit), world)? {
        let file = Path::new(out).join(name);
        fs::write(&file, octets).with_context(|| file.display().to_string())?;
        println!("{}", file.display());
    }
    Ok(())
}
