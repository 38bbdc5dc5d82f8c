//! Whether mail comes from where it says: verified when the first plugin asks, once for all of them, and of the message as it came.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use maitred_plugin_host::PluginConfig;
use maitred_policy::{
    Ask, Asker, AuthResult, HookCall, MessageFacts, MethodResult, Original, Outside, Registry as _, Reply,
    SenderAuth, SessionFacts, SpfIdentity, SpfQuestion, Trial,
};
use serde_json::json;
use tests_plugins::PROBE;

use crate::world::{
    GRANTS, PROBES, Room, compared, fault, found, granted, message, probe, session, session_with,
};

/// A world with a verifier that remembers what it was asked.
#[derive(Default)]
struct Verifying(Arc<Asked>);

#[derive(Default)]
struct Asked {
    all: Mutex<Vec<String>>,
    /// How long it could have taken.
    patience: Mutex<Option<Duration>>,
}

impl Asked {
    fn note(&self, what: &str, patience: Duration) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner) = Some(patience);
    }

    fn all(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl SenderAuth for Asked {
    async fn iprev(&self, _: IpAddr, patience: Duration) -> MethodResult {
        self.note("iprev", patience);
        MethodResult::new("iprev", AuthResult::Pass)
    }

    async fn spf(&self, question: SpfQuestion<'_>, patience: Duration) -> MethodResult {
        let (what, property) = match question.identity {
            SpfIdentity::Helo => ("helo", "smtp.helo"),
            SpfIdentity::MailFrom(_) => ("mail from", "smtp.mailfrom"),
        };
        self.note(what, patience);
        // Others come in the meantime.
        tokio::task::yield_now().await;
        MethodResult::new("spf", AuthResult::None).with(property, "x")
    }

    async fn message(&self, original: &Original, _: &MethodResult, patience: Duration) -> Vec<MethodResult> {
        self.note(&String::from_utf8_lossy(&original.head), patience);
        vec![MethodResult::new("dmarc", AuthResult::Fail)]
    }
}

#[async_trait]
impl Outside for Verifying {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        match (&ask, &asker.subject) {
            (Ask::Authentication, Some(subject)) => {
                Reply::Authentication(subject.results(&*self.0, asker.patience).await)
            }
            _ => ask.unavailable("not made up"),
        }
    }
}

fn in_session(facts: &MessageFacts) -> SessionFacts {
    SessionFacts { helo: Some("c.test".to_owned()), ..session_with(facts) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_plugins_at_several_hooks_verify_once() -> Result<()> {
    let room = Room::new()?;
    let world = Verifying::default();
    let asked = Arc::clone(&world.0);
    let script = json!({"rcpt": ["authentication"], "message": ["authentication", "authentication"]});
    let second = PluginConfig { name: "other".to_owned(), ..probe(script.clone()) };
    let host = room.start_in(vec![probe(script), second], PROBES, Arc::new(world)).await?;
    let facts = message("hello");
    let session = in_session(&facts);
    let rcpt = HookCall::Rcpt(&facts.envelope.reverse_path, &facts.envelope.recipients[0]);
    let early = host.chain().ask(&session, rcpt).await;
    ensure!(fault(&early).is_none(), "{early:?}");
    let told = ("authentication", "iprev=pass; spf=none smtp.helo=x; spf=none smtp.mailfrom=x");
    ensure!(found(&early) == [told; 2], "{early:?}");
    ensure!(asked.all().len() == 3, "{:?}", asked.all());
    let late = host.chain().ask(&session, HookCall::Message(&facts)).await;
    let told = ("authentication", "iprev=pass; spf=none smtp.helo=x; spf=none smtp.mailfrom=x; dmarc=fail");
    ensure!(found(&late) == [told; 4], "{late:?}");
    ensure!(asked.all().len() == 4, "{:?}", asked.all());
    // Who verifies has less time than the call that waits, so that the call goes on.
    let patience = asked.patience.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
    ensure!(patience < Duration::from_secs(5) && patience > Duration::from_secs(1), "{patience:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_at_the_same_time_wait_for_the_first() -> Result<()> {
    let room = Room::new()?;
    let world = Verifying::default();
    let asked = Arc::clone(&world.0);
    let host =
        room.start_in(vec![probe(json!({"message": ["authentication"]}))], PROBES, Arc::new(world)).await?;
    let facts = message("hello");
    let session = in_session(&facts);
    let chain = host.chain();
    let ask = || chain.ask(&session, HookCall::Message(&facts));
    let all = tokio::join!(ask(), ask(), ask(), ask());
    for outcome in [&all.0, &all.1, &all.2, &all.3] {
        ensure!(found(outcome).len() == 1, "{outcome:?}");
    }
    ensure!(asked.all().len() == 4, "{:?}", asked.all());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_as_it_came_is_verified_whatever_was_made_of_it() -> Result<()> {
    let room = Room::new()?;
    let world = Verifying::default();
    let asked = Arc::clone(&world.0);
    let host =
        room.start_in(vec![probe(json!({"message": ["authentication"]}))], PROBES, Arc::new(world)).await?;
    let came = message("as it came");
    let original = Original { head: came.head.clone(), body: Arc::clone(&came.body) };
    let body = Arc::new(Bytes::from_static(b"of somebody else\r\n"));
    let facts = MessageFacts { original: Some(original), body, ..message("changed") };
    let outcome = host.chain().ask(&in_session(&facts), HookCall::Message(&facts)).await;
    ensure!(fault(&outcome).is_none(), "{outcome:?}");
    let all = asked.all();
    ensure!(all.iter().any(|asked| asked.contains("as it came")), "{all:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_verified_for_who_does_not_ask_or_is_one_of_ours() -> Result<()> {
    let room = Room::new()?;
    let world = Verifying::default();
    let asked = Arc::clone(&world.0);
    let script = json!({"message:asks": ["authentication"], "message": ["size"], "tick": ["authentication"]});
    let host = room.start_in(vec![probe(script)], PROBES, Arc::new(world)).await?;
    let quiet = message("does not ask");
    host.chain().ask(&in_session(&quiet), HookCall::Message(&quiet)).await;
    let asks = message("asks");
    let ours = SessionFacts { may_relay: true, ..in_session(&asks) };
    let outcome = host.chain().ask(&ours, HookCall::Message(&asks)).await;
    ensure!(found(&outcome) == [("authentication", "")], "{outcome:?}");
    let outcome = host.chain().ask(&session(), HookCall::Tick).await;
    ensure!(fault(&outcome).is_none(), "{outcome:?}");
    ensure!(asked.all().is_empty(), "{:?}", asked.all());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tried_out_is_told_what_was_found() -> Result<()> {
    let room = Room::new()?;
    let world = Verifying::default();
    let asked = Arc::clone(&world.0);
    let script = json!({"message": ["authentication", "reject:%"]});
    let file = room.file("probe", PROBE)?;
    let shadow = PluginConfig {
        path: Some(file),
        trial: Some(Trial::Shadow),
        grants: granted(&GRANTS),
        config: script,
        ..PluginConfig::named("shadow")
    };
    let host = room.start_in(vec![shadow], &[], Arc::new(world)).await?;
    let facts = message("hello");
    host.chain().ask(&in_session(&facts), HookCall::Message(&facts)).await;
    let trial = compared(&host, "shadow", 1).await?;
    ensure!(trial.differences.len() == 1, "{trial:?}");
    ensure!(trial.differences[0].would.contains("dmarc=fail"), "{trial:?}");
    ensure!(asked.all().len() == 4, "{:?}", asked.all());
    Ok(())
}
