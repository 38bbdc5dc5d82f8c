//! Commands, done.

mod accounts;
mod aliases;
mod apply;
mod plugins;
mod queue;

use maitred_store::{Batch, Intent, Receipt};
use serde_json::{Value, json};

use crate::{Command, Desk, Kind, Problem};

/// Does a command. The answer is `{}` where there is nothing to tell.
///
/// # Errors
/// Why it was not done. What was not done changed nothing, but for commands on many things, of which some may be done.
pub async fn execute(desk: &Desk, command: Command) -> Result<Value, Problem> {
    match command {
        Command::DomainAdd { domain } => change(desk, Intent::AddDomain(domain)).await,
        Command::DomainRemove { domain } => change(desk, Intent::RemoveDomain(domain)).await,
        Command::DomainList => Ok(accounts::domains(desk)),
        Command::AccountAdd { address, password, quota } => {
            accounts::add(desk, address, &password, quota).await
        }
        Command::AccountRemove { address } => change(desk, Intent::RemoveAccount(address)).await,
        Command::AccountList => accounts::list(desk).await,
        Command::AccountPassword { address, password } => {
            accounts::set_password(desk, address, &password).await
        }
        Command::AccountQuota { address, quota } => change(desk, Intent::SetQuota { address, quota }).await,
        Command::AccountApply { accounts } => apply::apply(desk, accounts).await,
        Command::AliasAdd { alias, targets } => aliases::add(desk, alias, targets).await,
        Command::AliasRemove { alias, targets } => aliases::remove(desk, alias, &targets).await,
        Command::AliasList => Ok(aliases::list(desk)),
        Command::QueueList { selection } => queue::list(desk, &selection).await,
        Command::QueueShow { id } => queue::show(desk, id).await,
        Command::QueueRetry { selection } => queue::order(desk, queue::Order::Retry, &selection).await,
        Command::QueueHold { selection } => queue::order(desk, queue::Order::Hold, &selection).await,
        Command::QueueRelease { selection } => queue::order(desk, queue::Order::Release, &selection).await,
        Command::QueueCancel { selection } => queue::order(desk, queue::Order::Cancel, &selection).await,
        Command::Plugin { plugin } => plugins::execute(desk, plugin).await,
        Command::Trace { name } => {
            let unknown = || {
                Problem::new(Kind::NotFound, format!("{name} is not among the last messages; see the log"))
            };
            server(desk)?.trace(&name).ok_or_else(unknown)
        }
        Command::Explain { inquiry } => Ok(server(desk)?.explain(&inquiry).await),
        Command::Status => Ok(server(desk)?.status()),
        Command::Reload => {
            let reloaded = server(desk)?.reload().await;
            reloaded.map(|()| json!({})).map_err(|reason| Problem::new(Kind::Failed, reason))
        }
        Command::StoreCheck => check(desk).await,
        Command::StoreStats => Ok(serde_json::to_value(desk.store.stats())?),
    }
}

fn registry(desk: &Desk) -> Result<&dyn maitred_policy::Registry, Problem> {
    desk.registry.as_deref().ok_or_else(|| Problem::new(Kind::Unavailable, "no plugins run here"))
}

fn server(desk: &Desk) -> Result<&dyn crate::ServerDesk, Problem> {
    desk.server.as_deref().ok_or_else(|| Problem::new(Kind::Unavailable, "no server runs here"))
}

async fn check(desk: &Desk) -> Result<Value, Problem> {
    let checked = desk.store.check().await?;
    let is_whole = checked.damage.is_empty() && checked.messages.is_empty() && checked.queue.is_empty();
    let damage = checked
        .damage
        .iter()
        .map(|place| json!({ "segment": place.segment, "offset": place.offset, "octets": place.octets }));
    let messages =
        checked.messages.iter().map(|(mailbox, uid)| json!({ "mailbox": mailbox.0, "uid": uid.0 }));
    Ok(json!({
        "is_whole": is_whole,
        "segments": checked.segments,
        "records": checked.records,
        "octets": checked.octets,
        "torn_octets": checked.torn_octets,
        "damage": damage.collect::<Vec<_>>(),
        "messages": messages.collect::<Vec<_>>(),
        "queue": checked.queue.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

/// One change that reads nothing before.
async fn change(desk: &Desk, intent: Intent) -> Result<Value, Problem> {
    let _turn = desk.changes.lock().await;
    commit(desk, vec![intent]).await?;
    Ok(json!({}))
}

async fn commit(desk: &Desk, intents: Vec<Intent>) -> Result<Receipt, Problem> {
    let batch = Batch { intents, ..Batch::default() };
    Ok(desk.store.commit(batch).await?)
}
