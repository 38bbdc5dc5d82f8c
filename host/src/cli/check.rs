//! `maitred check`: would this configuration start? Nothing is started, bound or left behind.

use std::fmt::Write as _;

use maitred_plugin_host::PluginHost;
use maitred_policy::PluginFacts;
use maitred_route::Router;

use crate::config::{Config, ConfigError};
use crate::serve;

/// Plugins and routes; the rest, the certificate with it, was checked when it was loaded. What to print.
///
/// # Errors
/// What would keep the server from starting.
pub(super) async fn run(config: &Config, is_printing: bool, is_json: bool) -> Result<String, ConfigError> {
    config.user()?;
    Router::new(config.route.clone(), &config.hostname, config.own_addresses())
        .map_err(|error| ConfigError::new(error.to_string()))?;
    let plugins = plugins(config).await?;
    let printed = is_printing.then(|| config.effective());
    if is_json {
        let facts = serde_json::json!({ "ok": true, "plugins": plugins, "configuration": printed });
        return Ok(format!("{facts}\n"));
    }
    if let Some(printed) = printed {
        return Ok(printed);
    }
    let mut text = "The configuration and its plugins are good.\n".to_owned();
    for listener in &config.listeners {
        let on: Vec<String> = listener.bind.iter().map(ToString::to_string).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {:<12} {}", listener.protocol.name(), on.join(" "));
    }
    let (awaited, names): (Vec<_>, Vec<_>) = plugins.iter().partition(|plugin| plugin.origin == "awaited");
    let listed =
        |of: &[&PluginFacts]| of.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>().join(" ");
    let _ = writeln!(text, "  {:<12} {}", "plugins", listed(&names));
    if !awaited.is_empty() {
        let _ = writeln!(text, "  {:<12} {} (no component is there yet)", "waiting", listed(&awaited));
    }
    Ok(text)
}

/// Loads the plugins as a start would. Compiled ones are kept where the server keeps them, if it ever ran.
async fn plugins(config: &Config) -> Result<Vec<PluginFacts>, ConfigError> {
    let mut wanted = config.plugins.clone();
    wanted.directory = wanted.directory.filter(|directory| directory.is_dir());
    // Of a name that nobody can guess: compiled components are believed.
    let scratch = tempfile::tempdir().map_err(|error| ConfigError::new(error.to_string()))?;
    if !wanted.state.is_dir() {
        wanted.state = scratch.path().to_owned();
    }
    let checked = PluginHost::check(wanted, serve::bundled()).await;
    checked.map_err(|error| ConfigError::new(error.to_string()))
}
