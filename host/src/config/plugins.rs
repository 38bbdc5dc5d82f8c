//! `[plugins]` and `[[plugin]]`.

use maitred_plugin_host::PluginConfig;
use maitred_policy::OnError;

use super::kind::{OBJECT, ORDER, TEXT, TIME, count, size};
use super::{Config, ConfigError, Keys};

const ON_ERROR: [(&str, OnError); 4] = [
    ("next", OnError::Next),
    ("tempfail", OnError::Tempfail),
    ("reject", OnError::Reject),
    ("quarantine", OnError::Quarantine),
];

pub(super) fn keys(keys: &mut Keys<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let plugins = &mut config.plugins;
    keys.table("plugins", |keys| keys.path("directory", &mut plugins.directory))?;
    keys.tables("plugin", &mut plugins.plugins, || PluginConfig::named(""), plugin)
}

fn plugin(keys: &mut Keys<'_>, plugin: &mut PluginConfig) -> Result<(), ConfigError> {
    keys.at("name", &TEXT, &mut plugin.name)?;
    keys.refuse_if(plugin.name.is_empty(), "name", "is missing; expected the name of a plugin")?;
    keys.path("path", &mut plugin.path)?;
    let asks_nothing =
        |value: &toml::de::DeValue<'_>| !(value.is_table() || value.as_str() == Some("shadow"));
    keys.not_yet("mode", asks_nothing, "a mode other than \"enforce\" is")?;
    keys.word("mode", &[("enforce", ())], &mut ())?;
    keys.at("order", &ORDER, &mut plugin.order)?;
    keys.word("on_error", &ON_ERROR, &mut plugin.on_error)?;
    let is_empty = |value: &toml::de::DeValue<'_>| value.as_array().is_some_and(|list| list.is_empty());
    keys.not_yet("grants", is_empty, "granting capabilities is")?;
    keys.at("config", &OBJECT, &mut plugin.config)?;
    let limits = &mut plugin.limits;
    keys.table("limits", |keys| {
        keys.at("memory", &size(), &mut limits.memory)?;
        keys.at("time", &TIME, &mut limits.time)?;
        keys.at("concurrency", &count(), &mut limits.concurrency)?;
        keys.at("host_calls", &count(), &mut limits.host_calls)?;
        keys.at("octets", &size(), &mut limits.octets)?;
        Ok(())
    })
}

/// Two of one name cannot be.
pub(super) fn check(plugins: &[PluginConfig]) -> Result<(), (&'static str, String)> {
    for (number, plugin) in plugins.iter().enumerate() {
        if plugins.iter().take(number).any(|other| other.name == plugin.name) {
            return Err(("plugin.name", format!("two plugins are called {}", plugin.name)));
        }
    }
    Ok(())
}
