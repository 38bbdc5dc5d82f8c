//! One attempt: from a domain to hosts, from hosts to addresses, from one address to the next until one takes the message.
//!
//! RFC 5321 §5.1; RFC 7505 (null MX); RFC 7435 (opportunistic TLS). Called by the courier, with as many at a time as it likes.

use std::net::IpAddr;
use std::sync::Arc;

use maitred_mail::dns::DnsError;
use maitred_mail::{Class, EnhancedStatus};
use maitred_queue::{Outcome, Report, Unit};
use maitred_route::{Host, NextHop, Plan, RouteError, Router, TlsPolicy};
use maitred_smtp::client::{Config, Limits, Login, Session, TlsUse};

use super::conversation::Untaken;
use super::routing::Routed;
use super::{Conversation, Relay};
use crate::dialer::{Call, DialError};

/// How far a host took us.
enum Tried {
    /// Somebody talked to us and every recipient has its outcome; perhaps there is more work of the same kind, which this
    /// connection could not do.
    Done(Option<Unit>),
    /// The host took nothing: the unit is as it was.
    Untaken(Untaken),
    /// The same, and TLS may be to blame.
    Unsecured(Untaken),
}

impl Relay {
    /// Tries a unit, and whatever else waits for the same host, and writes down what it came to.
    pub async fn attempt(self: &Arc<Self>, unit: Unit) {
        let mut next = Some(unit);
        // It ends: each time round, at least one unit has been settled.
        while let Some(unit) = next {
            next = self.attempt_one(unit).await;
        }
    }

