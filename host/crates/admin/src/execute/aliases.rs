//! Aliases and catch-alls.

use maitred_mail::Address;
use maitred_mail::directory::AliasKey;
use maitred_store::Intent;
use serde_json::{Value, json};

use super::accounts::check_local;
use super::commit;
use crate::{Alias, Desk, Kind, Problem};

pub(super) fn list(desk: &Desk) -> Value {
    let directory = desk.store.directory();
    let mut aliases: Vec<(Alias, &Vec<Address>)> =
        directory.aliases.iter().map(|(key, targets)| (Alias::from(key.clone()), targets)).collect();
    aliases.sort_by(|(a, _), (b, _)| (a.domain(), a).cmp(&(b.domain(), b)));
    let lines = aliases.iter().map(|(alias, targets)| line(alias, targets));
    Value::Array(lines.collect())
}

pub(super) async fn add(desk: &Desk, alias: Alias, targets: Vec<Address>) -> Result<Value, Problem> {
    check_local(desk, alias.domain(), &alias)?;
    if targets.is_empty() {
        return Err(Problem::new(Kind::Refused, format_args!("{alias}: an alias leads somewhere")));
    }
    let _turn = desk.changes.lock().await;
    let mut all = present(desk, alias.key());
    merge(&mut all, targets);
    let answer = line(&alias, &all);
    commit(desk, vec![Intent::SetAlias { key: alias.key().clone(), targets: all }]).await?;
    Ok(answer)
}

pub(super) async fn remove(desk: &Desk, alias: Alias, targets: &[Address]) -> Result<Value, Problem> {
    let _turn = desk.changes.lock().await;
    let mut left = present(desk, alias.key());
    if left.is_empty() {
        return Err(Problem::new(Kind::NotFound, format_args!("no alias {alias}")));
    }
    for target in targets {
        let before = left.len();
        left.retain(|kept| kept.folded() != target.folded());
        if left.len() == before {
            return Err(Problem::new(Kind::NotFound, format_args!("{alias} does not lead to {target}")));
        }
    }
    if targets.is_empty() {
        left.clear();
    }
    let answer = line(&alias, &left);
    let key = alias.key().clone();
    let intent =
        if left.is_empty() { Intent::RemoveAlias(key) } else { Intent::SetAlias { key, targets: left } };
    commit(desk, vec![intent]).await?;
    Ok(answer)
}

/// Where an alias leads now; nowhere when it is not there.
pub(super) fn present(desk: &Desk, key: &AliasKey) -> Vec<Address> {
    desk.store.directory().aliases.get(key).cloned().unwrap_or_default()
}

/// Adds targets that are not there yet.
pub(super) fn merge(all: &mut Vec<Address>, targets: impl IntoIterator<Item = Address>) {
    for target in targets {
        if all.iter().all(|known| known.folded() != target.folded()) {
            all.push(target);
        }
    }
}

fn line(alias: &Alias, targets: &[Address]) -> Value {
    json!({ "alias": alias, "targets": targets })
}
