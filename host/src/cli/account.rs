//! `maitred account`: who has mail here.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use maitred_admin::{AccountEntry, Command};
use maitred_mail::Address;
use serde_json::Value;

use super::arguments::{Quota, address, items, octets, quota, table, text};
use super::{End, password};
use crate::config::ConfigError;

/// `maitred account`
#[derive(Debug, clap::Subcommand)]
pub(super) enum AccountCommand {
    /// Makes an account
    Add {
        /// Its address
        #[arg(value_parser = address)]
        address: Address,
        /// Read the password from standard input; else it is asked for at a terminal, or one is made and told once
        #[arg(long)]
        password_stdin: bool,
        /// How much mail it may keep, such as 2GiB, or none: no limit
        #[arg(long, value_name = "SIZE", value_parser = quota)]
        quota: Option<Quota>,
    },
    /// Makes or changes many accounts at once; doing it again changes nothing more
    Apply {
        /// A JSON list: [{"address", "password" or "hash", "quota", "aliases"}]; - is standard input
        file: PathBuf,
    },
    /// Shows the accounts
    List,
    /// Gives an account a new password
    Password {
        /// Whose
        #[arg(value_parser = address)]
        address: Address,
        /// Read it from standard input; else it is asked for at a terminal, or one is made and told once
        #[arg(long)]
        password_stdin: bool,
    },
    /// Sets how much mail an account may keep
    #[command(group = clap::ArgGroup::new("size").required(true))]
    Quota {
        /// Whose
        #[arg(value_parser = address)]
        address: Address,
        /// A size such as 2GiB, or none: no limit
        #[arg(value_parser = quota, group = "size")]
        limit: Option<Quota>,
        /// The same
        #[arg(long, value_name = "SIZE", value_parser = quota, group = "size")]
        quota: Option<Quota>,
    },
    /// Removes an account with all its mail
    Remove {
        /// Which
        #[arg(value_parser = address)]
        address: Address,
    },
}

impl AccountCommand {
    /// The command, and a password that must be told because it was made just now.
    pub(super) fn command(&self) -> Result<(Command, Option<String>), End> {
        Ok(match self {
            Self::Add { address, password_stdin, quota } => {
                let chosen = password::choose(*password_stdin)?;
                let told = chosen.is_new.then(|| chosen.word.clone());
                let quota = quota.and_then(|quota| quota.0);
                (Command::AccountAdd { address: address.clone(), password: chosen.word, quota }, told)
            }
            Self::Apply { file } => (Command::AccountApply { accounts: entries(file)? }, None),
            Self::List => (Command::AccountList, None),
            Self::Password { address, password_stdin } => {
                let chosen = password::choose(*password_stdin)?;
                let told = chosen.is_new.then(|| chosen.word.clone());
                (Command::AccountPassword { address: address.clone(), password: chosen.word }, told)
            }
            Self::Quota { address, limit, quota } => {
                let quota = limit.or(*quota).and_then(|quota| quota.0);
                (Command::AccountQuota { address: address.clone(), quota }, None)
            }
            Self::Remove { address } => (Command::AccountRemove { address: address.clone() }, None),
        })
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        let told = match text(answer, "password") {
            none if none.is_empty() => String::new(),
            password => format!("password (told once): {password}\n"),
        };
        match self {
            Self::Add { address, .. } => format!("account {address} added\n{told}"),
            Self::Apply { .. } => format!(
                "{} accounts added, {} changed; {} aliases set\n",
                text(answer, "added"),
                text(answer, "changed"),
                text(answer, "aliases")
            ),
            Self::List => {
                let row = |account: &Value| {
                    [
                        text(account, "address"),
                        octets(account, "used", "?"),
                        octets(account, "quota", "no limit"),
                    ]
                };
                table(["ACCOUNT", "USED", "QUOTA"], items(answer).iter().map(row).collect(), "no accounts")
            }
            Self::Password { address, .. } => format!("account {address} has a new password\n{told}"),
            Self::Quota { address, .. } => format!("account {address} has a new quota\n"),
            Self::Remove { address } => format!("account {address} removed\n"),
        }
    }
}

fn entries(file: &PathBuf) -> Result<Vec<AccountEntry>, End> {
    let is_stdin = file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let mut text = String::new();
    let read = if is_stdin {
        std::io::stdin().take(FILE_OCTETS_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_OCTETS_MAX).read_to_string(&mut text))
    };
    read.with_context(|| name.clone()).map_err(End::Failed)?;
    serde_json::from_str(&text).map_err(|error| End::Config(ConfigError::new(format!("{name}: {error}"))))
}

/// What fits into a request to the server.
const FILE_OCTETS_MAX: u64 = 16 << 20;
