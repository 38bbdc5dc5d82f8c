//! DKIM, ARC and DMARC of one message.
//!
//! RFC 6376 §6, RFC 8301, RFC 8617 §5.2, RFC 9989 §4.10. The body is hashed once, as it is read, and let go; signatures are checked with
//! the header section and those hashes, again and again until every record that they need is known.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use mail_auth::arc::ArcError;
use mail_auth::common::crypto::{Algorithm, HashAlgorithm};
use mail_auth::common::verify::VerifySignature as _;
use mail_auth::dkim::{Canonicalization, DkimError, Signature};
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, Error,
    MessageAuthenticator, Parameters, SpfOutput, SpfResult,
};
use maitred_mail::dns::{DnsError, Resolver};
use maitred_policy::{AuthResult, MethodResult};
use tokio::time::timeout;

use crate::records::{Existing, Records};

/// Signatures of one message; others are not looked at.
const SIGNATURES_MAX: usize = 10;
/// Header fields of a message, and names in one signature: each name is looked for in all fields.
const FIELDS_MAX: usize = 2_000;
const NAMES_MAX: usize = 200;
/// How often records are asked for: a policy is looked for in one domain after the other, a chain of seals link by link.
const ROUNDS_MAX: usize = 64;

/// Hashes of a body, as the signatures of the message want them.
pub(crate) type BodyHashes = Vec<(Canonicalization, HashAlgorithm, u64, Vec<u8>)>;

/// Hashes the body of a whole message: header section, empty line, body.
pub(crate) fn body_hashes(raw: &[u8]) -> BodyHashes {
    AuthenticatedMessage::parse(raw).map(|message| message.body_hashes).unwrap_or_default()
}

/// Who verifies, and with whose answers.
pub(crate) struct Judge<'a> {
    pub library: &'a MessageAuthenticator,
    pub resolver: &'a dyn Resolver,
    /// What SPF found of MAIL FROM.
    pub mail_from: &'a MethodResult,
    /// How long one record may take. Whoever signs with keys of a slow DNS has them unanswered, and no more.
    pub patience: Duration,
}

