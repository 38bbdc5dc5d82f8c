//! What the tests of this suite share: plugins in a folder of their own, facts to ask about, a world outside that is made up.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_plugin_host::{Bundled, Config, Grants, Nowhere, PluginConfig, PluginHost};
use maitred_policy::table::MemoryTable;
use maitred_policy::{
    Ask, Asker, Direction, Edit, Fault, Findings, HookCall, MessageFacts, Outcome, Outside, Peer, Registry,
    Reply, SessionFacts, Space, Table, TableAnswer, TableOp, TransactionFacts, TrialFacts,
};
use tests_plugins::{EVIL, PROBE};
pub use tests_plugins::{build_of_probe, replaced};
use tokio::sync::watch;

/// The probe, under two names.
pub const PROBES: &[Bundled] = &[
    Bundled { name: "probe", component: PROBE, is_default: false },
    Bundled { name: "other", component: PROBE, is_default: false },
];
/// The one that misbehaves.
pub const EVIL_ONE: &[Bundled] = &[Bundled { name: "evil", component: EVIL, is_default: true }];
/// Everything there is to grant.
pub const GRANTS: [&str; 6] =
    ["store", "dns", "directory", "submit", "authentication", "http:https://api.a.test"];

/// Nothing here takes so long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server keeps its plugins.
pub struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn config(&self, plugins: Vec<PluginConfig>) -> Config {
        Config { directory: Some(self.path().join("plugins")), state: self.state(), plugins }
    }

    /// A file with these octets that is not in the plugin directory.
    pub fn file(&self, name: &str, octets: &[u8]) -> Result<PathBuf> {
        let path = self.path().join(format!("{name}.wasm"));
        std::fs::write(&path, octets)?;
        Ok(path)
    }

    /// The server's plugins, with nothing outside.
    pub async fn start(
        &self,
        plugins: Vec<PluginConfig>,
        bundled: &'static [Bundled],
    ) -> Result<Arc<PluginHost>> {
        self.start_in(plugins, bundled, Arc::new(Nowhere)).await
    }

    /// The server's plugins in this world.
    pub async fn start_in(
        &self,
        plugins: Vec<PluginConfig>,
        bundled: &'static [Bundled],
        outside: Arc<dyn Outside>,
    ) -> Result<Arc<PluginHost>> {
        Ok(PluginHost::start(self.config(plugins), bundled, outside).await?)
    }
}

/// The probe with these scripts and all grants.
pub fn probe(scripts: serde_json::Value) -> PluginConfig {
    PluginConfig { config: scripts, grants: granted(&GRANTS), ..PluginConfig::named("probe") }
}

/// These grants.
pub fn granted(words: &[&str]) -> Grants {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    #[expect(clippy::expect_used, reason = "constants of this suite")]
    Grants::parse(&words).expect("words that are grants")
}

/// The digest that the host tells of these octets.
pub fn digest_of(octets: &[u8]) -> String {
    blake3::hash(octets).to_hex().to_string()
}

pub fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("client.example".to_owned()),
        tls: None,
        login: None,
        may_relay: false,
        transaction: None,
        started: Timestamp(0),
        notes: Arc::default(),
        findings: Findings::default(),
    }
}

/// A session in the transaction of this message.
pub fn session_with(message: &MessageFacts) -> SessionFacts {
    let transaction = TransactionFacts {
        id: message.id,
        reverse_path: message.envelope.reverse_path.clone(),
        size: None,
        recipients: Arc::new(message.envelope.recipients.clone()),
    };
    SessionFacts { transaction: Some(transaction), ..session() }
}

pub fn address(text: &str) -> Address {
    #[expect(clippy::expect_used, reason = "constants of this suite")]
    Address::parse(text).expect("a text that is an address")
}

pub fn recipient(text: &str) -> Recipient {
    Recipient { address: address(text), original: None }
}

pub fn message(subject: &str) -> MessageFacts {
    MessageFacts {
        id: MessageId(1),
        envelope: Arc::new(Envelope {
            reverse_path: ReversePath::Address(address("alice@b.test")),
            parameters: MailParameters::default(),
            recipients: vec![recipient("bob@a.test")],
        }),
        head: Bytes::from(format!("Subject: {subject}\r\nTo: bob@a.test\r\n")),
        body: Arc::new(Bytes::from_static(b"Hello\r\n")),
        structure: None,
        original: None,
        symbols: Vec::new(),
        tags: Vec::new(),
    }
}

