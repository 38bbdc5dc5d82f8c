//! One limit: of whom what is counted, and how much of it may be.

use std::net::IpAddr;

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Line, Network, Networks, Patterns, Period, lowered};
use maitred_plugin_sdk::{Hook, SessionInfo};
use serde::Deserialize;

/// As much in a time as configured, for each subject by itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Of whom.
    pub per: Per,
    /// What is counted.
    pub what: What,
    /// How much of it.
    pub limit: u32,
    /// In which time.
    pub every: Period,
    /// How much of it at once, after a rest. Without: as much as in the time.
    pub burst: Option<u32>,
    /// In the table, the log, tags and metrics. Without: made of the rest.
    name: Option<Line>,
    /// Who is counted.
    #[serde(default)]
    pub whom: Whom,
    /// Subjects that are not.
    #[serde(default)]
    except: Patterns,
    /// Bits of an IPv4 address that are one client.
    #[serde(default = "one_ipv4")]
    ipv4_prefix: u32,
    /// Bits of an IPv6 address that are one client.
    #[serde(default = "one_ipv6")]
    ipv6_prefix: u32,
    /// What who is over it is told. Without: the text of the plugin.
    pub text: Option<Line>,
}

/// Of whom something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// The client's address or network.
    Ip,
    /// Who logged in.
    Account,
    /// The domain of the reverse-path.
    SenderDomain,
    /// Whom it is for.
    Recipient,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// When a client comes.
    Connections,
    /// At MAIL; of a recipient, at its RCPT.
    Messages,
    /// At RCPT.
    Recipients,
}

/// When the host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment<'a> {
    /// A client came.
    Connect,
    /// MAIL, with the sender.
    Mail(&'a str),
    /// RCPT, with sender and recipient.
    Rcpt(&'a str, &'a str),
}

impl Moment<'_> {
    /// The hook that it is.
    pub fn hook(self) -> Hook {
        match self {
            Self::Connect => Hook::Connect,
            Self::Mail(_) => Hook::Mail,
            Self::Rcpt(..) => Hook::Rcpt,
        }
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// All.
    #[default]
    Everybody,
    /// Who nobody vouches for.
    Strangers,
    /// Who logged in.
    Accounts,
}

/// An IPv4 address is a client.
const fn one_ipv4() -> u32 {
    32
}

/// A /64 is: it is what one customer has at least.
const fn one_ipv6() -> u32 {
    64
}

/// Octets of a name: the rest of a key is for the subject.
const NAME_OCTETS_MAX: usize = 100;

impl Limit {
    /// How it is called.
    pub fn name(&self) -> String {
        if let Some(name) = &self.name {
            return name.to_string();
        }
        let per = match self.per {
            Per::Ip => "ip",
            Per::Account => "account",
            Per::SenderDomain => "sender-domain",
            Per::Recipient => "recipient",
        };
        let what = match self.what {
            What::Connections => "connections",
            What::Messages => "messages",
            What::Recipients => "recipients",
        };
        let whom = match self.whom {
            Whom::Everybody => "",
            Whom::Strangers => "/strangers",
            Whom::Accounts => "/accounts",
        };
        format!("{per}/{what}/{}{whom}", self.every)
    }

    /// Whose bucket something is taken from at this moment; `None` when it is not counted now, or nobody's.
    pub fn subject(&self, moment: Moment<'_>, info: &SessionInfo, exempt: &Networks) -> Option<String> {
        let is_counted = match self.whom {
            Whom::Everybody => true,
            Whom::Strangers => info.is_stranger(),
            Whom::Accounts => info.account.is_some(),
        };
        let ip: Option<IpAddr> = info.remote_ip.parse().ok();
        // An account is bound wherever it sends from: web mail does from this machine.
        let is_exempt = self.per != Per::Account && ip.is_some_and(|ip| exempt.hold(ip));
        if !is_counted || is_exempt || !self.counts_at(moment) {
            return None;
        }
        let (sender, recipient) = match moment {
            Moment::Connect => ("", ""),
            Moment::Mail(sender) => (sender, ""),
            Moment::Rcpt(sender, recipient) => (sender, recipient),
        };
        let subject = match self.per {
            Per::Ip => ip.map(|ip| Network::around(ip, self.ipv4_prefix, self.ipv6_prefix).to_string()),
            Per::Account => info.account.clone().map(lowered),
            // Reports of failed mail have no domain that could be bound.
            Per::SenderDomain => Some(address::domain(sender).to_owned()),
            Per::Recipient => Some(lowered(recipient.to_owned())),
        };
        subject.filter(|subject| !subject.is_empty() && !self.except.match_any(subject))
    }

    /// Whether anything is counted at this moment.
    pub fn counts_at(&self, moment: Moment<'_>) -> bool {
        let is_for_recipient = self.per == Per::Recipient;
        match moment {
            Moment::Connect => self.what == What::Connections,
            Moment::Mail(_) => self.what == What::Messages && !is_for_recipient,
            Moment::Rcpt(..) => {
                self.what == What::Recipients || (self.what == What::Messages && is_for_recipient)
            }
        }
    }

    /// How much fits into the bucket.
    pub fn capacity(&self) -> u32 {
        self.burst.unwrap_or(self.limit)
    }

    /// How much comes into the bucket.
    pub fn per_second(&self) -> f32 {
        let per_second = f64::from(self.limit) / self.every.as_duration().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the table takes it so; the rest is far below one mail"
        )]
        let per_second = per_second as f32;
        per_second
    }

    /// What a type cannot say.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("limit {}: {what}", self.name()));
        if self.limit == 0 || self.burst == Some(0) {
            return wrong("limit and burst are 1 or more");
        }
        if self.every.as_ms() < 1_000 {
            return wrong("every is 1s or longer");
        }
        if self.name().len() > NAME_OCTETS_MAX {
            return wrong("its name is longer than 100 octets");
        }
        if !(1..=32).contains(&self.ipv4_prefix) || !(1..=128).contains(&self.ipv6_prefix) {
            return wrong("ipv4_prefix is 1 to 32, ipv6_prefix 1 to 128");
        }
        if self.what == What::Connections && (self.per != Per::Ip || self.whom == Whom::Accounts) {
            return wrong(
                "when a client comes, its address is all that is known: per = \"ip\", and nobody has logged in",
            );
        }
        if self.per == Per::Account && self.whom == Whom::Strangers {
            return wrong("strangers have no account");
        }
        Ok(())
    }
}
