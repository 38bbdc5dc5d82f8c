//! The arguments of the operator's commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use maitred_admin::{Alias, Selection, size};
use maitred_mail::{Address, Domain, MessageId};

/// What an operator asks for.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// The domains that mail is taken for.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Accounts, their passwords and quotas.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses that lead to others.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Mail that waits for other servers.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Plugins of the running server.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// What is stored.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Tells how the running server is.
    Status,
    /// Has the running server read its configuration, certificates and plugins again.
    Reload,
}

/// `maitred domain`
#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Takes mail for a domain.
    Add {
        /// Such as example.org.
        #[arg(value_parser = domain)]
        domain: Domain,
    },
    /// Takes no more mail for a domain; refused while it has accounts or aliases.
    Remove {
        /// Such as example.org.
        #[arg(value_parser = domain)]
        domain: Domain,
    },
    /// Lists the domains.
    List,
}

/// `maitred account`
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Makes an account. Its password is asked for on a terminal; where there is none, one is made and told.
    Add {
        /// Such as bob@example.org; the domain must be ours.
        #[arg(value_parser = address)]
        address: Address,
        /// Read the password from the first line of standard input.
        #[arg(id = "password-stdin", long = "password-stdin")]
        is_stdin: bool,
        /// How much mail it may hold, such as 2GiB; "none" for no limit, which is the default.
        #[arg(long, value_name = "SIZE", value_parser = quota)]
        quota: Option<Quota>,
    },
    /// Removes an account with all its mail.
    Remove {
        /// Such as bob@example.org.
        #[arg(value_parser = address)]
        address: Address,
    },
    /// Lists the accounts.
    List,
    /// Changes the password of an account.
    Password {
        /// Such as bob@example.org.
        #[arg(value_parser = address)]
        address: Address,
        /// Read the password from the first line of standard input.
        #[arg(id = "password-stdin", long = "password-stdin")]
        is_stdin: bool,
    },
    /// Changes how much mail an account may hold.
    Quota {
        /// Such as bob@example.org.
        #[arg(value_parser = address)]
        address: Address,
        #[command(flatten)]
        of: NewQuota,
    },
    /// Makes and changes many accounts: [{"address", "password" | "hash", "quota", "aliases"}]. Again does no harm.
    Apply {
        /// A JSON file; - is standard input.
        file: PathBuf,
    },
}

/// A size or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota(pub(crate) Option<u64>);

/// The new quota, as an argument or as an option.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewQuota {
    /// Such as 2GiB; "none" for no limit.
    #[arg(value_parser = quota)]
    size: Option<Quota>,
    /// The same.
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    quota: Option<Quota>,
}

impl NewQuota {
    /// Octets; `None`: no limit.
    pub(crate) fn quota(&self) -> Option<u64> {
        self.size.or(self.quota).and_then(|quota| quota.0)
    }
}

/// `maitred alias`
#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Leads an address to others, beside where it leads already.
    Add {
        /// Such as sales@example.org; @example.org is every address of the domain that nobody has.
        #[arg(value_parser = Alias::parse)]
        alias: Alias,
        /// Accounts or aliases here, or addresses elsewhere.
        #[arg(required = true, value_parser = address)]
        targets: Vec<Address>,
    },
    /// Removes an alias, or some of its targets.
    Remove {
        /// Such as sales@example.org, or @example.org.
        #[arg(value_parser = Alias::parse)]
        alias: Alias,
        /// Only these.
        #[arg(value_parser = address)]
        targets: Vec<Address>,
    },
    /// Lists the aliases.
    List,
}

/// `maitred queue`
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Lists what waits, oldest first.
    List {
        /// Only what goes to this domain.
        #[arg(long, value_name = "DOMAIN", value_parser = domain)]
        domain: Option<Domain>,
    },
    /// Shows one message with its recipients.
    Show {
        /// As `queue list` prints it.
        #[arg(value_parser = id)]
        id: MessageId,
    },
    /// Tries now.
    Retry(Selected),
    /// Keeps back until released.
    Hold(Selected),
    /// Lets go what was held.
    Release(Selected),
    /// Removes from the queue; nobody is told.
    Cancel(Selected),
}

/// Which messages of the queue.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Selected {
    /// One, as `queue list` prints it.
    #[arg(value_parser = id)]
    id: Option<MessageId>,
    /// Every one.
    #[arg(long)]
    all: bool,
    /// Those with a recipient of this domain.
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    domain: Option<Domain>,
}

impl Selected {
    /// Exactly one of the three is given.
    pub(crate) fn selection(self) -> Selection {
        match (self.id, self.domain) {
            (Some(id), _) => Selection::Id(id),
            (None, Some(domain)) => Selection::Domain(domain),
            (None, None) => Selection::All,
        }
    }
}

/// `maitred plugin`
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Lists the plugins in the order they are asked in.
    List,
    /// Loads a component, in place of the version in service.
    Load {
        /// A WebAssembly component.
        file: PathBuf,
        /// Its name here; else the file's.
        #[arg(long)]
        name: Option<String>,
    },
    /// Switches a plugin on.
    Enable {
        /// Which.
        name: String,
    },
    /// Switches a plugin off.
    Disable {
        /// Which.
        name: String,
    },
}

/// `maitred store`
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Reads everything that is stored and compares checksums; exit code 1 when something is damaged.
    Check,
    /// Prints figures of the store.
    Stats,
}

fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("no address: {error}"))
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| format!("no domain: {error}"))
}

fn id(text: &str) -> Result<MessageId, String> {
    MessageId::parse(text)
        .ok_or_else(|| "13 letters and digits are wanted, as `maitred queue list` prints them".to_owned())
}

fn quota(text: &str) -> Result<Quota, String> {
    if text.eq_ignore_ascii_case("none") {
        Ok(Quota(None))
    } else {
        size::parse(text).map(|octets| Quota(Some(octets)))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: AdminCommand,
    }

    fn read(line: &str) -> Result<AdminCommand, clap::Error> {
        Line::try_parse_from(std::iter::once("maitred").chain(line.split(' '))).map(|line| line.command)
    }

    #[test]
    fn every_command_is_read() {
        for line in [
            "domain add a.test",
            "domain remove a.test",
            "domain list",
            "account add bob@a.test",
            "account add bob@a.test --password-stdin --quota 1MiB",
            "account remove bob@a.test",
            "account list",
            "account password bob@a.test --password-stdin",
            "account quota bob@a.test none",
            "account quota bob@a.test --quota 5MB",
            "account apply file.json",
            "alias add @a.test bob@a.test x@b.test",
            "alias remove sales@a.test",
            "alias list",
            "queue list --domain b.test",
            "queue show 0000000000001",
            "queue retry --all",
            "queue hold 0000000000001",
            "queue release --domain b.test",
            "queue cancel --all",
            "plugin list",
            "plugin load x.wasm --name y",
            "plugin enable y",
            "plugin disable y",
            "store check",
            "store stats",
            "status",
            "reload",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for line in [
            "queue retry",
            "queue cancel 0000000000001 --all",
            "queue show 7",
            "account quota bob@a.test",
            "account quota bob@a.test 1MiB --quota 1MiB",
            "account add bob",
            "alias add sales@a.test",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
