//! `maitred plugin`: the policy of the running server.

use std::path::PathBuf;

use maitred_admin::Command;
use serde_json::Value;

use super::End;
use super::arguments::{items, table, text};
use crate::config::ConfigError;

/// `maitred plugin`
#[derive(Debug, clap::Subcommand)]
pub(super) enum PluginCommand {
    /// Asks a plugin no more, until it is enabled
    Disable {
        /// Its name
        name: String,
    },
    /// Asks a plugin again
    Enable {
        /// Its name
        name: String,
    },
    /// Shows the plugins in the order they are asked
    List,
    /// Loads a component, in place of the version in service
    Load {
        /// The component
        file: PathBuf,
        /// Under this name; else the file's
        #[arg(long)]
        name: Option<String>,
    },
}

impl PluginCommand {
    pub(super) fn command(&self) -> Result<Command, End> {
        Ok(match self {
            Self::Disable { name } => Command::PluginDisable { name: name.clone() },
            Self::Enable { name } => Command::PluginEnable { name: name.clone() },
            Self::List => Command::PluginList,
            Self::Load { file, name } => {
                // The server may run in another folder.
                let wrong = |error| ConfigError::new(format!("{}: {error}", file.display()));
                let file = file.canonicalize().map_err(wrong)?;
                Command::PluginLoad { name: name.clone(), file }
            }
        })
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        let version = || format!("{} {}", text(answer, "name"), text(answer, "version"));
        match self {
            Self::Disable { .. } => format!("plugin {} disabled\n", version()),
            Self::Enable { .. } => format!("plugin {} enabled\n", version()),
            Self::List => {
                let rows = items(answer).iter().map(row).collect();
                table(
                    ["PLUGIN", "VERSION", "ORDER", "STATE", "FROM", "HOOKS", "CALLS", "FAULTS"],
                    rows,
                    "no plugins",
                )
            }
            Self::Load { .. } => format!("plugin {} loaded\n", version()),
        }
    }
}

fn row(plugin: &Value) -> [String; 8] {
    let is_enabled = plugin.get("is_enabled").and_then(Value::as_bool) == Some(true);
    [
        text(plugin, "name"),
        text(plugin, "version"),
        text(plugin, "order"),
        if is_enabled { "enabled" } else { "disabled" }.to_owned(),
        text(plugin, "origin"),
        text(plugin, "hooks"),
        text(plugin, "calls"),
        text(plugin, "faults"),
    ]
}