impl Judge<'_> {
    /// `head` is the header section with its empty line.
    pub(crate) async fn judge(&self, head: &[u8], hashes: BodyHashes) -> Vec<MethodResult> {
        let Some(mut message) = AuthenticatedMessage::parse(head) else {
            return vec![none("dkim"), none("arc"), no_author(none("dmarc"))];
        };
        message.body_hashes = hashes;
        // What is not looked at counts for nothing: who forges an author gains nothing by it.
        let is_searchable =
            |names: &[String]| message.headers.len() <= FIELDS_MAX && names.len() <= NAMES_MAX;
        let has_seals = !message.ams_headers.is_empty();
        let are_seals_searchable = message.ams_headers.iter().all(|field| is_searchable(&field.header.h));
        let all = message.dkim_headers.len();
        let mut looked_at = std::mem::take(&mut message.dkim_headers);
        looked_at.retain(|field| is_searchable(&field.header.h));
        looked_at.truncate(SIGNATURES_MAX);
        message.dkim_headers = looked_at;
        let left_out = all - message.dkim_headers.len();
        let message = &message;
        let records = Records::default();
        let dkim = self
            .complete(&records, || {
                let parameters = Parameters::new(message).with_txt_cache(&records);
                self.library.verify_dkim(parameters).now_or_never()
            })
            .await;
        let mut results = match &dkim {
            Some(outputs) => signatures(message, outputs, left_out),
            None => vec![given_up("dkim")],
        };
        let dmarc = self.dmarc(message, dkim.as_deref().unwrap_or_default(), &records).await;
        // Seals come last, and have a time of their own: as many as somebody likes to put there must not keep the rest from an answer.
        let arc = if has_seals && !are_seals_searchable {
            MethodResult::new("arc", AuthResult::Policy).because("too many header fields")
        } else {
            timeout(self.patience, self.arc(message)).await.unwrap_or_else(|_| given_up("arc"))
        };
        results.extend([arc, dmarc]);
        results
    }

    async fn dmarc<'m>(
        &self,
        message: &'m AuthenticatedMessage<'m>,
        dkim: &'m [DkimOutput<'m>],
        records: &Records,
    ) -> MethodResult {
        // RFC 8301 §3.1: what rsa-sha1 says counts for nothing.
        let counting: Vec<DkimOutput<'_>> = dkim.iter().filter(|output| !is_weak(output)).cloned().collect();
        let (domain, spf) = spf_output(self.mail_from);
        let output = self
            .complete(records, || {
                let parameters = DmarcParameters::new(message, &counting, &domain, &spf);
                let parameters = Parameters::new(parameters).with_txt_cache(records);
                self.library.verify_dmarc(parameters.with_ipv4_cache(&Existing)).now_or_never()
            })
            .await;
        match output {
            Some(output) => self.aligned(&output, records).await,
            None => given_up("dmarc"),
        }
    }

    async fn arc<'m>(&self, message: &'m AuthenticatedMessage<'m>) -> MethodResult {
        let records = Records::default();
        // All keys at once: the library would ask for one after the other, and check all that it had before again.
        message.ams_headers.last().into_iter().for_each(|field| records.want(&field.header.domain_key()));
        message.as_headers.iter().for_each(|field| records.want(&field.header.domain_key()));
        records.ask(self.resolver, self.patience).await;
        let output = self
            .complete(&records, || {
                let parameters = Parameters::new(message).with_txt_cache(&records);
                self.library.verify_arc(parameters).now_or_never()
            })
            .await;
        output.map_or_else(|| given_up("arc"), |output| sealed(&output))
    }

    /// What the library says when it misses no record any more. It never waits, for there is an answer to everything; if it did, there
    /// would be no result.
    async fn complete<T>(&self, records: &Records, look: impl Fn() -> Option<T>) -> Option<T> {
        for _ in 0..ROUNDS_MAX {
            let seen = look();
            if !records.ask(self.resolver, self.patience).await {
                return seen;
            }
        }
        None
    }

    async fn aligned(&self, output: &DmarcOutput, records: &Records) -> MethodResult {
        if output.domain().is_empty() {
            return no_author(none("dmarc"));
        }
        let result = match output.result() {
            DmarcResult::Pass => MethodResult::new("dmarc", AuthResult::Pass),
            DmarcResult::Fail(_) => MethodResult::new("dmarc", AuthResult::Fail)
                .because("neither SPF nor DKIM speaks for the author's domain"),
            DmarcResult::TempError(why) => temperror("dmarc", &why),
            DmarcResult::PermError(why) => {
                MethodResult::new("dmarc", AuthResult::Permerror).because(why.to_string())
            }
            DmarcResult::None => none("dmarc"),
        };
        let result = result.with("header.from", output.domain());
        match self.policy(output, records).await {
            Some(policy) => result.with("policy.dmarc", policy.to_string()),
            None => result,
        }
    }

    /// What the owner of the author's domain wants to be done.
    async fn policy(&self, output: &DmarcOutput, records: &Records) -> Option<Policy> {
        let record = output.dmarc_record()?;
        let is_own = records.has_policy(&format!("_dmarc.{}.", output.domain()));
        if is_own || record.np == record.sp || record.p == Policy::Unspecified {
            return Some(output.policy());
        }
        // RFC 9989 §4.7: another policy holds for a domain that does not exist.
        let is_missing = matches!(self.resolver.listed(output.domain()).await, Err(DnsError::NoSuchName));
        Some(match (is_missing, record.np) {
            (false, _) => output.policy(),
            (true, Policy::Reject) if record.t => Policy::Quarantine,
            (true, Policy::Quarantine) if record.t => Policy::None,
            (true, other) => other,
        })
    }
}

