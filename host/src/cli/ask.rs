//! Who does an operator's command: the running server, or, when none runs on these data, this process on the store itself.

use anyhow::{Context as _, anyhow};
use maitred_admin::socket::AskError;
use maitred_admin::{Command, Desk, Kind, Problem, execute, socket};
use maitred_store::Store;
use serde_json::Value;

use super::End;
use crate::config::{Config, ConfigError};
use crate::serve;

/// Has a command done, and answers what came of it.
///
/// # Errors
/// Why it was not done.
pub(super) async fn ask(config: &Config, command: Command) -> Result<Value, End> {
    let path = config.data_dir.join(serve::SOCKET);
    let data = config.data_dir.display();
    match socket::ask(&path, &command).await {
        Ok(answer) => Ok(answer),
        Err(AskError::NobodyListens) if command.needs_server() => {
            Err(End::Failed(anyhow!("no server runs on {data}; start it with `maitred serve`")))
        }
        Err(AskError::NobodyListens) => on_the_store(config, command).await,
        Err(AskError::Problem(problem)) => Err(ended(problem)),
        Err(error) => Err(End::Failed(anyhow!("{}: {error}", path.display()))),
    }
}

async fn on_the_store(config: &Config, command: Command) -> Result<Value, End> {
    serve::make_private(&config.data_dir).map_err(End::Failed)?;
    let settings = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&settings)).await;
    let store = opened
        .map_err(anyhow::Error::from)
        .and_then(|opened| opened.map_err(anyhow::Error::from))
        .with_context(|| {
            let store = config.store.directory.display();
            format!("no server answers on {}, and {store} cannot be used directly", serve::SOCKET)
        })
        .map_err(End::Failed)?;
    let done = execute(&Desk::new(store.clone()), command).await;
    store.close().await;
    done.map_err(ended)
}

fn ended(problem: Problem) -> End {
    match problem.kind {
        Kind::Malformed => End::Config(ConfigError::new(problem.text)),
        _ => End::Failed(anyhow!("{}", problem.text)),
    }
}
