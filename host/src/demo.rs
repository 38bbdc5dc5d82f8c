//! `maitred demo`: the whole journey of a message in one process, with no domain, no root and no network.
//!
//! Two complete servers, a.test and b.test, on loopback ports, and an authoritative DNS server of their own. What is
//! printed are the real conversations, what is marked `ok:` was looked at; the first thing that is not so ends the demo
//! with an error.

mod scenes;
mod story;
mod talk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use maitred_dns::zone::{Zone, ZoneServer};
use maitred_mail::{Address, Domain};
use maitred_store::{Batch, Intent, Store};

use crate::config::Config;
use crate::serve::{Server, Walls};
use story::Story;

/// Two servers and the DNS between them.
struct World {
    a: Server,
    b: Server,
    zone: ZoneServer,
    story: Arc<Story>,
}

/// Tells the story.
///
/// # Errors
/// Whatever was not as the story says.
pub(crate) async fn run(is_json: bool) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("maitred-demo-").tempdir()?;
    let story = Arc::new(Story::new(is_json));
    let world = World::begin(folder.path(), &story).await?;
    let told = scenes::all(&world, folder.path()).await;
    let World { a, b, zone, .. } = world;
    let (a, b) = tokio::join!(a.stop(), b.stop());
    drop(zone);
    told?;
    a?;
    b?;
    if is_json {
        println!("{}", serde_json::to_string_pretty(&story.facts())?);
    } else {
        scenes::what_next(&story);
    }
    Ok(())
}

impl World {
    async fn begin(folder: &Path, story: &Arc<Story>) -> anyhow::Result<Self> {
        story.chapter("Two mail servers and a DNS server, all in this process");
        let mut zone = Zone::new("test");
        zone.mx("b.test", 10, "mx.b.test");
        zone.a("mx.b.test", [127, 0, 0, 1].into());
        zone.mx("a.test", 10, "mx.a.test");
        zone.a("mx.a.test", [127, 0, 0, 1].into());
        let zone = ZoneServer::start(zone, ([127, 0, 0, 1], 0).into()).await?;
        story.note(&format!(
            "DNS for .test   127.0.0.1:{} (UDP and TCP): b.test. MX 10 mx.b.test.",
            zone.address().port()
        ));
        let dns = zone.address().to_string();
        let b = server(folder, "b.test", &dns, 25).await?;
        let port = b.port("smtp").context("b.test has no SMTP port")?;
        let a = server(folder, "a.test", &dns, port).await?;
        furnish(a.store(), "a.test", &["alice@a.test", "bob@a.test"]).await?;
        furnish(b.store(), "b.test", &["carol@b.test"]).await?;
        for (name, server, people) in [("a.test", &a, "alice and bob"), ("b.test", &b, "carol")] {
            let ports: BTreeMap<_, _> = server.ports().collect();
            let ports: Vec<_> = ports.iter().map(|(protocol, port)| format!("{protocol} {port}")).collect();
            story.note(&format!("mx.{name:<12} {}; home of {people}", ports.join(", ")));
        }
        Ok(Self { a, b, zone, story: Arc::clone(story) })
    }
}

/// A server for one domain, on ports that the system chooses.
async fn server(folder: &Path, domain: &str, dns: &str, outbound_port: u16) -> anyhow::Result<Server> {
    let data = folder.join(domain);
    std::fs::create_dir_all(&data)?;
    let listeners: String = ["smtp", "submission", "imap", "pop3"]
        .map(|protocol| format!("[[listener]]\nprotocol = \"{protocol}\"\nbind = [\"127.0.0.1:0\"]\n"))
        .concat();
    let text = format!(
        "hostname = \"mx.{domain}\"\ndata_dir = \"data\"\n{listeners}\
         [dns]\nservers = [\"{dns}\"]\n[outbound]\nport = {outbound_port}\nallow_loopback_mx = true\n"
    );
    let file = data.join("maitred.toml");
    std::fs::write(&file, text)?;
    // Two servers in one process, and a person's: no walls.
    let server = Server::start(Config::load(&file, None)?, None, Walls::default()).await;
    server.with_context(|| format!("the server of {domain}"))
}

/// A domain and its people; each one's password is the name and `-password`.
async fn furnish(store: &Store, domain: &str, people: &[&str]) -> anyhow::Result<()> {
    let mut intents = vec![Intent::AddDomain(Domain::parse(domain)?)];
    for person in people {
        let address = Address::parse(person)?;
        let password_hash = store.hash_password(&password(person)).await?;
        intents.push(Intent::AddAccount { address, password_hash, quota: None });
    }
    store.commit(Batch { intents, ..Batch::default() }).await?;
    Ok(())
}

fn password(person: &str) -> String {
    format!("{}-password", person.split('@').next().unwrap_or_default())
}
