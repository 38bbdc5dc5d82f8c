//! The command line: what is asked, of whom, and with which exit code it ends.

mod check;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Log, LogFormat};
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
    let cli = Cli::parse();
    let (code, error) = match run(&cli) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(End::Config(error)) => (2, error.to_string()),
        // With its causes, on one line.
        Err(End::Failed(error)) => (1, format!("{error:#}")),
    };
    eprintln!("maitred: {}", error.replace('\n', " "));
    ExitCode::from(code)
}

fn run(cli: &Cli) -> Result<(), End> {
    let runtime = runtime().map_err(Failed::from)?;
    let done = runtime.block_on(execute(cli));
    // Nothing of value is running any more; blocking threads are not waited for.
    runtime.shutdown_background();
    done
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

async fn execute(cli: &Cli) -> Result<(), End> {
    match cli.command.as_ref().unwrap_or(&Command::Serve) {
        Command::Serve => {
            let config = load(cli)?;
            start_log(&config.log)?;
            serve::run(config, cli.data.as_deref(), cli.json).await.map_err(|error| Failed(error).into())
        }
        Command::Demo => {
            start_log(&Log { filter: "off".to_owned(), format: LogFormat::Text })?;
            demo::run(cli.json).await.map_err(|error| Failed(error).into())
        }
        Command::Check { print } => {
            let config = load(cli)?;
            let told = check::run(&config, *print, cli.json).await.map_err(End::Config)?;
            print!("{told}");
            Ok(())
        }
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
