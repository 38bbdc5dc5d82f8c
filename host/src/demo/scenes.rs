//! The scenes of the story, in order. Each looks at what it tells.

use std::path::Path;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maitred_policy::Registry as _;
use maitred_tls::Client;

use super::story::Story;
use super::talk::Talk;
use super::{World, password};

/// What alice sends, with an attachment.
const LETTER: &str = "From: Alice <alice@a.test>\r\n\
    To: bob@a.test, carol@b.test, nobody@b.test\r\n\
    Subject: The menu\r\n\
    Date: Wed, 25 Nov 2026 12:00:00 +0000\r\n\
    Message-ID: <menu-1@a.test>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"=-menu\"\r\n\
    \r\n\
    --=-menu\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    \r\n\
    Dinner is at eight.\r\n\
    .. a line that begins with dots travels unharmed\r\n\
    --=-menu\r\n\
    Content-Type: text/plain; name=\"menu.txt\"\r\n\
    Content-Disposition: attachment; filename=\"menu.txt\"\r\n\
    Content-Transfer-Encoding: base64\r\n\
    \r\n\
    U291cAo=\r\n\
    --=-menu--\r\n";

/// The story from its beginning to its end.
pub(super) async fn all(world: &World, folder: &Path) -> anyhow::Result<()> {
    let mut waiting = carol_waits(world).await?;
    alice_submits(world).await?;
    bob_fetches(world).await?;
    carol_reads(world, &mut waiting).await?;
    nobody_bounces(world).await?;
    a_filter_is_swapped(world, folder).await
}

/// carol's client is there before the letter is.
async fn carol_waits(world: &World) -> anyhow::Result<Talk> {
    world.story.chapter("carol@b.test waits for mail: IMAP with IDLE on b.test");
    let mut carol = imap(world, "carol@b.test", "carol").await?;
    carol.command("SELECT INBOX").await?;
    carol.say("i IDLE").await?;
    carol.until("+ ").await?;
    Ok(carol)
}

/// One transaction, three recipients: one here, one there, one nowhere.
async fn alice_submits(world: &World) -> anyhow::Result<()> {
    world.story.chapter("alice@a.test submits one message with an attachment to three people");
    let mut alice = submission(world).await?;
    let heard = send(&mut alice, &["bob@a.test", "carol@b.test", "nobody@b.test"], LETTER).await?;
    ensure!(heard.starts_with("250"), "the letter was not taken: {heard}");
    alice.say("QUIT").await?;
    alice.reply("221").await?;
    world.story.proved("accepted", true, "accepted and on disk for all three before that last 250");
    Ok(())
}

/// bob's copy needed no DNS and is his to fetch at once.
async fn bob_fetches(world: &World) -> anyhow::Result<()> {
    world.story.chapter("bob@a.test fetches his copy by POP3: it never left a.test");
    let mut bob = Talk::to(port(&world.a, "pop3")?, "bob", &world.story).await?;
    bob.hear().await?;
    bob.say("STLS").await?;
    bob.hear().await?;
    bob.secure(world.tls(), "mx.a.test").await?;
    bob.say("USER bob@a.test").await?;
    bob.hear().await?;
    bob.say_secretly(&format!("PASS {}", password("bob@a.test")), "PASS ********").await?;
    let heard = bob.hear().await?;
    ensure!(heard.starts_with('+'), "bob did not get in: {heard}");
    bob.say("RETR 1").await?;
    let content = bob.multiline().await?;
    bob.say("QUIT").await?;
    bob.hear().await?;
    ensure!(content.ends_with(LETTER.as_bytes()), "bob's copy differs from what alice sent");
    world.story.proved(
        "bob_byte_exact",
        true,
        "below the trace fields bob's copy is alice's letter, octet by octet",
    );
    let asked = world.zone.questions().iter().filter(|question| question.name.contains("a.test")).count();
    ensure!(asked == 0, "{asked} DNS questions about a.test");
    world.story.proved("bob_dns_queries", asked, "zero DNS questions were asked for bob's domain");
    Ok(())
}

/// carol's copy travelled by MX.
async fn carol_reads(world: &World, waiting: &mut Talk) -> anyhow::Result<()> {
    world.story.chapter("carol@b.test is told by IDLE, and reads on a second connection");
    waiting.until(" EXISTS").await?;
    world.story.proved("carol_idle", true, "the waiting connection was told of the new message");
    for question in world.zone.questions() {
        world.story.note(&format!("DNS question that a.test asked: {} {}", question.name, question.kind));
    }
    let has_asked_mx =
        world.zone.questions().iter().any(|question| question.name == "b.test." && question.kind == "MX");
    ensure!(has_asked_mx, "nobody asked for the MX records of b.test");
    world.story.proved("carol_by_mx", true, "the way to carol was found by the MX records of b.test");
    let mut second = imap(world, "carol@b.test", "carol/2").await?;
    second.command("SELECT INBOX").await?;
    let structure = second.command("FETCH 1 (ENVELOPE BODYSTRUCTURE)").await?.concat();
    ensure!(structure.to_lowercase().contains("menu.txt"), "no attachment in {structure}");
    let text = second.command("FETCH 1 (BODY[1])").await?.concat();
    ensure!(text.contains("Dinner is at eight."), "carol reads {text}");
    waiting.until("\\Seen").await?;
    waiting.say("DONE").await?;
    waiting.until("i OK").await?;
    world.story.proved(
        "carol_two_connections",
        true,
        "what the second connection reads, the first sees as read",
    );
    Ok(())
}

