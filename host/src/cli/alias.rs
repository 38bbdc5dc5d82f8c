//! `maitred alias`: addresses that lead to others.

use maitred_admin::{Alias, Command};
use maitred_mail::Address;
use serde_json::Value;

use super::arguments::{address, alias, items, table, text};

/// `maitred alias`
#[derive(Debug, clap::Subcommand)]
pub(super) enum AliasCommand {
    /// Lets an alias lead to these addresses too
    Add {
        /// An address, or @domain for whatever nobody else of the domain takes
        #[arg(value_parser = alias)]
        alias: Alias,
        /// Where it leads; elsewhere too (forwarding)
        #[arg(required = true, value_parser = address)]
        targets: Vec<Address>,
    },
    /// Shows the aliases
    List,
    /// Removes an alias, or some of its targets
    Remove {
        /// Which
        #[arg(value_parser = alias)]
        alias: Alias,
        /// Only these; none named: the alias itself
        #[arg(value_parser = address)]
        targets: Vec<Address>,
    },
}

impl AliasCommand {
    pub(super) fn command(&self) -> Command {
        match self {
            Self::Add { alias, targets } => {
                Command::AliasAdd { alias: alias.clone(), targets: targets.clone() }
            }
            Self::List => Command::AliasList,
            Self::Remove { alias, targets } => {
                Command::AliasRemove { alias: alias.clone(), targets: targets.clone() }
            }
        }
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        let leads = || match text(answer, "targets") {
            none if none.is_empty() => format!("alias {} removed\n", text(answer, "alias")),
            targets => format!("alias {} leads to {targets}\n", text(answer, "alias")),
        };
        match self {
            Self::Add { .. } | Self::Remove { .. } => leads(),
            Self::List => {
                let row = |one: &Value| [text(one, "alias"), text(one, "targets")];
                table(["ALIAS", "LEADS TO"], items(answer).iter().map(row).collect(), "no aliases")
            }
        }
    }
}