/// One result a signature; one when there is none.
fn signatures(
    message: &AuthenticatedMessage<'_>,
    outputs: &[DkimOutput<'_>],
    left_out: usize,
) -> Vec<MethodResult> {
    let mut results: Vec<MethodResult> = outputs.iter().filter_map(signed).collect();
    let unread = message.errors.iter().filter(|field| field.name.eq_ignore_ascii_case(b"DKIM-Signature"));
    results.extend(unread.take(SIGNATURES_MAX).map(|field| unreadable(field.value, &field.header)));
    if left_out > 0 {
        let why = format!(
            "{left_out} signatures were not looked at: there are too many, of too many header fields"
        );
        results.push(MethodResult::new("dkim", AuthResult::Policy).because(why));
    }
    if results.is_empty() {
        results.push(none("dkim"));
    }
    results
}

fn given_up(method: &str) -> MethodResult {
    MethodResult::new(method, AuthResult::Temperror).because("too many lookups, or too slow ones")
}

fn none(method: &str) -> MethodResult {
    MethodResult::new(method, AuthResult::None)
}

/// Nobody, or several, to look up a policy of. RFC 9989 leaves such mail out; it must not get by as mail without a policy.
fn no_author(of: MethodResult) -> MethodResult {
    MethodResult { result: AuthResult::Permerror, ..of }.because("From has no domain, or several")
}

fn is_weak(output: &DkimOutput<'_>) -> bool {
    output.signature().is_some_and(|signature| signature.a == Algorithm::RsaSha1)
}

/// The result of a signature that could be read.
fn signed(output: &DkimOutput<'_>) -> Option<MethodResult> {
    let signature = output.signature()?;
    let result = match output.result() {
        DkimResult::Pass if is_weak(output) => {
            MethodResult::new("dkim", AuthResult::Policy).because("rsa-sha1 is not accepted (RFC 8301)")
        }
        other => told("dkim", other),
    };
    Some(described(result, signature))
}

fn described(result: MethodResult, signature: &Signature) -> MethodResult {
    let result = result.with("header.d", signature.domain()).with("header.s", signature.selector());
    let result = result.with("header.a", signature.a.name());
    if signature.identity().is_empty() { result } else { result.with("header.i", signature.identity()) }
}

/// The result of one that could not, or that is not accepted whatever it says.
fn unreadable(value: &[u8], error: &Error) -> MethodResult {
    let result = match error {
        // RFC 6376 §8.2: somebody else may have written the rest of the body.
        Error::Dkim(DkimError::SignatureLength) => {
            MethodResult::new("dkim", AuthResult::Policy).because("it covers a part of the body only")
        }
        other => MethodResult::new("dkim", AuthResult::Neutral).because(other.to_string()),
    };
    match Signature::parse(value) {
        Ok(signature) => described(result, &signature),
        Err(_) => result,
    }
}

/// Of ARC: who sealed last is who is to be trusted.
fn sealed(output: &ArcOutput<'_>) -> MethodResult {
    let result = told("arc", output.result());
    match output.sets().last() {
        Some(set) => {
            let seal = set.seal.header;
            result.with("header.d", seal.domain()).with("header.s", seal.selector())
        }
        None => result,
    }
}

fn told(method: &str, result: &DkimResult) -> MethodResult {
    let new = |result| MethodResult::new(method, result);
    match result {
        DkimResult::Pass => new(AuthResult::Pass),
        DkimResult::None => new(AuthResult::None),
        DkimResult::TempError(why) => temperror(method, why),
        DkimResult::PermError(why) => new(AuthResult::Permerror).because(why.to_string()),
        // RFC 8601 §2.7.1: what fails a test has failed; neutral is what could not be tested.
        DkimResult::Neutral(
            why @ (Error::Dkim(DkimError::FailedBodyHashMatch | DkimError::SignatureExpired)
            | Error::Arc(ArcError::FailedBodyHashMatch | ArcError::SignatureExpired)),
        )
        | DkimResult::Fail(why) => new(AuthResult::Fail).because(why.to_string()),
        DkimResult::Neutral(why) => new(AuthResult::Neutral).because(why.to_string()),
    }
}

fn temperror(method: &str, why: &Error) -> MethodResult {
    MethodResult::new(method, AuthResult::Temperror).because(why.to_string())
}

/// What SPF found, in the library's words: the domain that it speaks for, and the result.
fn spf_output(mail_from: &MethodResult) -> (Arc<str>, SpfOutput) {
    let address = mail_from.property("smtp.mailfrom").unwrap_or_default();
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let result = match mail_from.result {
        AuthResult::Pass => SpfResult::Pass,
        AuthResult::Fail => SpfResult::Fail,
        AuthResult::Softfail => SpfResult::SoftFail,
        AuthResult::Neutral => SpfResult::Neutral,
        AuthResult::Temperror => SpfResult::TempError,
        AuthResult::Permerror => SpfResult::PermError,
        AuthResult::None | AuthResult::Policy => SpfResult::None,
    };
    (domain.into(), SpfOutput::new(domain.to_owned()).with_result(result))
}
