//! Domains and accounts.

use maitred_mail::{Address, Domain};
use maitred_store::Intent;
use serde_json::{Value, json};

use super::{change, commit};
use crate::{Desk, Kind, Problem};

/// A password longer than this is not hashed: nobody types it, and hashing would read all of it.
const PASSWORD_OCTETS_MAX: usize = 1024;

pub(super) fn domains(desk: &Desk) -> Value {
    let directory = desk.store.directory();
    let mut domains: Vec<&str> = directory.domains.iter().map(Domain::as_str).collect();
    domains.sort_unstable();
    json!(domains)
}

pub(super) async fn add(
    desk: &Desk,
    address: Address,
    password: &str,
    quota: Option<u64>,
) -> Result<Value, Problem> {
    check_local(desk, address.domain(), &address)?;
    if desk.store.directory().account(&address).is_some() {
        return Err(Problem::new(Kind::Exists, format_args!("{address} exists already")));
    }
    check_password(password, &address)?;
    let password_hash = desk.store.hash_password(password).await?;
    let printed = address.folded().to_string();
    let _turn = desk.changes.lock().await;
    commit(desk, vec![Intent::AddAccount { address, password_hash, quota }]).await?;
    Ok(json!({ "address": printed }))
}

pub(super) async fn set_password(desk: &Desk, address: Address, password: &str) -> Result<Value, Problem> {
    if desk.store.directory().account(&address).is_none() {
        return Err(Problem::new(Kind::NotFound, format_args!("no account {address}")));
    }
    check_password(password, &address)?;
    let password_hash = desk.store.hash_password(password).await?;
    change(desk, Intent::SetPassword { address, password_hash }).await
}

pub(super) async fn list(desk: &Desk) -> Result<Value, Problem> {
    let mut accounts = desk.store.accounts().await?;
    accounts.sort_by(|a, b| {
        (a.address.domain(), a.address.local_part()).cmp(&(b.address.domain(), b.address.local_part()))
    });
    let lines = accounts
        .iter()
        .map(|account| json!({ "address": account.address, "used": account.used, "quota": account.quota }));
    Ok(Value::Array(lines.collect()))
}

/// An account or alias needs a local domain.
pub(super) fn check_local(desk: &Desk, domain: &Domain, of: &dyn std::fmt::Display) -> Result<(), Problem> {
    if desk.store.directory().is_local(domain) {
        return Ok(());
    }
    let text = format!("{of}: {domain} is no local domain (maitred domain add {domain} makes it one)");
    Err(Problem::new(Kind::Refused, text))
}

pub(super) fn check_password(password: &str, of: &Address) -> Result<(), Problem> {
    if password.is_empty() {
        return Err(Problem::new(Kind::Refused, format_args!("{of}: the password is empty")));
    }
    if password.len() > PASSWORD_OCTETS_MAX {
        let text = format!("{of}: the password is longer than {PASSWORD_OCTETS_MAX} octets");
        return Err(Problem::new(Kind::Refused, text));
    }
    // RFC 4616 §2: a client cannot send NUL; a line end cannot be typed.
    if password.contains(['\0', '\r', '\n']) {
        let text = format!("{of}: the password holds a character that mail programs cannot send");
        return Err(Problem::new(Kind::Refused, text));
    }
    Ok(())
}