    async fn attempt_one(self: &Arc<Self>, unit: Unit) -> Option<Unit> {
        let router = self.router();
        let found = self.hops(&router, &unit).await;
        let (hops, source) = match self.routed(&unit, found.as_deref().unwrap_or_default()).await {
            Routed::As(hops, source) => (Ok(hops), source),
            Routed::Not(outcome) => {
                self.report_all(unit, &outcome, true).await;
                return None;
            }
            Routed::Next => (found, Vec::new()),
        };
        let hops = match hops {
            Ok(hops) => hops,
            Err(error) => {
                let is_reachable = error.status().is_permanent();
                let outcome = Outcome::local(error.status(), error.to_string());
                self.report_all(unit, &outcome, is_reachable).await;
                return None;
            }
        };
        let (mut unit, mut was_ready) = (Box::new(unit), false);
        let mut last = Outcome::local(NO_HOST, RouteError::NoHost(unit.domain.clone()).to_string());
        for (number, hop) in hops.iter().enumerate() {
            let found = match &hop.host {
                Host::Ip(ip) => Ok(vec![*ip]),
                Host::Name(name) => self.resolver.ip(name).await,
            };
            let found = match found {
                Ok(found) if found.is_empty() => Err(DnsError::NoRecord),
                found => found,
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    let is_only_no = last.status.is_permanent() || number == 0;
                    last = unresolved(hop, &error, &last, is_only_no);
                    continue;
                }
            };
            let from = source.get(number).copied().flatten();
            match self.try_hop(&router, (hop, from), &found, unit).await {
                Ok(Tried::Done(next)) => return next,
                Ok(Tried::Untaken(untaken) | Tried::Unsecured(untaken)) => {
                    unit = untaken.unit;
                    was_ready |= untaken.was_ready;
                    // What a server said tells more than that another one did not answer.
                    if !last.is_reply || untaken.outcome.is_reply {
                        last = untaken.outcome;
                    }
                }
                Err((back, outcome)) => {
                    // Ourselves: neither this hop nor a later one.
                    unit = back;
                    if number == 0 {
                        last = outcome;
                    }
                    break;
                }
            }
        }
        let is_reachable = was_ready || last.status.is_permanent();
        self.report_all(*unit, &last, is_reachable).await;
        None
    }

    pub(crate) async fn hops(&self, router: &Router, unit: &Unit) -> Result<Vec<NextHop>, RouteError> {
        match router.plan(&unit.domain) {
            Plan::Hops(hops) => Ok(hops),
            Plan::AskMx => {
                let answer = self.resolver.mx(&unit.domain).await;
                let seed = unit.id.0 ^ self.house.now().0.unsigned_abs();
                router.by_mx(&unit.domain, answer, seed)
            }
        }
    }

    async fn try_hop(
        self: &Arc<Self>,
        router: &Router,
        (hop, from): (&NextHop, Option<IpAddr>),
        found: &[IpAddr],
        mut unit: Box<Unit>,
    ) -> Result<Tried, (Box<Unit>, Outcome)> {
        let Some(addresses) = router.addresses(hop, found) else {
            let error = RouteError::Loop(unit.domain.clone());
            return Err((unit, Outcome::local(error.status(), error.to_string())));
        };
        let (mut was_ready, mut last) =
            (false, Outcome::local(NO_HOST, format!("{} has no address", hop.host)));
        for to in addresses {
            let call = Call {
                to,
                from: from
                    .filter(|from| from.is_ipv4() == to.is_ipv4())
                    .or_else(|| router.source_for(to.ip())),
                server_name: hop.host.to_string(),
                needs_valid_certificate: hop.needs_valid_certificate,
            };
            let mut uses = vec![tls_use(hop.tls)];
            if hop.tls == TlsPolicy::Opportunistic {
                // When TLS does not come about, plaintext is better than nothing (RFC 7435).
                uses.push(TlsUse::Never);
            }
            for tls in uses {
                let (untaken, is_tls_suspect) = match self.call(&call, hop, tls, unit).await {
                    Tried::Done(next) => return Ok(Tried::Done(next)),
                    Tried::Unsecured(untaken) => (untaken, true),
                    Tried::Untaken(untaken) => (untaken, false),
                };
                (unit, last) = (untaken.unit, untaken.outcome);
                was_ready |= untaken.was_ready;
                if !is_tls_suspect {
                    break;
                }
            }
        }
        Ok(Tried::Untaken(Untaken { unit, outcome: last, was_ready }))
    }

    /// One connection.
    async fn call(self: &Arc<Self>, call: &Call, hop: &NextHop, tls: TlsUse, unit: Box<Unit>) -> Tried {
        let login = hop.credentials.as_ref().map(|credentials| Login {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
        });
        let config =
            Config { hostname: self.house.config.hostname.clone(), tls, login, limits: Limits::default() };
        let mut engine = Session::new(Arc::new(config));
        let mut conversation = Conversation::new(Arc::clone(self), call, *unit);
        let ended = self.dialer.converse(call, &mut engine, &mut conversation).await;
        // With TLS 1.3, a server's refusal comes when the handshake is over for us.
        let is_tls_suspect = engine.tls().is_some() || matches!(ended, Err(DialError::Handshake(_)));
        let failure = match ended {
            Ok(()) => None,
            Err(error) => Some(format!("{} [{}]: {error}", call.server_name, call.to.ip())),
        };
        match conversation.into_end(failure).await {
            Ok(next) => Tried::Done(next),
            Err(untaken) if is_tls_suspect && !untaken.was_ready => Tried::Unsecured(untaken),
            Err(untaken) => Tried::Untaken(untaken),
        }
    }

    /// The same outcome for every recipient.
    async fn report_all(&self, unit: Unit, outcome: &Outcome, is_reachable: bool) {
        let outcomes = unit.recipients.iter().map(|to| (to.address.clone(), outcome.clone())).collect();
        self.finish(unit, Report { outcomes, is_reachable }).await;
    }
}

fn tls_use(policy: TlsPolicy) -> TlsUse {
    match policy {
        TlsPolicy::None => TlsUse::Never,
        TlsPolicy::Opportunistic => TlsUse::IfOffered,
        TlsPolicy::Require => TlsUse::Required,
    }
}

/// A host without an address is no reason to give up while another one's is only not known now.
fn unresolved(hop: &NextHop, error: &DnsError, last: &Outcome, is_only_no: bool) -> Outcome {
    match error {
        DnsError::Temporary(cause) => Outcome::local(
            EnhancedStatus::new(Class::Persistent, 4, 3),
            format!("DNS trouble for {}: {cause}", hop.host),
        ),
        DnsError::NoSuchName | DnsError::NoRecord if is_only_no => {
            Outcome::local(NO_HOST, format!("{} has no address", hop.host))
        }
        DnsError::NoSuchName | DnsError::NoRecord => last.clone(),
    }
}

/// 5.4.4 unable to route.
const NO_HOST: EnhancedStatus = EnhancedStatus::new(Class::Permanent, 4, 4);
