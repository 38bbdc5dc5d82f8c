//! The routing hook: before an attempt, policy may say where the mail goes, from which of our addresses and with which TLS.
//!
//! RFC 5321 §5.1 says what happens where policy has no opinion. The message is only looked for when somebody asks.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::{Body, BodyError, Class, EnhancedStatus, Envelope};
use maitred_policy::{
    Answer, Hook, HookCall, Hop, HopHost, HopTls, MessageFacts, RouteDecision, SessionFacts,
};
use maitred_queue::{Outcome, Unit};
use maitred_route::{Host, NextHop, TlsPolicy};

use super::Relay;

/// What policy says about an attempt.
pub(super) enum Routed {
    /// Nothing.
    Next,
    /// These hops, each from this address of ours if it is named.
    As(Vec<NextHop>, Vec<Option<IpAddr>>),
    /// There is no attempt; this came of it.
    Not(Outcome),
}

impl Relay {
    pub(super) async fn routed(&self, unit: &Unit, found: &[NextHop]) -> Routed {
        let chain = (self.house.chains)();
        if chain.is_silent(Hook::Route) {
            return Routed::Next;
        }
        let facts = match self.facts(unit).await {
            Ok(facts) => facts,
            Err(error) => {
                tracing::warn!(mail.id = %unit.id, %error, "a message cannot be read for policy");
                return Routed::Not(Outcome::local(
                    EnhancedStatus::TRY_LATER,
                    "The message cannot be read now",
                ));
            }
        };
        let candidates: Vec<Hop> = found.iter().map(to_hop).collect();
        let session = SessionFacts::internal(self.house.now());
        let call = HookCall::Route(&facts, &unit.domain, &candidates);
        let (answer, said) = chain.first(&session, call).await;
        for said in &said {
            tracing::info!(
                mail.id = %unit.id, plugin = said.plugin, plugin.version = &*said.version, hook = said.hook.name(),
                verdict = said.verdict, reason = said.reason.as_deref().unwrap_or_default(), fault = ?said.fault,
                "plugin routed"
            );
        }
        match answer {
            Some(Answer::Route(RouteDecision::Hops(hops))) => {
                let sources = hops.iter().map(|hop| hop.source).collect();
                Routed::As(hops.into_iter().map(|hop| next_hop(hop, found)).collect(), sources)
            }
            Some(Answer::Route(RouteDecision::Hold(until))) => Routed::Not(Outcome {
                not_before: Some(until),
                ..Outcome::local(EnhancedStatus::new(Class::Persistent, 7, 0), "held by policy")
            }),
            Some(Answer::Route(RouteDecision::Bounce(of))) => {
                let status = EnhancedStatus { class: Class::Permanent, ..of.status };
                Routed::Not(Outcome::local(status, of.text))
            }
            Some(Answer::Route(RouteDecision::Defer(of))) => {
                let status = EnhancedStatus { class: Class::Persistent, ..of.status };
                Routed::Not(Outcome::local(status, of.text))
            }
            _ => Routed::Next,
        }
    }

    /// The message as plugins see it: as it was stored for the queue.
    async fn facts(&self, unit: &Unit) -> Result<MessageFacts, BodyError> {
        let house = &self.house;
        let failed = |error: maitred_store::Error| BodyError(error.to_string());
        let entry = house.store.queue_entry(unit.id).await.map_err(failed)?;
        let Some((_, body)) = entry else { return Err(BodyError("it is not queued any more".to_owned())) };
        let content = house.store.relay_body(&body);
        let max = house.config.limits.header_octets_max;
        let start = content.read(0, max).await?;
        let (head, from) = match memchr::memmem::find(&start, b"\r\n\r\n") {
            Some(at) => (start.slice(..at + 2), at + 4),
            None => (start.clone(), start.len()),
        };
        Ok(MessageFacts {
            id: unit.id,
            envelope: Arc::new(Envelope {
                reverse_path: unit.reverse_path.clone(),
                parameters: unit.parameters.clone(),
                recipients: unit.recipients.clone(),
            }),
            head,
            body: Arc::new(Rest { content, from: from as u64 }),
            structure: None,
            original: None,
            symbols: Vec::new(),
            tags: Vec::new(),
        })
    }
}

/// What follows the header section.
struct Rest {
    content: Arc<dyn Body>,
    from: u64,
}

impl Body for Rest {
    fn octets(&self) -> u64 {
        self.content.octets().saturating_sub(self.from)
    }

    fn read(
        &self,
        offset: u64,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        self.content.read(self.from.saturating_add(offset), max)
    }
}

pub(crate) fn to_hop(of: &NextHop) -> Hop {
    Hop {
        host: match &of.host {
            Host::Name(name) => HopHost::Name(name.clone()),
            Host::Ip(ip) => HopHost::Ip(*ip),
        },
        port: of.port,
        tls: match of.tls {
            TlsPolicy::None => HopTls::None,
            TlsPolicy::Opportunistic => HopTls::Opportunistic,
            TlsPolicy::Require => HopTls::Required,
        },
        source: None,
    }
}

/// A hop that a static route has keeps its credentials: plugins never see them. Any other has none.
fn next_hop(of: Hop, found: &[NextHop]) -> NextHop {
    let host = match of.host {
        HopHost::Name(name) => Host::Name(name),
        HopHost::Ip(ip) => Host::Ip(ip),
    };
    let known = found.iter().find(|known| known.host == host && known.port == of.port);
    let tls = match of.tls {
        HopTls::None => TlsPolicy::None,
        HopTls::Opportunistic => TlsPolicy::Opportunistic,
        HopTls::Required => TlsPolicy::Require,
    };
    NextHop {
        port: of.port,
        // What the operator configured is not loosened by a plugin.
        tls: if known.is_some_and(|known| known.tls == TlsPolicy::Require) {
            TlsPolicy::Require
        } else {
            tls
        },
        needs_valid_certificate: known
            .map_or(tls == TlsPolicy::Require, |known| known.needs_valid_certificate),
        credentials: known.and_then(|known| known.credentials.clone()),
        host,
    }
}