/// nobody@b.test is refused by b.test, and alice is told.
async fn nobody_bounces(world: &World) -> anyhow::Result<()> {
    world.story.chapter("nobody@b.test does not exist: alice gets a delivery status notification");
    let mut alice = imap(world, "alice@a.test", "alice").await?;
    let selected = alice.command("SELECT INBOX").await?;
    if !selected.iter().any(|line| line == "* 1 EXISTS") {
        alice.say("i IDLE").await?;
        alice.until("* 1 EXISTS").await?;
        alice.say("DONE").await?;
        alice.until("i OK").await?;
    }
    let report = alice
        .command("FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject Content-Type)] BODY.PEEK[2])")
        .await?
        .concat();
    ensure!(report.contains("report-type"), "no report: {report}");
    ensure!(report.contains("nobody@b.test") && report.contains("Status: 5.1.1"), "not for nobody: {report}");
    ensure!(!report.contains("carol@b.test"), "carol got hers: {report}");
    alice.command("LOGOUT").await?;
    world.story.proved(
        "nobody_dsn",
        "5.1.1",
        "one report (RFC 3464), for nobody@b.test only, with the reason b.test gave",
    );
    Ok(())
}

/// Policy is Wasm, and is swapped while a client stays connected.
async fn a_filter_is_swapped(world: &World, folder: &Path) -> anyhow::Result<()> {
    world.story.chapter("A filter plugin is swapped between two messages of one connection");
    let versions: Vec<_> = maitred_bundled::DEMO.iter().enumerate().collect();
    let mut files = Vec::new();
    for (number, component) in versions {
        let file = folder.join(format!("demo-filter-{}.wasm", number + 1));
        std::fs::write(&file, component.octets)?;
        files.push((component.name, file));
    }
    let [(name, first), (_, second)] = files.as_slice() else { anyhow::bail!("two versions were expected") };
    let mut alice = submission(world).await?;
    let letter = LETTER.replace("The menu", "Casino tonight").replace("menu-1", "casino");
    let mut verdicts = Vec::new();
    for file in [first, second] {
        let facts = world.a.plugins().load(Some((*name).to_owned()), file).await?;
        world.story.note(&format!("plugin load: {} is {} now", facts.name, facts.version));
        verdicts.push(send(&mut alice, &["bob@a.test"], &letter).await?);
    }
    alice.say("QUIT").await?;
    alice.reply("221").await?;
    let [before, after] = verdicts.as_slice() else { anyhow::bail!("two verdicts were expected") };
    ensure!(before.starts_with("250"), "version 1 only tags, but: {before}");
    ensure!(after.starts_with("554"), "version 2 refuses, but: {after}");
    world.story.proved(
        "verdicts",
        serde_json::json!([before, after]),
        "the same letter: version 1 tagged it, version 2 refused it; the connection stayed open",
    );
    Ok(())
}

/// What a person can do next.
pub(super) fn what_next(story: &Story) {
    story.chapter("Try next");
    story.note(
        "maitred serve                     a server of your own on loopback ports, without configuration",
    );
    story.note("maitred demo --json               what was proved here, for programs");
    story.note("maitred plugin list               the policy that is loaded");
}

/// Logs in to the submission port.
async fn submission(world: &World) -> anyhow::Result<Talk> {
    let mut alice = Talk::to(port(&world.a, "submission")?, "alice", &world.story).await?;
    alice.reply("220").await?;
    alice.say("EHLO laptop.a.test").await?;
    alice.reply("250").await?;
    alice.say("STARTTLS").await?;
    alice.reply("220").await?;
    alice.secure(world.tls(), "mx.a.test").await?;
    alice.say("EHLO laptop.a.test").await?;
    alice.reply("250").await?;
    let plain = STANDARD.encode(format!("\0alice@a.test\0{}", password("alice@a.test")));
    alice.say_secretly(&format!("AUTH PLAIN {plain}"), "AUTH PLAIN ********").await?;
    alice.reply("235").await?;
    Ok(alice)
}

/// One transaction; answers the reply to the end of data.
async fn send(alice: &mut Talk, recipients: &[&str], letter: &str) -> anyhow::Result<String> {
    alice.say("MAIL FROM:<alice@a.test>").await?;
    alice.reply("250").await?;
    for recipient in recipients {
        alice.say(&format!("RCPT TO:<{recipient}>")).await?;
        alice.reply("250").await?;
    }
    alice.say("DATA").await?;
    alice.reply("354").await?;
    let mut stuffed = Vec::new();
    let mut stuffer = maitred_wire::dot::Stuffer::default();
    stuffer.stuff(letter.as_bytes(), &mut stuffed);
    stuffed.extend_from_slice(stuffer.end_mark());
    alice.send(&stuffed).await?;
    alice.reply("").await
}

/// Logs in to IMAP.
async fn imap(world: &World, person: &str, who: &'static str) -> anyhow::Result<Talk> {
    let (server, name) =
        if person.ends_with("@a.test") { (&world.a, "mx.a.test") } else { (&world.b, "mx.b.test") };
    let mut talk = Talk::to(port(server, "imap")?, who, &world.story).await?;
    talk.hear().await?;
    talk.command("STARTTLS").await?;
    talk.secure(world.tls(), name).await?;
    talk.command(&format!("LOGIN {person} {}", password(person))).await?;
    Ok(talk)
}

fn port(server: &crate::serve::Server, protocol: &str) -> anyhow::Result<u16> {
    server.port(protocol).with_context(|| format!("no {protocol} listener"))
}

impl World {
    fn tls(&self) -> &Client {
        self.a.tls().client()
    }
}
