//! `maitred serve`: the process around the server. First steps without a configuration, signals, the last word.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use maitred_mail::{Address, Domain};
use maitred_store::{Batch, Intent};
use tokio::signal::unix::{SignalKind, signal};

use super::{Server, Walls};
use crate::config::{Config, Protocol};

/// Serves until told to stop: SIGTERM and SIGINT stop, SIGHUP reloads.
///
/// # Errors
/// What kept it from starting, or what ended badly.
pub(crate) async fn run(
    config: Config,
    data_dir: Option<&Path>,
    walls: Walls,
    is_json: bool,
) -> anyhow::Result<()> {
    let is_first = config.file.is_none();
    let hostname = config.hostname.clone();
    let data = config.data_dir.clone();
    raise_descriptors();
    // Heard from the first moment on.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let server = Server::start(config, data_dir, walls).await?;
    let password = if is_first { make_demo(&server).await? } else { None };
    let said = match is_json {
        true => ready_line(&server, &hostname),
        false => welcome(&server, &data, is_first, password.as_deref()),
    };
    // Nobody may be listening: the server serves all the same.
    let _ = std::io::stdout().lock().write_all(said.as_bytes());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if let Err(error) = server.reload().await {
                    tracing::error!(error, "the configuration was not taken; everything stays as it was");
                }
            }
        }
    }
    server.stop().await
}

/// As many open files as the system lets us have: each connection is one, and the usual soft limit is 1024.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the number of open files could not be raised");
        }
    }
}

/// Without a configuration and on an empty store: `demo@localhost`, with a password that is told once.
async fn make_demo(server: &Server) -> anyhow::Result<Option<String>> {
    let store = server.store();
    if !store.directory().domains.is_empty() {
        return Ok(None);
    }
    let password = new_password()?;
    let password_hash = store.hash_password(&password).await?;
    let account = Intent::AddAccount { address: Address::parse(DEMO)?, password_hash, quota: None };
    let intents = vec![Intent::AddDomain(Domain::parse("localhost")?), account];
    store.commit(Batch { intents, ..Batch::default() }).await.context("the first account")?;
    Ok(Some(password))
}

/// 16 letters and digits that cannot be mistaken for each other: 80 bits.
pub(crate) fn new_password() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let letter = |octet: &u8| LETTERS.get(usize::from(octet % 32)).copied().map_or('a', char::from);
    Ok(octets.iter().map(letter).collect())
}

/// For programs: one line when everything answers.
fn ready_line(server: &Server, hostname: &str) -> String {
    let listeners: Vec<_> = server
        .bound()
        .iter()
        .map(|(protocol, address)| {
            serde_json::json!({ "protocol": protocol.name(), "address": address.to_string() })
        })
        .collect();
    format!("{}\n", serde_json::json!({ "ready": true, "hostname": hostname, "listeners": listeners }))
}

/// For people: what runs, and what they can do next.
fn welcome(server: &Server, data: &Path, is_first: bool, password: Option<&str>) -> String {
    let mut text = format!("maitred {} serves mail from {}\n", env!("CARGO_PKG_VERSION"), data.display());
    for (protocol, address) in server.bound() {
        text.push_str(&format!("  {:<12} {address}{}\n", protocol.name(), hint(*protocol)));
    }
    if !is_first {
        return text;
    }
    let shown = password.unwrap_or("PASSWORD");
    match password {
        Some(password) => text.push_str(&format!(
            "\nAn account to begin with (told once; change it with `maitred --data {} account password {DEMO}`):\n  {DEMO}   {password}\n",
            data.display()
        )),
        None => text.push_str(&format!("\nThe account {DEMO} has the password that was told at the first start.\n")),
    }
    let port = |protocol| server.port(protocol).unwrap_or_default();
    text.push_str(&format!(
        "\nMail client: IMAP 127.0.0.1 port {} (STARTTLS), SMTP 127.0.0.1 port {} (STARTTLS), user {DEMO}.\n\
         The certificate is self-signed: {}\n\
         \nSend a first message, and read it back:\n\
         \x20 swaks --server 127.0.0.1 --port {} --to {DEMO} --from you@example.org --header 'Subject: hello'\n\
         \x20 curl -k 'imaps://127.0.0.1:{}/INBOX;MAILINDEX=1' --user '{DEMO}:{shown}'\n\
         \nStop with Ctrl-C. More: `maitred demo`, `maitred --help`.\n",
        port("imap"),
        port("submission"),
        data.join("tls/self-signed.pem").display(),
        port("smtp"),
        port("imaps"),
    ));
    text
}

fn hint(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Smtp => "   mail from other servers, STARTTLS",
        Protocol::Submission => "   mail from your clients, STARTTLS",
        Protocol::Imap | Protocol::Pop3 => "   reading, STARTTLS",
        Protocol::Lmtp => "   mail from a server beside this one",
        Protocol::Http => "   /healthz, /readyz, /metrics, autoconfig",
        Protocol::Submissions | Protocol::Imaps | Protocol::Pop3s => "   TLS",
    }
}

const DEMO: &str = "demo@localhost";
