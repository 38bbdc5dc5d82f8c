//! The real [`SenderAuth`]: limits, and what is answered when they are reached.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::TokioResolver;
use mail_auth::hickory_resolver::config::ResolverConfig;
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use maitred_mail::dns::Resolver;
use maitred_policy::{AuthResult, MethodResult, Original, SenderAuth, SpfIdentity, SpfQuestion};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::iprev::iprev;
use crate::message::{BodyHashes, Judge, body_hashes};
use crate::spf::Check;

/// There is no verifier.
#[derive(Debug, Clone, thiserror::Error)]
#[error("verifier of senders: {0}")]
pub struct Error(String);

/// Verifies.
pub struct Verifier {
    library: MessageAuthenticator,
    resolver: Arc<dyn Resolver>,
    /// KiB of messages that may be held.
    room: Arc<Semaphore>,
}

/// A larger message is not read.
const MESSAGE_OCTETS_MAX: u64 = 25 << 20;
/// KiB of messages that are held at a time; the next waits until there is room.
const HELD_KIB_MAX: u32 = 64 << 10;
/// A larger one is hashed where it keeps nobody waiting.
const QUICK_OCTETS_MAX: u64 = 64 << 10;
/// Octets read at once.
const PIECE_OCTETS: usize = 256 << 10;
/// Records that may come late one after the other, before the whole is late.
const RECORDS: u32 = 4;
/// A reason, and the value of a property, are cut at so many characters.
const TEXT_CHARS_MAX: usize = 400;

impl Verifier {
    /// Asks this resolver, and nobody else.
    ///
    /// # Errors
    /// Why there is none.
    pub fn new(resolver: Arc<dyn Resolver>) -> Result<Self, Error> {
        let room = Arc::new(Semaphore::new(HELD_KIB_MAX as usize));
        Ok(Self { library: library()?, resolver, room })
    }

    /// The body is hashed; what it is made of is let go.
    async fn hash(&self, original: &Original) -> Result<BodyHashes, String> {
        let octets = octets(original);
        // A semaphore of ours is never closed.
        let _room = self.room.acquire_many(kib(octets)).await.map_err(|error| error.to_string())?;
        let mut raw = Vec::with_capacity(usize::try_from(octets).unwrap_or_default());
        raw.extend_from_slice(&original.head);
        raw.extend_from_slice(b"\r\n");
        let before = raw.len() as u64;
        while (raw.len() as u64) < octets {
            let piece = original.body.read(raw.len() as u64 - before, PIECE_OCTETS).await;
            let piece = piece.map_err(|error| error.to_string())?;
            if piece.is_empty() {
                return Err("the message is shorter than it was".to_owned());
            }
            raw.extend_from_slice(&piece);
        }
        if octets <= QUICK_OCTETS_MAX {
            return Ok(body_hashes(&raw));
        }
        let hashed = tokio::task::spawn_blocking(move || body_hashes(&raw)).await;
        hashed.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl SenderAuth for Verifier {
    async fn iprev(&self, client: IpAddr, patience: Duration) -> MethodResult {
        let found = in_time(patience, iprev(&*self.resolver, client)).await;
        let late = || temperror("iprev").with("policy.iprev", client.to_string());
        note(vec![found.unwrap_or_else(late)]).pop().unwrap_or_else(late)
    }

    async fn spf(&self, question: SpfQuestion<'_>, patience: Duration) -> MethodResult {
        let SpfQuestion { client, helo, identity } = question;
        let (property, value, domain, sender) = match identity {
            SpfIdentity::Helo => {
                ("smtp.helo", helo.to_owned(), helo.to_owned(), format!("postmaster@{helo}"))
            }
            SpfIdentity::MailFrom(address) => {
                let text = address.to_string();
                ("smtp.mailfrom", text.clone(), address.domain().as_str().to_owned(), text)
            }
        };
        let check = async { Check::new(&*self.resolver, client, helo, sender).check(&domain).await };
        let result = match in_time(patience, check).await {
            Some((result, reason)) => MethodResult { reason, ..MethodResult::new("spf", result) },
            None => temperror("spf"),
        };
        let result = result.with(property, value);
        note(vec![result.clone()]).pop().unwrap_or(result)
    }

    async fn message(
        &self,
        original: &Original,
        mail_from: &MethodResult,
        patience: Duration,
    ) -> Vec<MethodResult> {
        let all = |of: MethodResult| {
            ["dkim", "arc", "dmarc"]
                .map(|method| MethodResult { method: method.to_owned(), ..of.clone() })
                .into()
        };
        if octets(original) > MESSAGE_OCTETS_MAX {
            let why = format!("larger than {} MiB", MESSAGE_OCTETS_MAX >> 20);
            return all(MethodResult::new("", AuthResult::Policy).because(why));
        }
        let (library, resolver) = (&self.library, &*self.resolver);
        let judge = Judge { library, resolver, mail_from, patience: patience / RECORDS };
        let head = [&original.head[..], b"\r\n"].concat();
        let verified = async {
            match self.hash(original).await {
                Ok(hashes) => judge.judge(&head, hashes).await,
                Err(why) => all(temperror("").because(why)),
            }
        };
        let found = in_time(patience, verified).await;
        note(found.unwrap_or_else(|| all(temperror(""))))
    }
}

/// What comes of it in time. A defect of the library's is the same as nothing: there is mail that it does not understand, and a
/// server that goes on.
async fn in_time<T>(patience: Duration, future: impl Future<Output = T>) -> Option<T> {
    let began = Instant::now();
    match timeout(patience, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(_)) => {
            tracing::error!("a defect while a sender was verified");
            None
        }
        Err(_) => {
            tracing::debug!(elapsed_ms = began.elapsed().as_millis(), "a sender was not verified in time");
            None
        }
    }
}

fn temperror(method: &str) -> MethodResult {
    MethodResult::new(method, AuthResult::Temperror).because("not verified in time")
}

/// Bounded texts; and a line for who looks for them.
fn note(mut results: Vec<MethodResult>) -> Vec<MethodResult> {
    let cut = |text: &mut String| {
        if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.truncate(at);
        }
    };
    for of in &mut results {
        of.reason.iter_mut().for_each(cut);
        of.properties.iter_mut().for_each(|(_, value)| cut(value));
        tracing::debug!(
            method = of.method,
            result = of.result.name(),
            reason = of.reason,
            "verified a sender"
        );
    }
    results
}

/// Header section, empty line, body.
fn octets(original: &Original) -> u64 {
    original.head.len() as u64 + 2 + original.body.octets()
}

fn kib(octets: u64) -> u32 {
    u32::try_from(octets / 1024 + 1).unwrap_or(HELD_KIB_MAX).min(HELD_KIB_MAX)
}

/// The library has a resolver of its own. This one has no servers and trusts nobody: it is never asked.
pub(crate) fn library() -> Result<MessageAuthenticator, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error(error.to_string());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let nobody = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    let resolver = TokioResolver::builder_with_config(nowhere, TokioRuntimeProvider::default());
    let resolver = resolver.with_tls_config(nobody).build().map_err(|error| wrong(&error))?;
    Ok(MessageAuthenticator(resolver))
}
