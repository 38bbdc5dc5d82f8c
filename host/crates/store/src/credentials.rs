//! Passwords: argon2id (RFC 9106), with a short memory of proven logins so that a polling client does not cost a hash each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use maitred_mail::AccountId;
use tokio::sync::Semaphore;

use crate::Error;

/// How long a proven login is believed without a hash.
const PROOF_LIFETIME: Duration = Duration::from_secs(300);
/// How many proofs are kept.
const PROOFS_MAX: usize = 10_000;

/// Verifies passwords, a few at a time.
pub(crate) struct Credentials {
    hashing: Semaphore,
    key: [u8; 32],
    proofs: Mutex<HashMap<(AccountId, [u8; 32]), Instant>>,
    decoy: String,
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(unavailable)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn hash(password: &str) -> Result<String, Error> {
    Ok(argon2()?.hash_password(password.as_bytes()).map_err(unavailable)?.to_string())
}

impl Credentials {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(unavailable)?;
        Ok(Self {
            hashing: Semaphore::new(2),
            key,
            proofs: Mutex::default(),
            decoy: hash("a password that nobody has")?,
        })
    }

    /// A PHC string for a new password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Error> {
        let _permit = self.hashing.acquire().await.map_err(unavailable)?;
        let password = password.to_owned();
        tokio::task::spawn_blocking(move || hash(&password)).await.map_err(unavailable)?
    }

    /// Whether this is the account's password. Without an account the same work is done, and the answer is no.
    pub(crate) async fn verify(
        &self,
        account: Option<(AccountId, String)>,
        password: &str,
    ) -> Result<bool, Error> {
        let digest = *blake3::keyed_hash(&self.key, password.as_bytes()).as_bytes();
        let now = Instant::now();
        if let Some((id, _)) = &account
            && self.proofs().get(&(*id, digest)).is_some_and(|proven| now - *proven < PROOF_LIFETIME)
        {
            return Ok(true);
        }
        let _permit = self.hashing.acquire().await.map_err(unavailable)?;
        // A hash that is none proves nothing: that account is closed to everybody.
        let account = account.filter(|(_, phc)| PasswordHash::new(phc).is_ok());
        let (id, phc) = account.map_or((None, self.decoy.clone()), |(id, phc)| (Some(id), phc));
        let password = password.to_owned();
        let check = move || -> Result<bool, Error> {
            let parsed = PasswordHash::new(&phc).map_err(unavailable)?;
            Ok(argon2()?.verify_password(password.as_bytes(), &parsed).is_ok())
        };
        let is_right = tokio::task::spawn_blocking(check).await.map_err(unavailable)??;
        let Some(id) = id.filter(|_| is_right) else { return Ok(false) };
        let mut proofs = self.proofs();
        if proofs.len() >= PROOFS_MAX {
            proofs.retain(|_, proven| now - *proven < PROOF_LIFETIME);
        }
        if proofs.len() < PROOFS_MAX {
            proofs.insert((id, digest), now);
        }
        Ok(true)
    }

    /// A password changed: what was proven does not hold any more.
    pub(crate) fn forget(&self, account: AccountId) {
        self.proofs().retain(|(id, _), _| *id != account);
    }

    fn proofs(&self) -> std::sync::MutexGuard<'_, HashMap<(AccountId, [u8; 32]), Instant>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