pub async fn ask(host: &PluginHost, subject: &str) -> Outcome {
    host.chain().ask(&session(), HookCall::Message(&message(subject))).await
}

/// The same from clients in many networks, by turns.
pub async fn ask_from_afar(host: &PluginHost, number: u8, subject: &str) -> Outcome {
    let mut session = session();
    session.peer.remote.set_ip([198, 51, number, 1].into());
    host.chain().ask(&session, HookCall::Message(&message(subject))).await
}

/// The fault of the only plugin that spoke.
pub fn fault(outcome: &Outcome) -> Option<&Fault> {
    outcome.said.first().and_then(|said| said.fault.as_ref())
}

/// What the probe found by each action.
pub fn found(outcome: &Outcome) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    for edit in &outcome.edits {
        if let Edit::Tag(name, value) = edit {
            all.push((name.as_str(), value.as_str()));
        }
    }
    all
}

/// Looks until something is so.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> Result<T> {
    until_async(async || look()).await
}

/// Tries until something is so.
pub async fn until_async<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let looking = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.context("it did not happen")
}

/// How the trial of a plugin goes.
pub fn trial(host: &PluginHost, name: &str) -> Result<TrialFacts> {
    let facts = host.list().into_iter().find(|facts| facts.name == name);
    facts.and_then(|facts| facts.trial).with_context(|| format!("nothing of {name} is tried out"))
}

/// The trial of a plugin when so many calls were compared.
pub async fn compared(host: &PluginHost, name: &str, count: u64) -> Result<TrialFacts> {
    until(|| match trial(host, name) {
        Ok(facts) if facts.compared < count => None,
        other => Some(other),
    })
    .await?
}

/// A world outside that is made up: it has tables, and answers everything else as it was told. It knows what it was asked.
pub struct Fake {
    table: MemoryTable,
    reply: Box<MadeUp>,
    asked: watch::Sender<Vec<Asked>>,
}

/// What is replied to a question.
type MadeUp = dyn Fn(&Ask) -> Option<Reply> + Send + Sync;

/// A question.
#[derive(Debug, Clone)]
pub struct Asked {
    pub plugin: String,
    pub origins: Vec<String>,
    pub ask: Ask,
}

impl Fake {
    /// With tables alone.
    pub fn new() -> Arc<Self> {
        Self::answering(|_| None)
    }

    /// `None` leaves it to the tables; what is no question to them cannot be answered now.
    pub fn answering(reply: impl Fn(&Ask) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        let asked = watch::Sender::new(Vec::new());
        Arc::new(Self { table: MemoryTable::default(), reply: Box::new(reply), asked })
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// What would change something.
    pub fn effects(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.ask.has_effect()).collect()
    }

    /// Waits for a question that is this.
    pub async fn until_asked(&self, mut is_it: impl FnMut(&Ask) -> bool) -> Result<Asked> {
        let mut asked = self.asked.subscribe();
        let all =
            tokio::time::timeout(PATIENCE, asked.wait_for(|all| all.iter().any(|asked| is_it(&asked.ask))));
        let all = all.await.context("it was not asked")??.clone();
        all.into_iter().find(|asked| is_it(&asked.ask)).context("it was not asked")
    }

    /// What lies in a plugin's table under a key.
    pub fn value(&self, plugin: &str, key: &str) -> Result<Option<String>> {
        let space = Space { plugin: plugin.into(), octets_max: u64::MAX };
        match self.table.apply(&space, &TableOp::Get(key.to_owned()), Timestamp(0))? {
            TableAnswer::Value(value) => Ok(value.map(String::from_utf8).transpose()?),
            other => bail!("{other:?}"),
        }
    }
}

#[async_trait]
impl Outside for Fake {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        let asked = Asked {
            plugin: asker.space.plugin.to_string(),
            origins: asker.origins.to_vec(),
            ask: ask.clone(),
        };
        self.asked.send_modify(|all| all.push(asked));
        match ((self.reply)(&ask), &ask) {
            (Some(reply), _) => reply,
            (None, Ask::Table(op)) => Reply::Table(self.table.apply(&asker.space, op, asker.now)),
            (None, _) => ask.unavailable("not made up"),
        }
    }
}

/// A world outside that never answers.
pub struct Silent;

#[async_trait]
impl Outside for Silent {
    async fn ask(&self, _: &Asker, _: Ask) -> Reply {
        std::future::pending().await
    }
}
