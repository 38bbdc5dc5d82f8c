//! `maitred domain`: which domains are ours.

use maitred_admin::Command;
use maitred_mail::Domain;
use serde_json::Value;

use super::arguments::{domain, items, plain};

/// `maitred domain`
#[derive(Debug, clap::Subcommand)]
pub(super) enum DomainCommand {
    /// Takes mail for a domain from now on
    Add {
        /// The domain
        #[arg(value_parser = domain)]
        domain: Domain,
    },
    /// Takes mail for it no more; refused while it has accounts or aliases
    Remove {
        /// The domain
        #[arg(value_parser = domain)]
        domain: Domain,
    },
    /// Shows the domains
    List,
}

impl DomainCommand {
    pub(super) fn command(&self) -> Command {
        match self {
            Self::Add { domain } => Command::DomainAdd { domain: domain.clone() },
            Self::Remove { domain } => Command::DomainRemove { domain: domain.clone() },
            Self::List => Command::DomainList,
        }
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        match self {
            Self::Add { domain } => format!("domain {domain} added\n"),
            Self::Remove { domain } => format!("domain {domain} removed\n"),
            Self::List if items(answer).is_empty() => "no domains\n".to_owned(),
            Self::List => items(answer).iter().map(|domain| format!("{}\n", plain(domain))).collect(),
        }
    }
}
