//! What the hooks of routing, delivery and logins answer; and any answer as one value.

use std::fmt::Write as _;
use std::net::IpAddr;

use maitred_mail::{Address, Domain, ReversePath, Timestamp};

use crate::decision::{Decision, Refusal, Verdict};

/// Who a recipient is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// No opinion.
    Next,
    /// These addresses instead.
    Rewrite(Vec<Address>),
    /// 5xx.
    Reject(Refusal),
    /// 4xx.
    Tempfail(Refusal),
    /// 250, and dropped. The text is the reason.
    Discard(String),
}

/// What a connection to another server must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopTls {
    /// Plaintext.
    None,
    /// TLS where it is offered (RFC 7435).
    Opportunistic,
    /// TLS, or nothing.
    Required,
}

/// The name or the address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HopHost {
    /// By name.
    Name(Domain),
    /// By address.
    Ip(IpAddr),
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Which.
    pub host: HopHost,
    /// Its port.
    pub port: u16,
    /// What the connection must be.
    pub tls: HopTls,
    /// Which of our addresses to call from; `None`: the system chooses.
    pub source: Option<IpAddr>,
}

/// Where mail for a domain goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteDecision {
    /// No opinion.
    Next,
    /// These, in order.
    Hops(Vec<Hop>),
    /// Not before then.
    Hold(Timestamp),
    /// Given up.
    Bounce(Refusal),
    /// Tried again later: what a fault means by default.
    Defer(Refusal),
}

/// A mailbox, with flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// `/` separates levels.
    pub mailbox: String,
    /// Flags and keywords in IMAP's spelling.
    pub flags: Vec<String>,
}

/// Where a message goes for one local recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// A copy in each; none: no copy is kept.
    pub placements: Vec<Placement>,
    /// A copy to each.
    pub forward: Vec<Address>,
    /// Reverse-path of what is forwarded; `None`: as it is.
    pub forward_as: Option<ReversePath>,
}

/// What a delivery hook answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryDecision {
    /// No opinion.
    Next,
    /// Like this.
    Deliver(Delivery),
    /// This recipient does not take it.
    Reject(Refusal),
    /// Nobody gets it now.
    Tempfail(Refusal),
    /// Nothing is kept. The text is the reason.
    Discard(String),
}

/// What becomes of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginDecision {
    /// No opinion.
    Next,
    /// Refused. The text is the reason, for the log.
    Deny(String),
}

/// What one plugin answered at one hook.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The filter hooks.
    Filter(Decision),
    /// [`crate::Hook::Resolve`]
    Resolution(Resolution),
    /// [`crate::Hook::Route`]
    Route(RouteDecision),
    /// [`crate::Hook::Deliver`]
    Delivery(DeliveryDecision),
    /// [`crate::Hook::Login`]
    Login(LoginDecision),
    /// Hooks that are only told.
    Told,
}

