//! The operator's commands: through the admin socket while the server runs, else on the store where that is enough.

mod arguments;
mod password;
mod print;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use maitred_admin::socket::{AskError, ask};
use maitred_admin::{AccountEntry, Command, Desk, Problem, Selection, execute};
use maitred_store::{Config, Store};
use serde_json::Value;

use password::Password;

pub(crate) use arguments::AdminCommand;
use arguments::{AccountCommand, AliasCommand, DomainCommand, PluginCommand, QueueCommand, StoreCommand};

/// The admin socket's name in the data directory.
const SOCKET: &str = "admin.sock";

/// Does what the arguments say and prints the answer. The exit code: 1 when a check found damage.
///
/// # Errors
/// Why it was not done, in one line.
pub(crate) async fn run(
    command: AdminCommand,
    data_dir: &Path,
    store: Config,
    is_json: bool,
) -> anyhow::Result<u8> {
    let (command, told) = of_arguments(command)?;
    let done = match ask(&data_dir.join(SOCKET), &command).await {
        Ok(answer) => Ok(answer),
        Err(AskError::NobodyListens) => on_store(&command, data_dir, store).await?,
        Err(AskError::Problem(problem)) => Err(problem),
        Err(other) => return Err(other.into()),
    };
    let mut answer = match done {
        Ok(answer) => answer,
        Err(problem) => {
            // For programs: the kind of the problem too.
            if is_json {
                println!("{}", serde_json::json!({ "problem": problem }));
            }
            return Err(problem.into());
        }
    };
    let code = u8::from(answer.get("is_whole") == Some(&Value::Bool(false)));
    if let (Some(password), Some(fields)) = (&told, answer.as_object_mut()) {
        fields.insert("password".to_owned(), Value::from(password.as_str()));
    }
    let mut text = match is_json {
        true => serde_json::to_string_pretty(&answer)?,
        false => print::text(&command, &answer),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    std::io::stdout().lock().write_all(text.as_bytes()).context("the answer was not written")?;
    Ok(code)
}

/// Nothing runs: the store is opened here, if that is enough.
async fn on_store(
    command: &Command,
    data_dir: &Path,
    store: Config,
) -> anyhow::Result<Result<Value, Problem>> {
    if command.needs_server() {
        bail!("no server runs on the data in {}", data_dir.display());
    }
    if !store.directory.exists() {
        // Anything else has nothing to work on, and a mistyped directory shall not come to be.
        if !matches!(command, Command::DomainAdd { .. }) {
            bail!("there is no store in {}; `maitred serve` makes one", data_dir.display());
        }
        // There will be mail in it.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
        made.with_context(|| format!("the data directory {}", data_dir.display()))?;
    }
    let directory = store.directory.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&store)).await?;
    let opened = opened.with_context(|| format!("the store in {}", directory.display()))?;
    let done = execute(&Desk::new(opened.clone()), command.clone()).await;
    opened.close().await;
    Ok(done)
}

/// The command, and a password that was made for it.
fn of_arguments(command: AdminCommand) -> anyhow::Result<(Command, Option<String>)> {
    let command = match command {
        AdminCommand::Domain(DomainCommand::Add { domain }) => Command::DomainAdd { domain },
        AdminCommand::Domain(DomainCommand::Remove { domain }) => Command::DomainRemove { domain },
        AdminCommand::Domain(DomainCommand::List) => Command::DomainList,
        AdminCommand::Account(command) => return of_account(command),
        AdminCommand::Alias(AliasCommand::Add { alias, targets }) => Command::AliasAdd { alias, targets },
        AdminCommand::Alias(AliasCommand::Remove { alias, targets }) => {
            Command::AliasRemove { alias, targets }
        }
        AdminCommand::Alias(AliasCommand::List) => Command::AliasList,
        AdminCommand::Queue(QueueCommand::List { domain }) => {
            Command::QueueList { selection: domain.map_or(Selection::All, Selection::Domain) }
        }
        AdminCommand::Queue(QueueCommand::Show { id }) => Command::QueueShow { id },
        AdminCommand::Queue(QueueCommand::Retry(of)) => Command::QueueRetry { selection: of.selection() },
        AdminCommand::Queue(QueueCommand::Hold(of)) => Command::QueueHold { selection: of.selection() },
        AdminCommand::Queue(QueueCommand::Release(of)) => Command::QueueRelease { selection: of.selection() },
        AdminCommand::Queue(QueueCommand::Cancel(of)) => Command::QueueCancel { selection: of.selection() },
        AdminCommand::Plugin(PluginCommand::List) => Command::PluginList,
        AdminCommand::Plugin(PluginCommand::Load { file, name }) => {
            // The server may run in another directory.
            let file = std::path::absolute(&file).with_context(|| file.display().to_string())?;
            Command::PluginLoad { name, file }
        }
        AdminCommand::Plugin(PluginCommand::Enable { name }) => Command::PluginEnable { name },
        AdminCommand::Plugin(PluginCommand::Disable { name }) => Command::PluginDisable { name },
        AdminCommand::Store(StoreCommand::Check) => Command::StoreCheck,
        AdminCommand::Store(StoreCommand::Stats) => Command::StoreStats,
        AdminCommand::Status => Command::Status,
        AdminCommand::Reload => Command::Reload,
    };
    Ok((command, None))
}

fn of_account(command: AccountCommand) -> anyhow::Result<(Command, Option<String>)> {
    let command = match command {
        AccountCommand::Add { address, is_stdin, quota } => {
            let Password { text: password, was_made } = password::obtain(&address, is_stdin)?;
            let told = was_made.then(|| password.clone());
            let quota = quota.and_then(|quota| quota.0);
            return Ok((Command::AccountAdd { address, password, quota }, told));
        }
        AccountCommand::Password { address, is_stdin } => {
            let Password { text: password, was_made } = password::obtain(&address, is_stdin)?;
            let told = was_made.then(|| password.clone());
            return Ok((Command::AccountPassword { address, password }, told));
        }
        AccountCommand::Remove { address } => Command::AccountRemove { address },
        AccountCommand::List => Command::AccountList,
        AccountCommand::Quota { address, of } => Command::AccountQuota { address, quota: of.quota() },
        AccountCommand::Apply { file } => Command::AccountApply { accounts: read_entries(&file)? },
    };
    Ok((command, None))
}

/// The accounts in a file, or on standard input for `-`.
fn read_entries(file: &PathBuf) -> anyhow::Result<Vec<AccountEntry>> {
    let name = file.display();
    let text = if file.as_os_str() == "-" {
        if std::io::stdin().is_terminal() {
            bail!("standard input is a terminal: give a file, or send one there");
        }
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| name.to_string())?
    };
    serde_json::from_str(&text).with_context(|| format!("{name} is no list of accounts"))
}
