//! Fixtures: what a plugin is asked and what it must answer, as JSON files that any runner can play. Here they are played
//! against the plugin as plain Rust.
//!
//! A file is one plugin's life: configuration, a world, and steps in order, whose sessions share the plugin's notes. What is
//! not said of an answer may be anything; `edits` are among those that are made, and with `only` there are no others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{decided, delivered, logged_in, resolved, routed};
use super::told::{Credentials, EventStep, OutcomeStep};
use super::{FakeMessage, FakeSession, World, set_now_ms, world};
use crate::authentication::{AuthResult, MethodResult};
use crate::http::Response;
use crate::{Direction, NextHop, Plugin, Recipient, SessionInfo, TlsPolicy};

/// Plays every `.json` in a folder, each in a new world; answers how many steps that were.
///
/// # Errors
/// The first step that went otherwise, with what was answered; a file that is no fixture; a folder without one.
pub fn play<P: Plugin>(folder: &Path) -> Result<usize, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    paths.sort();
    let mut steps = 0;
    for path in &paths {
        let text = fs::read_to_string(path).map_err(|error| error.to_string());
        let fixture =
            text.and_then(|text| serde_json::from_str::<Fixture>(&text).map_err(|error| error.to_string()));
        let played = fixture.and_then(|fixture| fixture.play::<P>(folder));
        steps += played.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if steps == 0 { Err(format!("{}: no steps", folder.display())) } else { Ok(steps) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    name: String,
    #[serde(default = "nothing")]
    config: Value,
    /// What a server would have to grant; here everything is there.
    #[serde(default, rename = "grants")]
    _grants: Vec<String>,
    /// The configuration is refused with these words in it.
    init_error: Option<String>,
    #[serde(default)]
    world: Outside,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Outside {
    now_ms: u64,
    table: BTreeMap<String, String>,
    dns: Dns,
    directory: Directory,
    http: BTreeMap<String, Page>,
    authentication: Vec<Found>,
    random: u64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Dns {
    ip: BTreeMap<String, Vec<String>>,
    txt: BTreeMap<String, Vec<String>>,
    mx: BTreeMap<String, Vec<(u16, String)>>,
    ptr: BTreeMap<String, Vec<String>>,
    trouble: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Directory {
    domains: Vec<String>,
    accounts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    method: String,
    result: String,
    reason: Option<String>,
    #[serde(default)]
    properties: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    status: u16,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    hook: String,
    now_ms: Option<u64>,
    #[serde(default)]
    session: Peer,
    sender: Option<String>,
    recipient: Option<String>,
    /// The recipient as first given, where a plugin or an alias changed it.
    original: Option<String>,
    #[serde(default)]
    recipients: Vec<String>,
    name: Option<String>,
    account: Option<String>,
    mechanism: Option<String>,
    succeeded: Option<bool>,
    protocol: Option<String>,
    #[serde(default)]
    outcomes: Vec<OutcomeStep>,
    #[serde(default)]
    events: Vec<EventStep>,
    domain: Option<String>,
    #[serde(default)]
    candidates: Vec<Hop>,
    message: Option<String>,
    message_file: Option<String>,
    /// Findings of earlier plugins.
    #[serde(default)]
    symbols: Vec<(String, f32)>,
    /// Tags of earlier plugins.
    #[serde(default)]
    tags: Vec<(String, String)>,
    #[serde(default)]
    expect: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Peer {
    remote_ip: Option<String>,
    helo: Option<String>,
    account: Option<String>,
    direction: Option<String>,
    listener: Option<String>,
    may_relay: bool,
    tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    version: String,
    #[serde(rename = "cipher")]
    _cipher: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hop {
    host: String,
    port: u16,
    tls: String,
}

impl Fixture {
    fn play<P: Plugin>(self, folder: &Path) -> Result<usize, String> {
        let Self { name, config, init_error, world: mut outside, steps, .. } = self;
        let found = std::mem::take(&mut outside.authentication).into_iter().map(Found::read);
        let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| format!("{name}: {error}"))?;
        world(|world| *world = outside.into());
        let plugin = match (P::init(&config.to_string()), init_error) {
            (Ok(plugin), None) => plugin,
            // A refusal is a step, too.
            (Err(error), Some(wanted)) if error.contains(&wanted) => return Ok(1),
            (Err(error), _) => return Err(format!("{name}: init: {error}")),
            (Ok(_), Some(wanted)) => return Err(format!("{name}: init: no error with {wanted:?}")),
        };
        let mut session = FakeSession::default();
        for (number, step) in (1..).zip(&steps) {
            let told = |what: String| format!("{name}: step {number} ({}): {what}", step.hook);
            if let Some(now_ms) = step.now_ms {
                set_now_ms(now_ms);
            }
            session.info = step.session.info().map_err(told)?;
            let known = found.iter().filter(|of| step.knows(of, &session.info)).cloned().collect();
            world(|world| world.authentication = known);
            let is_asked = plugin.interest().iter().any(|hook| hook.name() == step.hook);
            let answer = if is_asked {
                step.ask(&plugin, &session, folder)
            } else {
                step.ask(&Silent, &session, folder)
            };
            let answer = answer.map_err(told)?;
            step.compare(&answer).map_err(told)?;
        }
        Ok(steps.len())
    }
}

/// What is heard of a plugin that is not asked.
struct Silent;

impl Plugin for Silent {
    const SUMMARY: &'static str = "Has no opinion";

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Step {
    /// The answer in the words of `expect`.
    fn ask<P: Plugin>(&self, plugin: &P, session: &FakeSession, folder: &Path) -> Result<Value, String> {
        let sender = self.sender.as_deref().unwrap_or_default();
        let recipient = self.recipient.as_deref().unwrap_or_default();
        let to = Recipient { address: recipient.to_owned(), original: self.original.clone() };
        let message = self.message(folder)?;
        Ok(match self.hook.as_str() {
            "connect" => decided(plugin.on_connect(session)),
            "helo" => decided(plugin.on_helo(session, self.name.as_deref().unwrap_or_default())),
            "auth" => decided(plugin.on_auth(session, &self.credentials().attempt(self.account.as_deref()))),
            "mail" => decided(plugin.on_mail(session, sender)),
            "rcpt" => decided(plugin.on_rcpt(session, sender, &to)),
            "headers" => decided(plugin.on_headers(session, &message)),
            "message" => decided(plugin.on_message(session, &message)),
            "resolve" => resolved(plugin.on_resolve(session, sender, recipient)),
            "route" => {
                let candidates = self.candidates.iter().map(Hop::read).collect::<Result<Vec<_>, _>>()?;
                routed(plugin.on_route(&message, self.domain.as_deref().unwrap_or_default(), &candidates))
            }
            "deliver" => {
                let account = self.account.as_deref().unwrap_or_default();
                delivered(plugin.on_deliver(session, &message, &to, account))
            }
            "login" => {
                let info = &session.info;
                let has_tls = self.session.tls.is_some();
                let account = self.account.as_deref();
                let login = self.credentials().login(account, info.remote_ip.clone(), has_tls)?;
                logged_in(plugin.on_login(&login))
            }
            "disconnect" => {
                plugin.on_disconnect(session);
                told()
            }
            "outcome" => {
                let outcomes =
                    self.outcomes.iter().map(OutcomeStep::outcome).collect::<Result<Vec<_>, _>>()?;
                plugin.on_outcomes(&outcomes);
                told()
            }
            "mailbox" => {
                let events = self.events.iter().map(EventStep::event).collect::<Result<Vec<_>, _>>()?;
                plugin.on_mailbox_events(&events);
                told()
            }
            "tick" => {
                plugin.on_tick();
                told()
            }
            other => return Err(format!("there is no hook named {other:?}")),
        })
    }

    /// Whether a server could have found that at this hook.
    fn knows(&self, of: &MethodResult, session: &SessionInfo) -> bool {
        let hook = self.hook.as_str();
        session.is_stranger()
            && match of.method.as_str() {
                "iprev" => !matches!(hook, "route"),
                "spf" if of.property("smtp.helo").is_some() => !matches!(hook, "connect" | "route"),
                "spf" => !matches!(hook, "connect" | "helo" | "route"),
                _ => matches!(hook, "message" | "deliver"),
            }
    }

    fn credentials(&self) -> Credentials {
        let Self { mechanism, succeeded, protocol, .. } = self;
        Credentials { mechanism: mechanism.clone(), succeeded: *succeeded, protocol: protocol.clone() }
    }

    /// What is not as it must be.
    fn compare(&self, answer: &Value) -> Result<(), String> {
        let none = Vec::new();
        let list = |of: Option<&Value>| of.and_then(Value::as_array).unwrap_or(&none).clone();
        let made = list(answer.get("edits"));
        for (key, wanted) in &self.expect {
            let given = answer.get(key).unwrap_or(&Value::Null);
            let is_as_wanted = match (key.as_str(), given, wanted) {
                ("text", Value::String(given), Value::String(wanted)) => given.contains(wanted.as_str()),
                ("edits", ..) => {
                    list(Some(wanted)).iter().all(|edit| made.iter().any(|is| is_within(edit, is)))
                }
                ("only", _, Value::Bool(only)) => !only || made.len() == list(self.expect.get("edits")).len(),
                _ => is_within(wanted, given),
            };
            if !is_as_wanted {
                return Err(format!("{key} is not {wanted} in {answer}"));
            }
        }
        Ok(())
    }

    fn message(&self, folder: &Path) -> Result<FakeMessage, String> {
        let text = match (&self.message, &self.message_file) {
            (Some(text), None) => text.clone(),
            (None, Some(file)) => {
                fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?
            }
            (None, None) => String::new(),
            (Some(_), Some(_)) => return Err("a message and a message_file".to_owned()),
        };
        let mut message = FakeMessage::new(&text);
        message.symbols.clone_from(&self.symbols);
        message.tags = self.tags.iter().cloned().collect();
        if let Some(sender) = &self.sender {
            message.envelope.sender.clone_from(sender);
        }
        let recipients =
            self.recipients.iter().chain(self.recipient.iter().filter(|_| self.recipients.is_empty()));
        message.envelope.recipients =
            recipients.map(|address| Recipient { address: address.clone(), original: None }).collect();
        Ok(message)
    }
}

/// Who is told has nothing to answer.
fn told() -> Value {
    json!({"verdict": "told"})
}

impl Peer {
    fn info(&self) -> Result<SessionInfo, String> {
        let mut info = FakeSession::default().info;
        info.direction = match self.direction.as_deref() {
            None | Some("inbound") => Direction::Inbound,
            Some("submission") => Direction::Submission,
            Some("internal") => Direction::Internal,
            Some(other) => return Err(format!("the direction {other:?}")),
        };
        if let Some(remote_ip) = &self.remote_ip {
            info.remote_ip.clone_from(remote_ip);
        }
        if let Some(listener) = &self.listener {
            info.listener.clone_from(listener);
        }
        info.helo = self.helo.clone().or(info.helo);
        info.account.clone_from(&self.account);
        info.tls_version = self.tls.as_ref().map(|tls| tls.version.clone());
        info.may_relay = self.may_relay;
        Ok(info)
    }
}

impl From<Outside> for World {
    fn from(of: Outside) -> Self {
        let page =
            |page: Page| Response { status: page.status, headers: Vec::new(), body: page.body.into_bytes() };
        Self {
            now_ms: of.now_ms,
            table: of.table.into_iter().map(|(key, value)| (key, (value.into_bytes(), None))).collect(),
            ips: of.dns.ip,
            txts: of.dns.txt,
            mxs: of.dns.mx,
            ptrs: of.dns.ptr,
            dns_troubles: of.dns.trouble,
            domains: of.directory.domains,
            accounts: of.directory.accounts,
            responses: of.http.into_iter().map(|(url, found)| (url, page(found))).collect(),
            chance: of.random,
            ..Self::default()
        }
    }
}

impl Found {
    fn read(self) -> Result<MethodResult, String> {
        let result =
            AuthResult::named(&self.result).ok_or_else(|| format!("the result {:?}", self.result))?;
        Ok(MethodResult { method: self.method, result, reason: self.reason, properties: self.properties })
    }
}

impl Hop {
    fn read(&self) -> Result<NextHop, String> {
        let tls = match self.tls.as_str() {
            "none" => TlsPolicy::None,
            "opportunistic" => TlsPolicy::Opportunistic,
            "required" => TlsPolicy::Required,
            other => return Err(format!("the TLS policy {other:?}")),
        };
        Ok(NextHop { host: self.host.clone(), port: self.port, tls, source_ip: None })
    }
}

fn nothing() -> Value {
    json!({})
}

/// Every key that is wanted is there with that value; a score is what a single-precision number can be.
fn is_within(wanted: &Value, given: &Value) -> bool {
    match (wanted, given) {
        (Value::Object(wanted), Value::Object(given)) => {
            wanted.iter().all(|(key, wanted)| given.get(key).is_some_and(|given| is_within(wanted, given)))
        }
        (Value::Number(wanted), Value::Number(given)) => match (wanted.as_f64(), given.as_f64()) {
            (Some(wanted), Some(given)) => (wanted - given).abs() < 1e-4,
            _ => false,
        },
        _ => wanted == given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Edit, Refusal, Session, Verdict, now_ms};

    /// Greets everybody but one; says what time it is.
    struct Doorman;

    impl Plugin for Doorman {
        const SUMMARY: &'static str = "For this test";

        fn init(config: &str) -> Result<Self, String> {
            if config == "{}" { Ok(Self) } else { Err("no settings here".to_owned()) }
        }

        fn on_login(&self, login: &crate::Login) -> crate::LoginDecision {
            if login.has_tls {
                crate::LoginDecision::Next
            } else {
                crate::LoginDecision::Deny(login.mechanism.clone())
            }
        }

        fn on_outcomes(&self, outcomes: &[crate::Outcome]) {
            let [outcome] = outcomes else { panic!("{outcomes:?}") };
            assert_eq!((outcome.status, outcome.at_ms), ((4, 2, 2), 7));
        }

        fn on_rcpt(&self, session: &dyn Session, sender: &str, _: &Recipient) -> Decision {
            if sender == "eve@b.test" && session.info().remote_ip == "192.0.2.1" {
                return Verdict::Reject(Refusal { enhanced: Some((5, 7, 1)), text: "Not you".to_owned() })
                    .into();
            }
            Decision::next().with(Edit::Tag("time".to_owned(), now_ms().to_string()))
        }
    }

    fn played(fixture: &str) -> Result<usize, String> {
        let fixture: Fixture = serde_json::from_str(fixture).map_err(|error| error.to_string())?;
        fixture.play::<Doorman>(Path::new("."))
    }

    #[test]
    fn every_hook_is_played() {
        let fixture = r#"{"name": "x", "steps": [
            {"hook": "auth", "account": "bob@a.test", "succeeded": false, "expect": {"verdict": "next"}},
            {"hook": "login", "protocol": "pop3", "mechanism": "USER", "expect": {"verdict": "deny", "text": "USER"}},
            {"hook": "login", "session": {"tls": {"version": "TLSv1.3", "cipher": "x"}}, "expect": {"verdict": "next"}},
            {"hook": "outcome", "outcomes": [{"kind": "deferred", "recipient": "bob@a.test", "status": "4.2.2", "at_ms": 7}],
             "expect": {"verdict": "told"}},
            {"hook": "mailbox", "events": [{"account": "bob@a.test", "mailbox": "INBOX", "uids": [1], "change": "flags",
                                            "flags": ["\\Seen"]}]},
            {"hook": "tick"}, {"hook": "disconnect", "expect": {"verdict": "told"}}]}"#;
        assert_eq!(played(fixture), Ok(7));
        let odd = r#"{"name": "x", "steps": [{"hook": "outcome", "outcomes": [{"kind": "eaten", "recipient": "b@a.test"}]}]}"#;
        assert!(played(odd).unwrap_err().contains("eaten"));
    }

    #[test]
    fn steps_that_go_as_they_must_are_counted() {
        let fixture = r#"{"name": "x", "world": {"now_ms": 5}, "steps": [
            {"hook": "rcpt", "sender": "bob@b.test", "recipient": "bob@a.test",
             "expect": {"verdict": "next", "edits": [{"tag": ["time", "5"]}]}},
            {"hook": "rcpt", "sender": "eve@b.test", "now_ms": 9,
             "expect": {"verdict": "reject", "status": "5.7.1", "text": "you"}},
            {"hook": "rcpt", "sender": "eve@b.test", "session": {"remote_ip": "192.0.2.2"},
             "expect": {"edits": [{"tag": ["time", "9"]}]}}]}"#;
        assert_eq!(played(fixture), Ok(3));
    }

    /// Tells what it is told of the sender.
    struct Looker;

    impl Plugin for Looker {
        const SUMMARY: &'static str = "For this test";

        fn init(_: &str) -> Result<Self, String> {
            Ok(Self)
        }

        fn on_rcpt(&self, _: &dyn Session, _: &str, _: &Recipient) -> Decision {
            found()
        }

        fn on_message(&self, _: &dyn Session, _: &dyn crate::Message) -> Decision {
            found()
        }
    }

    fn found() -> Decision {
        let found = crate::authentication::results();
        let told: Vec<String> =
            found.iter().map(|of| format!("{} {}", of.method, of.result.name())).collect();
        Decision::next().with(Edit::Tag("found".to_owned(), told.join(", ")))
    }

    #[test]
    fn what_is_found_of_a_sender_is_told_where_it_is_known() {
        let fixture = |result: &str| {
            format!(
                r#"{{"name": "x", "world": {{"authentication": [
                {{"method": "spf", "result": "softfail", "properties": [["smtp.mailfrom", "a@b.test"]]}},
                {{"method": "dmarc", "result": "{result}", "reason": "why"}}]}}, "steps": [
                {{"hook": "rcpt", "expect": {{"edits": [{{"tag": ["found", "spf softfail"]}}]}}}},
                {{"hook": "message", "expect": {{"edits": [{{"tag": ["found", "spf softfail, dmarc fail"]}}]}}}},
                {{"hook": "message", "session": {{"may_relay": true}}, "expect": {{"edits": [{{"tag": ["found", ""]}}]}}}}]}}"#
            )
        };
        let played = |text: &str| {
            let fixture: Fixture = serde_json::from_str(text).map_err(|error| error.to_string())?;
            fixture.play::<Looker>(Path::new("."))
        };
        assert_eq!(played(&fixture("fail")), Ok(3));
        assert!(played(&fixture("maybe")).unwrap_err().contains("maybe"));
    }

    #[test]
    fn what_goes_otherwise_is_told() {
        let step = |expect: &str| {
            format!(
                r#"{{"name": "x", "steps": [{{"hook": "rcpt", "sender": "eve@b.test", "expect": {expect}}}]}}"#
            )
        };
        for (expect, told) in [
            (r#"{"verdict": "next"}"#, "step 1 (rcpt): verdict is not \"next\""),
            (r#"{"status": "4.7.1"}"#, "status is not"),
            (r#"{"text": "me"}"#, "text is not"),
            (r#"{"edits": [{"tag": ["a", "b"]}]}"#, "edits is not"),
            (r#"{"only": true, "edits": [{"tag": ["a", "b"]}]}"#, "edits is not"),
            (r#"{"placements": []}"#, "placements is not"),
        ] {
            let error = played(&step(expect)).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_configuration_is_refused_as_it_must_be() {
        let fixture = |config: &str, told: &str| {
            format!(r#"{{"name": "x", "config": {config}, "init_error": "{told}"}}"#)
        };
        assert_eq!(played(&fixture(r#"{"a": 1}"#, "settings")), Ok(1));
        assert!(played(&fixture(r#"{"a": 1}"#, "syntax")).unwrap_err().contains("no settings here"));
        assert!(played(&fixture("{}", "settings")).unwrap_err().contains("no error"));
    }

    #[test]
    fn edits_are_among_those_made_and_with_only_all_of_them() {
        let step = |expect: &str| {
            format!(
                r#"{{"name": "x", "steps": [{{"hook": "rcpt", "sender": "bob@b.test", "expect": {expect}}}]}}"#
            )
        };
        assert_eq!(played(&step(r#"{"edits": []}"#)), Ok(1));
        assert_eq!(played(&step(r#"{"edits": [{"tag": ["time", "0"]}], "only": true}"#)), Ok(1));
        assert!(played(&step(r#"{"edits": [], "only": true}"#)).is_err_and(|error| error.contains("only")));
    }

    #[test]
    fn what_is_no_fixture_is_told() {
        for (fixture, told) in [
            (r#"{"name": "x", "stepps": []}"#, "stepps"),
            (r#"{"name": "x", "config": {"a": 1}}"#, "no settings here"),
            (r#"{"name": "x", "steps": [{"hook": "dance"}]}"#, "dance"),
            (r#"{"name": "x", "steps": [{"hook": "rcpt", "session": {"direction": "up"}}]}"#, "up"),
        ] {
            let error = played(fixture).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert!(play::<Doorman>(Path::new("src/testing")).is_err_and(|error| error.contains("no steps")));
    }
}
