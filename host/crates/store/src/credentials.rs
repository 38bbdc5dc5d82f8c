//! Passwords: argon2id (RFC 9106), with a short memory of proven logins so that a polling client does not cost a hash each time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
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

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn hash(password: &str) -> Result<String, Error> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(unavailable)?;
    let mut salt = [0; Salt::RECOMMENDED_LENGTH];
    getrandom::fill(&mut salt).map_err(unavailable)?;
    let output = derive(Algorithm::Argon2id, Version::V0x13, &params, password, &salt, 32)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(unavailable)?,
        salt: Some(Salt::new(&salt).map_err(unavailable)?),
        hash: Some(output),
    };
    Ok(phc.to_string())
}

/// Whether this password has this hash. A hash that is none of ours fits nothing.
fn fits(password: &str, phc: &str) -> Result<bool, Error> {
    let Ok(known) = PasswordHash::new(phc) else { return Ok(false) };
    let (Some(salt), Some(expected)) = (&known.salt, &known.hash) else { return Ok(false) };
    let version = known.version.map_or(Ok(Version::default()), Version::try_from);
    let (Ok(algorithm), Ok(version), Ok(params)) =
        (Algorithm::try_from(known.algorithm.as_str()), version, Params::try_from(&known))
    else {
        return Ok(false);
    };
    let output = derive(algorithm, version, &params, password, salt, expected.len())?;
    // In constant time: outputs are compared so.
    Ok(output == *expected)
}

/// The C library raises its threshold for giving memory back to the largest piece that was ever given back below 32 MiB: after
/// the first hash it would keep the 19 MiB of each thread that made one. A reservation above that is always a mapping of
/// its own and goes back whole; what is not touched of it costs nothing.
const MAPPED_BLOCKS: usize = (33 << 20) / Block::SIZE;

fn derive(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    password: &str,
    salt: &[u8],
    octets: usize,
) -> Result<Output, Error> {
    let blocks = params.block_count();
    let mut memory = Vec::with_capacity(blocks.max(MAPPED_BLOCKS));
    memory.resize(blocks, Block::default());
    let mut output = vec![0; octets];
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut memory)
        .map_err(unavailable)?;
    Output::new(&output).map_err(unavailable)
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
        let check = move || fits(&password, &phc);
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

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[test]
    fn a_hash_is_what_others_make_and_check() {
        let phc = hash("secret").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(fits("secret", &phc).unwrap() && !fits("Secret", &phc).unwrap());
        let parsed = PasswordHash::new(&phc).unwrap();
        assert!(Argon2::default().verify_password(b"secret", &parsed).is_ok());
        assert_ne!(phc, hash("secret").unwrap());
    }

    #[test]
    fn what_is_no_hash_of_ours_fits_nothing() {
        for phc in [
            "",
            "none",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=18$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA",
        ] {
            assert!(!fits("secret", phc).unwrap(), "{phc}");
        }
    }
}
