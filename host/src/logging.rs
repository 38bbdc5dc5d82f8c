//! Where log lines go: standard error, as `RUST_LOG` or `[log]` says.

use tracing_subscriber::EnvFilter;

/// From now on lines of this filter are written. `RUST_LOG` goes before `filter`.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start(filter: &str) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(own) if !own.is_empty() => own,
        _ => filter.to_owned(),
    };
    let parsed = EnvFilter::try_new(&filter).map_err(|error| format!("log.filter: {filter:?}: {error}"))?;
    tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .try_init()
        .map_err(|error| error.to_string())
}
