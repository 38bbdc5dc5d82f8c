//! What can be asked, as values: JSON on the socket, made by the command line.

use std::path::PathBuf;

use maitred_mail::directory::AliasKey;
use maitred_mail::{Address, Domain, MessageId};
use maitred_queue::QueueId;

/// One request. In JSON an object whose `command` is the variant in kebab case, such as `"account-add"`.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// A local domain more.
    DomainAdd {
        /// Which.
        domain: Domain,
    },
    /// A local domain less; refused while it has accounts or aliases.
    DomainRemove {
        /// Which.
        domain: Domain,
    },
    /// The local domains.
    DomainList,
    /// A new account.
    AccountAdd {
        /// Its address; the domain must be local.
        address: Address,
        /// In the clear; it is hashed before it is stored.
        password: String,
        /// Octets; `None`: no limit.
        #[serde(default)]
        quota: Option<u64>,
    },
    /// An account less, with all its mail.
    AccountRemove {
        /// Which.
        address: Address,
    },
    /// The accounts.
    AccountList,
    /// A new password.
    AccountPassword {
        /// Whose.
        address: Address,
        /// In the clear.
        password: String,
    },
    /// A new quota.
    AccountQuota {
        /// Whose.
        address: Address,
        /// Octets; `None`: no limit.
        quota: Option<u64>,
    },
    /// Many accounts: those that are there are changed, others made.
    AccountApply {
        /// Which, each once.
        accounts: Vec<AccountEntry>,
    },
    /// Targets for an alias, beside those that it has.
    AliasAdd {
        /// Address or `@domain`.
        alias: Alias,
        /// Where it leads.
        targets: Vec<Address>,
    },
    /// An alias less, or targets of it less.
    AliasRemove {
        /// Address or `@domain`.
        alias: Alias,
        /// Only these; none: all.
        #[serde(default)]
        targets: Vec<Address>,
    },
    /// The aliases.
    AliasList,
    /// What waits for other servers.
    QueueList {
        /// Which of it.
        #[serde(default)]
        selection: Selection,
    },
    /// One entry of the queue.
    QueueShow {
        /// Which.
        #[serde(with = "id_text")]
        id: QueueId,
    },
    /// Try now.
    QueueRetry {
        /// Which.
        selection: Selection,
    },
    /// Keep back until released.
    QueueHold {
        /// Which.
        selection: Selection,
    },
    /// Let go.
    QueueRelease {
        /// Which.
        selection: Selection,
    },
    /// Remove without telling anyone.
    QueueCancel {
        /// Which.
        selection: Selection,
    },
    /// Something about plugins.
    Plugin {
        /// What.
        plugin: PluginCommand,
    },
    /// The life of one of the last messages.
    Trace {
        /// Its name, its name in the queue, or its Message-ID.
        name: String,
    },
    /// How mail would travel; nothing is sent.
    Explain {
        /// Which.
        inquiry: maitred_flow::explain::Inquiry,
    },
    /// How the server is.
    Status,
    /// Configuration, certificates and plugins are read again.
    Reload,
    /// Reads everything that is stored.
    StoreCheck,
    /// Figures of the store.
    StoreStats,
}

/// What can be asked about plugins.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginCommand {
    /// The plugins that are loaded.
    List,
    /// What their calls came to.
    Stats,
    /// Loads a component, in place of the version in service.
    Load {
        /// Its name; `None`: the file's.
        #[serde(default)]
        name: Option<String>,
        /// An absolute path, readable by the server.
        file: PathBuf,
    },
    /// Runs a component beside the version in service, its effects void.
    Shadow {
        /// Its name; `None`: the file's.
        #[serde(default)]
        name: Option<String>,
        /// An absolute path, readable by the server.
        file: PathBuf,
    },
    /// Obeys a component for a share of the mail.
    Canary {
        /// Its name; `None`: the file's.
        #[serde(default)]
        name: Option<String>,
        /// An absolute path, readable by the server.
        file: PathBuf,
        /// Which mail.
        share: maitred_policy::Share,
        /// What it may do before it is taken back.
        #[serde(default)]
        budget: maitred_policy::Budget,
    },
    /// What is tried out goes into service.
    Promote {
        /// Which.
        name: String,
    },
    /// Ends a trial, or goes back to an earlier version.
    Rollback {
        /// Which.
        name: String,
        /// The digest begins so; `None`: the last one.
        #[serde(default)]
        digest: Option<String>,
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
    /// Takes a plugin of the directory out.
    Remove {
        /// Which.
        name: String,
    },
    /// Begins or ends a recording.
    Record {
        /// Of which.
        name: String,
        /// Octets at most; `None`: it ends.
        #[serde(default)]
        octets_max: Option<u64>,
    },
}

impl std::fmt::Debug for Command {
    /// The name alone: a password shall not come into a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = serde_json::to_value(self).unwrap_or_default();
        f.write_str(value.get("command").and_then(serde_json::Value::as_str).unwrap_or("command"))
    }
}

