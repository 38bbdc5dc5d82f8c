//! The operator's commands: each becomes a value that the server or the store is asked, and its answer a text.

use maitred_admin::Command;
use serde_json::{Value, json};

use super::account::AccountCommand;
use super::alias::AliasCommand;
use super::domain::DomainCommand;
use super::explain::{self, ExplainArguments};
use super::plugin::PluginCommand;
use super::queue::QueueCommand;
use super::store::StoreCommand;
use super::{End, ask, lend, status};
use crate::config::Config;

/// What goes to the running server, or to the store where none runs.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Administer {
    /// Accounts: add, remove, list, password, quota, apply
    #[command(subcommand)]
    Account(AccountCommand),
    /// Aliases and catch-alls: add, remove, list
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Local domains: add, remove, list
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Plugins: load, try out, promote, go back, record; make, check, test and replay without a server
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Shows how mail to an address would travel: plugins with their verdicts, aliases, routes; nothing is sent
    Explain(ExplainArguments),
    /// Mail on its way out: list, show, retry, hold, release, cancel
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Rereads configuration, certificates and plugins; a bad file changes nothing
    Reload,
    /// Shows how the running server is
    Status,
    /// What is on disk: check, stats
    #[command(subcommand)]
    Store(StoreCommand),
    /// Shows the life of one of the last messages: who sent it, what plugins said, what became of it
    Trace {
        /// Its name as in the log and the reply to DATA, its name in the queue, or its Message-ID
        name: String,
    },
}

impl Administer {
    /// Has it done; what to print, and whether it tells of something bad.
    ///
    /// # Errors
    /// Why it was not done.
    pub(super) async fn run(&self, config: &Config, is_json: bool) -> Result<(String, bool), End> {
        if let Self::Plugin(plugin) = self
            && let Some(bench) = plugin.bench()
        {
            return bench.run(config, is_json).await;
        }
        let (mut command, password) = self.command()?;
        // There until the answer is.
        let _lent = lend::lend(&mut command, &config.data_dir)?;
        let mut answer = ask::ask(config, command).await?;
        if let (Some(password), Some(members)) = (password, answer.as_object_mut()) {
            members.insert("password".to_owned(), json!(password));
        }
        let is_bad = match self {
            Self::Plugin(plugin) => plugin.is_bad(&answer),
            Self::Store(store) => store.is_bad(&answer),
            _ => false,
        };
        let text = if is_json { format!("{answer}\n") } else { self.text(&answer) };
        Ok((text, is_bad))
    }

    /// What is bad when it tells of something bad.
    pub(super) fn bad(&self) -> &'static str {
        match self {
            Self::Plugin(plugin) => plugin.bad(),
            _ => "the store is damaged",
        }
    }

    /// The command, and a password that was made for it.
    pub(super) fn command(&self) -> Result<(Command, Option<String>), End> {
        Ok(match self {
            Self::Account(account) => return account.command(),
            Self::Alias(alias) => (alias.command(), None),
            Self::Domain(domain) => (domain.command(), None),
            Self::Plugin(plugin) => (plugin.command()?, None),
            Self::Explain(explain) => (explain.command()?, None),
            Self::Queue(queue) => (queue.command(), None),
            Self::Reload => (Command::Reload, None),
            Self::Status => (Command::Status, None),
            Self::Store(store) => (store.command(), None),
            Self::Trace { name } => (Command::Trace { name: name.clone() }, None),
        })
    }

    fn text(&self, answer: &Value) -> String {
        match self {
            Self::Account(account) => account.text(answer),
            Self::Alias(alias) => alias.text(answer),
            Self::Domain(domain) => domain.text(answer),
            Self::Plugin(plugin) => plugin.text(answer),
            Self::Explain(_) => explain::journey(answer),
            Self::Queue(queue) => queue.text(answer),
            Self::Reload => "configuration, certificates and plugins reread\n".to_owned(),
            Self::Status => status::show(answer),
            Self::Store(store) => store.text(answer),
            Self::Trace { .. } => explain::life(answer),
        }
    }
}