impl Answer {
    /// As `wit/` and the logs name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(decision) => decision.verdict.name(),
            Self::Resolution(of) => match of {
                Resolution::Next => "next",
                Resolution::Rewrite(_) => "rewrite",
                Resolution::Reject(_) => "reject",
                Resolution::Tempfail(_) => "tempfail",
                Resolution::Discard(_) => "discard",
            },
            Self::Route(of) => match of {
                RouteDecision::Next => "next",
                RouteDecision::Hops(_) => "hops",
                RouteDecision::Hold(_) => "hold",
                RouteDecision::Bounce(_) => "bounce",
                RouteDecision::Defer(_) => "defer",
            },
            Self::Delivery(of) => match of {
                DeliveryDecision::Next => "next",
                DeliveryDecision::Deliver(_) => "deliver",
                DeliveryDecision::Reject(_) => "reject",
                DeliveryDecision::Tempfail(_) => "tempfail",
                DeliveryDecision::Discard(_) => "discard",
            },
            Self::Login(LoginDecision::Next) => "next",
            Self::Login(LoginDecision::Deny(_)) => "deny",
            Self::Told => "told",
        }
    }

    /// Why, in the plugin's words.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Filter(Decision { verdict, .. }) => match verdict {
                Verdict::Next | Verdict::Accept => None,
                Verdict::Reject(refusal) | Verdict::Tempfail(refusal) | Verdict::Disconnect(refusal) => {
                    Some(&refusal.text)
                }
                Verdict::Quarantine(reason) | Verdict::Discard(reason) => Some(reason),
            },
            Self::Resolution(Resolution::Reject(refusal) | Resolution::Tempfail(refusal))
            | Self::Route(RouteDecision::Bounce(refusal) | RouteDecision::Defer(refusal))
            | Self::Delivery(DeliveryDecision::Reject(refusal) | DeliveryDecision::Tempfail(refusal)) => {
                Some(&refusal.text)
            }
            Self::Resolution(Resolution::Discard(reason))
            | Self::Delivery(DeliveryDecision::Discard(reason))
            | Self::Login(LoginDecision::Deny(reason)) => Some(reason),
            Self::Resolution(Resolution::Next | Resolution::Rewrite(_))
            | Self::Route(RouteDecision::Next | RouteDecision::Hops(_) | RouteDecision::Hold(_))
            | Self::Delivery(DeliveryDecision::Next | DeliveryDecision::Deliver(_))
            | Self::Login(LoginDecision::Next)
            | Self::Told => None,
        }
    }

    /// All of it on one line, the same for the same answer: what two versions are compared by.
    pub fn summary(&self) -> String {
        let mut out = self.name().to_owned();
        // Writing to a String does not fail.
        match self {
            Self::Filter(decision) => {
                let _ = match &decision.verdict {
                    Verdict::Next | Verdict::Accept => Ok(()),
                    Verdict::Reject(of) | Verdict::Tempfail(of) | Verdict::Disconnect(of) => {
                        write!(out, " {} {}", of.status, of.text)
                    }
                    Verdict::Quarantine(reason) | Verdict::Discard(reason) => write!(out, " {reason}"),
                };
                for edit in &decision.edits {
                    let _ = write!(out, "; {}", edit.summary());
                }
            }
            Self::Resolution(Resolution::Rewrite(to)) => {
                to.iter().for_each(|to| out.push_str(&format!(" {to}")))
            }
            Self::Resolution(Resolution::Reject(of) | Resolution::Tempfail(of))
            | Self::Route(RouteDecision::Bounce(of) | RouteDecision::Defer(of))
            | Self::Delivery(DeliveryDecision::Reject(of) | DeliveryDecision::Tempfail(of)) => {
                let _ = write!(out, " {} {}", of.status, of.text);
            }
            Self::Route(RouteDecision::Hops(hops)) => {
                for hop in hops {
                    let host = match &hop.host {
                        HopHost::Name(name) => name.to_string(),
                        HopHost::Ip(ip) => ip.to_string(),
                    };
                    let _ = write!(out, " {host}:{} {:?}", hop.port, hop.tls);
                    if let Some(source) = hop.source {
                        let _ = write!(out, " from {source}");
                    }
                }
            }
            Self::Route(RouteDecision::Hold(until)) => {
                let _ = write!(out, " until {}", until.0);
            }
            Self::Delivery(DeliveryDecision::Deliver(of)) => {
                for Placement { mailbox, flags } in &of.placements {
                    let _ = write!(out, " {mailbox:?} ({})", flags.join(" "));
                }
                of.forward.iter().for_each(|to| out.push_str(&format!(" to {to}")));
                if let Some(path) = &of.forward_as {
                    let _ = write!(out, " as {path}");
                }
            }
            Self::Resolution(Resolution::Discard(reason))
            | Self::Delivery(DeliveryDecision::Discard(reason))
            | Self::Login(LoginDecision::Deny(reason)) => {
                let _ = write!(out, " {reason}");
            }
            Self::Resolution(Resolution::Next)
            | Self::Route(RouteDecision::Next)
            | Self::Delivery(DeliveryDecision::Next)
            | Self::Login(LoginDecision::Next)
            | Self::Told => {}
        }
        out
    }

    /// No opinion: the next plugin is asked.
    pub fn is_next(&self) -> bool {
        matches!(self.name(), "next" | "told")
    }

    /// No opinion and no change: nothing to write down.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Filter(decision) => decision.verdict == Verdict::Next && decision.edits.is_empty(),
            other => other.is_next(),
        }
    }
}
