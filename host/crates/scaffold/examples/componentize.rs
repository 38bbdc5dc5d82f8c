//! Makes a component out of a core module: `componentize CORE.wasm OUT.wasm`.

use std::{env, fs};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core, out] = arguments.as_slice() else {
        bail!("usage: componentize CORE.wasm OUT.wasm");
    };
    let octets = fs::read(core).with_context(|| core.clone())?;
    let component = maitred_scaffold::componentize(&octets).with_context(|| core.clone())?;
    fs::write(out, component).with_context(|| out.clone())
}
