//! Begins a plugin: `new NAME LANGUAGE FOLDER`.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, language, folder] = arguments.as_slice() else {
        bail!("usage: new NAME rust|js|python|c FOLDER");
    };
    for file in maitred_scaffold::new_project(name, language.parse()?, Path::new(folder))? {
        println!("{}", file.display());
    }
    Ok(())
}
