//! The command line: what is asked, of whom, and with which exit code it ends.

mod account;
mod administer;
mod alias;
mod arguments;
mod ask;
mod bench;
mod check;
mod domain;
mod explain;
mod lend;
mod password;
mod plugin;
mod queue;
mod status;
mod store;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Parser, Subcommand};

use administer::Administer;

use crate::config::{Config, ConfigError, Log, LogFormat};
use crate::serve::Walls;
use crate::{demo, logging, serve};

/// The mail server whose policy is Wasm.
#[derive(Debug, Parser)]
#[command(name = "maitred", version, about, disable_help_subcommand = true)]
struct Cli {
    /// The configuration file; else ./maitred.toml if there is one, else every default.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The data directory, whatever the configuration says.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Administer(Administer),
    /// Serves mail until it is told to stop (what is done without a command).
    Serve,
    /// Tells the journey of a message with two servers in one process: no network, no configuration.
    Demo,
    /// Checks the configuration and the plugins without starting.
    Check {
        /// Print every key as it holds.
        #[arg(long)]
        print: bool,
    },
}

impl Command {
    /// Whether what it makes is nobody else's to read. A project, bindings and components are as any other source.
    fn is_private(&self) -> bool {
        !matches!(self, Self::Administer(Administer::Plugin(plugin)) if plugin.bench().is_some())
    }
}

/// Why a command ended.
enum End {
    /// Bad configuration or arguments.
    Config(ConfigError),
    /// Failed at run time.
    Failed(anyhow::Error),
}

impl From<ConfigError> for End {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Wraps what ends a command with exit code 1.
struct Failed(anyhow::Error);

impl From<Failed> for End {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed.0)
    }
}

/// Runs what the arguments say.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            eprintln!("maitred: {}", one_line(&error));
            return ExitCode::from(2);
        }
        // Help and version.
        Err(error) => error.exit(),
    };
    if cli.command.as_ref().is_none_or(Command::is_private) {
        // What is made then holds mail or secrets: it is its owner's alone, though the data directory was made by somebody else.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }
    let (code, error) = match run(&cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(End::Config(error)) => (2, error.to_string()),
        // With its causes, on one line.
        Err(End::Failed(error)) => (1, format!("{error:#}")),
    };
    eprintln!("maitred: {}", error.replace('\n', " "));
    ExitCode::from(code)
}

/// What clap says, without its usage text.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told = text.split("\n\n").next().unwrap_or_default();
    let told = told.strip_prefix("error: ").unwrap_or(told);
    format!("{} (see --help)", told.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn run(cli: &Cli) -> Result<(), End> {
    match cli.command.as_ref().unwrap_or(&Command::Serve) {
        Command::Serve => serve(cli),
        command => block_on(execute(cli, command)),
    }
}

/// The server. Its walls are built while this thread is the only one, for only those that it starts are behind them.
fn serve(cli: &Cli) -> Result<(), End> {
    let config = load(cli)?;
    let user = config.user()?;
    start_log(&config.log)?;
    if !maitred_plugin_host::prepare() {
        tracing::debug!("the kernel does not tell which pages a plugin wrote: more is copied for each call");
    }
    let walls = Walls::raise(&config, user).map_err(Failed)?;
    let served = serve::run(config, cli.data.as_deref(), walls, cli.json);
    block_on(async { served.await.map_err(|error| Failed(error).into()) })
}

fn block_on(work: impl Future<Output = Result<(), End>>) -> Result<(), End> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::from)?;
    let done = runtime.block_on(work);
    // Nothing of value is running any more; blocking threads are not waited for.
    runtime.shutdown_background();
    done
}

async fn execute(cli: &Cli, command: &Command) -> Result<(), End> {
    match command {
        // Begun before there is a runtime.
        Command::Serve => Ok(()),
        Command::Demo => {
            start_log(&Log { filter: "off".to_owned(), format: LogFormat::Text })?;
            demo::run(cli.json).await.map_err(|error| Failed(error).into())
        }
        Command::Administer(command) => {
            let config = load(cli)?;
            // What matters to an operator who waits for an answer.
            start_log(&Log { filter: "warn".to_owned(), ..config.log.clone() })?;
            let (told, is_bad) = command.run(&config, cli.json).await?;
            print(&told)?;
            if is_bad { Err(Failed(anyhow!("{}", command.bad())).into()) } else { Ok(()) }
        }
        Command::Check { print } => {
            let config = load(cli)?;
            let told = check::run(&config, *print, cli.json).await.map_err(End::Config)?;
            self::print(&told)
        }
    }
}

/// A reader that goes away (`| head`) is no failure.
fn print(text: &str) -> Result<(), End> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failed(error.into()).into()),
        _ => Ok(()),
    }
}

fn load(cli: &Cli) -> Result<Config, ConfigError> {
    let data_dir = cli.data.as_deref();
    match (&cli.config, Path::new(HERE)) {
        (Some(file), _) => Config::load(file, data_dir),
        (None, here) if here.exists() => Config::load(here, data_dir),
        (None, _) => Config::defaults(data_dir),
    }
}

fn start_log(log: &Log) -> Result<(), ConfigError> {
    logging::start(log).map_err(ConfigError::new)
}

const HERE: &str = "maitred.toml";
