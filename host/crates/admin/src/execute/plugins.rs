//! Commands about plugins.

use maitred_policy::Trial;
use serde_json::{Value, json};

use super::registry;
use crate::command::PluginCommand;
use crate::{Desk, Problem};

/// Does it.
pub(super) async fn execute(desk: &Desk, command: PluginCommand) -> Result<Value, Problem> {
    let registry = registry(desk)?;
    let facts = match command {
        PluginCommand::List => return Ok(serde_json::to_value(registry.list())?),
        PluginCommand::Stats => return Ok(serde_json::to_value(registry.stats())?),
        PluginCommand::Load { name, file } => registry.load(name, &file).await?,
        PluginCommand::Shadow { name, file } => registry.try_out(name, &file, Trial::Shadow).await?,
        PluginCommand::Canary { name, file, share, budget } => {
            registry.try_out(name, &file, Trial::Canary(share, budget)).await?
        }
        PluginCommand::Promote { name } => registry.promote(&name).await?,
        PluginCommand::Rollback { name, digest } => registry.rollback(&name, digest.as_deref()).await?,
        PluginCommand::Enable { name } => registry.enable(&name, true).await?,
        PluginCommand::Disable { name } => registry.enable(&name, false).await?,
        PluginCommand::Remove { name } => {
            registry.remove(&name).await?;
            return Ok(json!({}));
        }
        PluginCommand::Record { name, octets_max } => {
            let file = registry.record(&name, octets_max).await?;
            return Ok(json!({ "file": file, "is_on": octets_max.is_some() }));
        }
    };
    Ok(serde_json::to_value(facts)?)
}
