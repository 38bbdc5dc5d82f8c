//! `[plugins]` and `[[plugin]]`.

use maitred_plugin_host::{Grants, PluginConfig};
use maitred_policy::{Budget, OnError, Share, Trial};
use toml::de::DeValue;

use super::kind::{Kind, OBJECT, ORDER, TEXT, TIME, count, json, quoted, size};
use super::{Config, ConfigError, Keys};

const ON_ERROR: [(&str, Option<OnError>); 5] = [
    ("default", None),
    ("next", Some(OnError::Next)),
    ("tempfail", Some(OnError::Tempfail)),
    ("reject", Some(OnError::Reject)),
    ("quarantine", Some(OnError::Quarantine)),
];

/// Obeyed, or how it is tried out.
const MODE: Kind<Option<Trial>> = Kind {
    expected: "\"enforce\", \"shadow\", { canary = 10 } (percent), or { canary = { percent = 10, domains = [], accounts = [], \
               calls = 20, faults = 2.0, shift = 10.0, time = 5.0 } }",
    read: mode,
    print: |trial| match trial {
        None => quoted("enforce"),
        Some(Trial::Shadow) => quoted("shadow"),
        Some(Trial::Canary(share, budget)) => {
            let list = |of: &[String]| of.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ");
            format!(
                "{{ canary = {{ percent = {}, domains = [{}], accounts = [{}], calls = {}, faults = {:?}, shift = {:?}, \
                 time = {:?} }} }}",
                share.percent,
                list(&share.domains),
                list(&share.accounts),
                budget.calls,
                budget.faults,
                budget.shift,
                budget.time
            )
        }
    },
};

/// A capability.
const GRANT: Kind<String> = Kind {
    expected: "\"store\", \"dns\", \"directory\", \"submit\", or \"http:https://HOST\"",
    read: |value| {
        let word = value.as_str()?.to_owned();
        Grants::parse(std::slice::from_ref(&word)).is_ok().then_some(word)
    },
    print: |word| quoted(word),
};

pub(super) fn keys(keys: &mut Keys<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let plugins = &mut config.plugins;
    keys.table("plugins", |keys| keys.path_to_write("directory", &mut plugins.directory))?;
    keys.tables("plugin", &mut plugins.plugins, || PluginConfig::named(""), plugin)
}

fn plugin(keys: &mut Keys<'_>, plugin: &mut PluginConfig) -> Result<(), ConfigError> {
    keys.at("name", &TEXT, &mut plugin.name)?;
    keys.refuse_if(plugin.name.is_empty(), "name", "is missing; expected the name of a plugin")?;
    keys.path("path", &mut plugin.path)?;
    keys.at("mode", &MODE, &mut plugin.trial)?;
    keys.at("order", &ORDER, &mut plugin.order)?;
    keys.word("on_error", &ON_ERROR, &mut plugin.on_error)?;
    let mut words = plugin.grants.words().to_vec();
    keys.list("grants", &GRANT, &mut words)?;
    // Each was looked at above.
    plugin.grants = Grants::parse(&words).unwrap_or_default();
    keys.at("tick", &TIME, &mut plugin.tick)?;
    keys.at("config", &OBJECT, &mut plugin.config)?;
    let limits = &mut plugin.limits;
    keys.table("limits", |keys| {
        keys.at("memory", &size(), &mut limits.memory)?;
        keys.at("time", &TIME, &mut limits.time)?;
        keys.at("wait", &TIME, &mut limits.wait)?;
        keys.at("concurrency", &count(), &mut limits.concurrency)?;
        keys.at("host_calls", &count(), &mut limits.host_calls)?;
        keys.at("asks", &count(), &mut limits.asks)?;
        keys.at("octets", &size(), &mut limits.octets)?;
        keys.at("table", &size(), &mut limits.table)?;
        Ok(())
    })
}

fn mode(value: &DeValue<'_>) -> Option<Option<Trial>> {
    match value.as_str() {
        Some("enforce") => return Some(None),
        Some("shadow") => return Some(Some(Trial::Shadow)),
        Some(_) => return None,
        None => {}
    }
    let given = json(value)?;
    let given = given.as_object().filter(|given| given.len() == 1)?.get("canary")?;
    if let Some(percent) = given.as_u64() {
        let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100)?;
        return Some(Some(Trial::Canary(Share { percent, ..Share::default() }, Budget::default())));
    }
    // Two tables in one: each takes its own keys, and none is left over.
    let (mut share, mut budget) = (serde_json::Map::new(), serde_json::Map::new());
    for (key, value) in given.as_object()? {
        let of =
            if ["percent", "domains", "accounts"].contains(&key.as_str()) { &mut share } else { &mut budget };
        of.insert(key.clone(), value.clone());
    }
    let mut share: Share =
        serde_json::from_value(share.into()).ok().filter(|share: &Share| share.percent <= 100)?;
    share.domains.iter_mut().chain(&mut share.accounts).for_each(|text| *text = text.to_lowercase());
    let budget: Budget = serde_json::from_value(budget.into()).ok()?;
    Some(Some(Trial::Canary(share, budget)))
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