impl Command {
    /// True when only a running server can do it; all others can be done on the store alone.
    pub fn needs_server(&self) -> bool {
        match self {
            Self::Plugin { .. } | Self::Trace { .. } | Self::Explain { .. } | Self::Status | Self::Reload => {
                true
            }
            Self::DomainAdd { .. }
            | Self::DomainRemove { .. }
            | Self::DomainList
            | Self::AccountAdd { .. }
            | Self::AccountRemove { .. }
            | Self::AccountList
            | Self::AccountPassword { .. }
            | Self::AccountQuota { .. }
            | Self::AccountApply { .. }
            | Self::AliasAdd { .. }
            | Self::AliasRemove { .. }
            | Self::AliasList
            | Self::QueueList { .. }
            | Self::QueueShow { .. }
            | Self::QueueRetry { .. }
            | Self::QueueHold { .. }
            | Self::QueueRelease { .. }
            | Self::QueueCancel { .. }
            | Self::StoreCheck
            | Self::StoreStats => false,
        }
    }
}

/// One account of [`Command::AccountApply`]: `{"address", "password" | "hash", "quota", "aliases"}`.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    /// Its address; the domain must be local.
    pub address: Address,
    /// In the clear. A new account needs this or `hash`; for one that is there, neither means: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Argon2 in PHC form, instead of a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Octets (a number, or text such as `"2GiB"`); `null`: no limit; missing: as it is, and no limit for a new account.
    #[serde(default, deserialize_with = "crate::size::quota", skip_serializing_if = "Option::is_none")]
    pub quota: Option<Option<u64>>,
    /// Aliases that shall lead here too. Others that do are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
}

/// An alias's name: one address, or `@domain` for every unknown address of the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(AliasKey);

impl Alias {
    /// Reads `user@domain` or `@domain`.
    ///
    /// # Errors
    /// One line that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_prefix('@') {
            Some(domain) => Domain::parse(domain).map(AliasKey::CatchAll),
            None => Address::parse(text).map(|address| AliasKey::Address(address.folded())),
        };
        parsed.map(Self).map_err(|error| format!("{text:?} is no address and no @domain: {error}"))
    }

    /// As the directory has it: folded.
    pub fn key(&self) -> &AliasKey {
        &self.0
    }

    /// The domain it belongs to.
    pub fn domain(&self) -> &Domain {
        match &self.0 {
            AliasKey::Address(address) => address.domain(),
            AliasKey::CatchAll(domain) => domain,
        }
    }
}

impl From<AliasKey> for Alias {
    fn from(key: AliasKey) -> Self {
        Self(key)
    }
}

impl std::fmt::Display for Alias {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            AliasKey::Address(address) => write!(f, "{address}"),
            AliasKey::CatchAll(domain) => write!(f, "@{domain}"),
        }
    }
}

impl serde::Serialize for Alias {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Alias {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Which entries of the queue: `{"id": …}`, `{"domain": …}` or `"all"`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Every one.
    #[default]
    All,
    /// Those with a recipient of this domain.
    Domain(Domain),
    /// One.
    #[serde(with = "id_text")]
    Id(QueueId),
}

/// A queue entry's number as it is printed.
mod id_text {
    use super::{MessageId, QueueId};

    pub(super) fn serialize<S: serde::Serializer>(id: &QueueId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<QueueId, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(from)?;
        let parsed = MessageId::parse(&text);
        parsed.ok_or_else(|| serde::de::Error::custom(format_args!("{text:?} is no queue entry's number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Command, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_is_read_from_json() {
        let selection = Selection::Id(MessageId(1));
        let cases = [
            (r#"{"command":"domain-list"}"#, Command::DomainList),
            (r#"{"command":"queue-list"}"#, Command::QueueList { selection: Selection::All }),
            (
                r#"{"command":"queue-hold","selection":{"id":"0000000000001"}}"#,
                Command::QueueHold { selection },
            ),
            (
                r#"{"command":"queue-hold","selection":{"domain":"B.test"}}"#,
                Command::QueueHold { selection: Selection::Domain(Domain::parse("b.test").unwrap()) },
            ),
        ];
        for (json, command) in cases {
            assert_eq!(read(json).unwrap(), command, "{json}");
            assert_eq!(read(&serde_json::to_string(&command).unwrap()).unwrap(), command);
        }
    }

    #[test]
    fn an_entry_of_apply_is_read_with_and_without_its_quota() {
        let quotas = ["", r#","quota":null"#, r#","quota":"2KiB""#, r#","quota":7"#].map(|quota| {
            let json = format!(r#"{{"address":"a@b.test","aliases":["@b.test"]{quota}}}"#);
            let entry: AccountEntry = serde_json::from_str(&json).unwrap();
            let again: AccountEntry = serde_json::from_str(&serde_json::to_string(&entry).unwrap()).unwrap();
            assert!(again == entry);
            entry.quota
        });
        assert_eq!(quotas, [None, Some(None), Some(Some(2048)), Some(Some(7))]);
    }

    #[test]
    fn what_is_no_command_is_refused_with_the_reason() {
        for (json, reason) in [
            (r#"{"command":"dance"}"#, "unknown variant"),
            (r#"{"command":"domain-add","domain":"a..b"}"#, ""),
            (r#"{"command":"queue-show","id":"7"}"#, "no queue entry's number"),
            (r#"{"command":"alias-remove","alias":"nobody"}"#, "no address and no @domain"),
        ] {
            assert!(read(json).unwrap_err().contains(reason), "{json}");
        }
    }

    #[test]
    fn a_password_is_not_printed_with_the_command() {
        let address = Address::parse("a@b.test").unwrap();
        let command = Command::AccountPassword { address, password: "secret".to_owned() };
        assert_eq!(format!("{command:?}"), "account-password");
    }
}
