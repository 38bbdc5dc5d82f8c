//! Where log lines go and how they look: standard error, `RUST_LOG` before `[log]`.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Begins to log. Once a process.
///
/// # Errors
/// `RUST_LOG` is no filter.
pub(crate) fn start(config: &Log) -> Result<(), String> {
    let said = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let (name, text) = match &said {
        Some(text) => (EnvFilter::DEFAULT_ENV, text),
        None => ("log.filter", &config.filter),
    };
    let mut filter = EnvFilter::try_new(text).map_err(|error| format!("{name}: {error}"))?;
    // What peers do wrong in a handshake is told by the room that shakes hands.
    if let (false, Ok(quiet)) = (text.contains("rustls"), "rustls=error".parse()) {
        filter = filter.add_directive(quiet);
    }
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start finds the first in place, which is as good.
    let _ = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(is_terminal).try_init(),
    };
    Ok(())
}
