//! Many accounts at once: everything is checked before anything is changed, and doing it again changes nothing more.

use std::collections::{BTreeMap, HashSet};

use maitred_mail::Address;
use maitred_store::{Intent, Store};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::accounts::{check_local, check_password};
use super::{aliases, commit};
use crate::{AccountEntry, Alias, Desk, Kind, Problem};

/// Hashes that are asked for at one time: the store does as many at once as it likes, and logins of users come in between.
const HASHES_WAITING_MAX: usize = 4;
/// Intents of one commit: a record of the log holds them all.
const INTENTS_MAX: usize = 1000;

pub(super) async fn apply(desk: &Desk, entries: Vec<AccountEntry>) -> Result<Value, Problem> {
    let mut seen = HashSet::new();
    for entry in &entries {
        check(desk, entry)?;
        if !seen.insert(entry.address.folded()) {
            return Err(Problem::new(Kind::Refused, format_args!("{} is listed twice", entry.address)));
        }
    }
    let hashes = hash_all(&desk.store, &entries).await?;
    let _turn = desk.changes.lock().await;
    let mut intents = Vec::with_capacity(entries.len());
    let mut led: BTreeMap<Alias, Vec<Address>> = BTreeMap::new();
    let (mut added, mut changed) = (0u64, 0u64);
    for (entry, hash) in entries.into_iter().zip(hashes) {
        for alias in &entry.aliases {
            led.entry(alias.clone()).or_default().push(entry.address.clone());
        }
        match desk.store.directory().account(&entry.address) {
            None => added += 1,
            Some(_) => changed += 1,
        }
        intents.extend(of_account(desk, entry, hash)?);
    }
    let aliases_set = led.len();
    for (alias, targets) in led {
        let mut all = aliases::present(desk, alias.key());
        aliases::merge(&mut all, targets);
        intents.push(Intent::SetAlias { key: alias.key().clone(), targets: all });
    }
    while !intents.is_empty() {
        let rest = intents.split_off(intents.len().min(INTENTS_MAX));
        commit(desk, std::mem::replace(&mut intents, rest)).await?;
    }
    Ok(json!({ "added": added, "changed": changed, "aliases": aliases_set }))
}

fn check(desk: &Desk, entry: &AccountEntry) -> Result<(), Problem> {
    let address = &entry.address;
    let refused = |why: &str| Err(Problem::new(Kind::Refused, format_args!("{address}: {why}")));
    check_local(desk, address.domain(), address)?;
    for alias in &entry.aliases {
        check_local(desk, alias.domain(), alias)?;
    }
    match (&entry.password, &entry.hash) {
        (Some(_), Some(_)) => return refused("it has both a password and a hash"),
        (Some(password), None) => check_password(password, address)?,
        // What cannot be verified would lock the account without a word.
        (None, Some(hash)) if !is_argon2(hash) => {
            return refused("the hash is none of argon2 ($argon2id$v=19$m=…,t=…,p=…$salt$hash)");
        }
        (None, None) if desk.store.directory().account(address).is_none() => {
            return refused("a new account needs a password or a hash");
        }
        (None, _) => {}
    }
    Ok(())
}

/// Whether this has the form of an argon2 hash (PHC string format: algorithm, version, parameters, salt, hash).
fn is_argon2(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    let [nothing, algorithm, version, parameters, salt, output] = parts.as_slice() else { return false };
    let is_base64 = |text: &str| {
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+/".contains(&octet))
    };
    nothing.is_empty()
        && ["argon2id", "argon2i", "argon2d"].contains(algorithm)
        && version.strip_prefix("v=").is_some_and(|number| number == "19" || number == "16")
        && parameters.split(',').filter(|parameter| parameter.contains('=')).count() >= 3
        && is_base64(salt)
        && is_base64(output)
}

/// The hash of each entry that has a password or a hash. Equal passwords get different salts.
async fn hash_all(store: &Store, entries: &[AccountEntry]) -> Result<Vec<Option<String>>, Problem> {
    let mut hashes: Vec<Option<String>> = entries.iter().map(|entry| entry.hash.clone()).collect();
    let mut running: JoinSet<Result<(usize, String), maitred_store::Error>> = JoinSet::new();
    let mut passwords =
        entries.iter().enumerate().filter_map(|(place, entry)| Some((place, entry.password.clone()?)));
    loop {
        while running.len() < HASHES_WAITING_MAX {
            let Some((place, password)) = passwords.next() else { break };
            let store = store.clone();
            running.spawn(async move { Ok((place, store.hash_password(&password).await?)) });
        }
        let Some(done) = running.join_next().await else { return Ok(hashes) };
        let (place, hash) = done.map_err(|error| Problem::new(Kind::Failed, error))??;
        if let Some(slot) = hashes.get_mut(place) {
            *slot = Some(hash);
        }
    }
}

/// What makes one account as its entry says.
fn of_account(desk: &Desk, entry: AccountEntry, hash: Option<String>) -> Result<Vec<Intent>, Problem> {
    let AccountEntry { address, quota, .. } = entry;
    if desk.store.directory().account(&address).is_none() {
        let password_hash = hash.ok_or_else(|| {
            Problem::new(Kind::Refused, format_args!("{address}: a new account needs a password or a hash"))
        })?;
        return Ok(vec![Intent::AddAccount { address, password_hash, quota: quota.flatten() }]);
    }
    let mut intents = Vec::with_capacity(2);
    if let Some(quota) = quota {
        intents.push(Intent::SetQuota { address: address.clone(), quota });
    }
    if let Some(password_hash) = hash {
        intents.push(Intent::SetPassword { address, password_hash });
    }
    Ok(intents)
}
