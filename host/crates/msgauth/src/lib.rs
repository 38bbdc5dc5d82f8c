//! Whether mail comes from where it says: iprev, SPF, DKIM, ARC and DMARC behind [`maitred_policy::SenderAuth`].
//!
//! RFC 8601 (the results), RFC 7208 (SPF), RFC 6376 with RFC 8301 and RFC 8463 (DKIM), RFC 8617 (ARC), RFC 9989 (DMARC). The only room
//! that knows the library for these. It reads records and checks signatures; what it would ask the DNS by itself, it is told: every
//! answer comes from our own [`maitred_mail::dns::Resolver`], whose "no" and "not now" stay apart.
//! Invariants: whatever a peer or its DNS says, there is an answer, in time and from bounded memory; what is not known now is
//! `temperror`, never `none`.
#![deny(clippy::indexing_slicing)]

mod iprev;
mod message;
mod records;
mod spf;
mod verifier;

pub use verifier::{Error, Verifier};

#[cfg(test)]
mod tests;
