//! The real program in a folder of its own, on ports that the system chooses: what tests of the whole need.

pub mod load;
pub mod talk;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The program, built beside this test by `cargo test --workspace` or `cargo build`.
///
/// # Panics
/// When it is not there.
#[expect(clippy::panic, reason = "a test without its subject must say so")]
pub fn binary() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|test| {
        let folder = test.parent()?.parent()?;
        Some(folder.join(format!("maitred{}", std::env::consts::EXE_SUFFIX)))
    });
    match beside {
        Some(path) if path.exists() => path,
        other => panic!("{other:?} is not built: run `cargo build` or `cargo test --workspace`"),
    }
}

/// Another program that a test needs; without it the test says that it is skipped.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    if found.is_none() {
        println!("SKIPPED: {name} is not installed");
    }
    found
}

/// How much of something a test does: what the environment says, else this.
///
/// # Panics
/// When that is no number.
#[expect(clippy::panic, reason = "a test that was asked for something else must say so")]
pub fn amount(name: &str, otherwise: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
        Err(_) => otherwise,
    }
}

/// Runs the program with this configuration.
///
/// # Errors
/// When it cannot be started.
pub fn maitred(config: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(binary()).arg("--config").arg(config).args(arguments).stdin(Stdio::null()).output()?)
}

/// The same, and it must succeed; answers what it printed.
///
/// # Errors
/// What it said.
pub fn told(config: &Path, arguments: &[&str]) -> Result<String> {
    let output = maitred(config, arguments)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "maitred {arguments:?}: {} {error}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What every test's configuration begins with: all protocols on ports that the system chooses.
pub fn listeners() -> String {
    ["smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http"]
        .map(|protocol| format!("[[listener]]\nprotocol = \"{protocol}\"\nbind = [\"127.0.0.1:0\"]\n"))
        .concat()
}

/// A configuration file in this folder: `top` goes before the listeners, `rest` behind.
///
/// # Errors
/// When it cannot be written.
pub fn configure(folder: &Path, top: &str, rest: &str) -> Result<PathBuf> {
    let file = folder.join("maitred.toml");
    let text =
        format!("hostname = \"mx.example.test\"\ndata_dir = \"data\"\n{top}\n{}\n{rest}\n", listeners());
    fs::write(&file, text)?;
    Ok(file)
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    /// Its configuration.
    pub config: PathBuf,
    ports: BTreeMap<String, u16>,
    /// Where its log goes.
    pub log: PathBuf,
}

impl Server {
    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// Why it did not start, with its log.
    pub fn start(config: &Path) -> Result<Self> {
        Self::start_with(config, |_| {})
    }

    /// The same, with a word to say about the process first.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(config: &Path, prepare: impl FnOnce(&mut Command)) -> Result<Self> {
        let log = config.with_extension("log");
        let mut command = Command::new(binary());
        command.arg("--config").arg(config).args(["serve", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        prepare(&mut command);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let ready = lines.next().transpose()?.unwrap_or_default();
        // Whatever else it prints is read away.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let Ok(ready) = serde_json::from_str::<serde_json::Value>(&ready) else {
            let status = child.wait()?;
            anyhow::bail!("not ready: {status}: {ready}\n{}", fs::read_to_string(&log)?);
        };
        let mut ports = BTreeMap::new();
        for listener in ready.get("listeners").and_then(|all| all.as_array()).into_iter().flatten() {
            let text = |key: &str| listener.get(key).and_then(|value| value.as_str()).unwrap_or_default();
            let port = text("address").rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            ports.insert(text("protocol").to_owned(), port.with_context(|| format!("{listener}"))?);
        }
        Ok(Self { child, config: config.to_owned(), ports, log })
    }

    /// Where it listens for this protocol.
    ///
    /// # Panics
    /// When it does not.
    #[expect(clippy::panic, reason = "a mistake of the test")]
    pub fn port(&self, protocol: &str) -> u16 {
        self.ports.get(protocol).copied().unwrap_or_else(|| panic!("no {protocol} in {:?}", self.ports))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of the program against it.
    ///
    /// # Errors
    /// What it said.
    pub fn told(&self, arguments: &[&str]) -> Result<String> {
        told(&self.config, arguments)
    }

    /// Adds a domain and accounts with the password `secret`.
    ///
    /// # Errors
    /// What it said.
    pub fn furnish(&self, domain: &str, people: &[&str]) -> Result<()> {
        self.told(&["domain", "add", domain])?;
        let accounts: Vec<_> = people
            .iter()
            .map(
                |person| serde_json::json!({ "address": format!("{person}@{domain}"), "password": "secret" }),
            )
            .collect();
        let file = self.config.with_extension("accounts.json");
        fs::write(&file, serde_json::to_string(&accounts)?)?;
        self.told(&["account", "apply", &file.to_string_lossy()])?;
        Ok(())
    }

    /// Sends a signal (its name, as `kill` knows it).
    ///
    /// # Errors
    /// When there is no `kill`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status()?;
        ensure!(sent.success(), "kill -{name}: {sent}");
        Ok(())
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        Ok(self.child.wait()?)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
