//! A plugin that does at each hook what its configuration says, and answers with what it was told and answered.
//!
//! The configuration is an object of scripts: `{"rcpt": ["told", "increment:seen", "tempfail:%"]}`. A script is a list of actions;
//! `script.rs` has them. The suite makes other builds of it by another digit in `VARIANT`: `"rcpt@2"` is for build 2 alone,
//! `"rcpt:bob@a.test"` for that subject alone (a recipient, a subject, a name), `"rcpt:bob@a.test@2"` for both.

mod script;

use std::collections::BTreeMap;
use std::hint::black_box;

use maitred_plugin_sdk::prelude::*;

use crate::script::Run;

/// Which build this is: its last octet.
static VARIANT: [u8; 16] = *b"probe variant: 1";

/// The plugin.
pub struct Probe {
    variant: char,
    scripts: BTreeMap<String, Vec<String>>,
    /// What the script of `init` found; the action `born` tells.
    born: String,
}

impl Plugin for Probe {
    const SUMMARY: &'static str = "Does what its configuration says";

    fn init(config: &str) -> Result<Self, String> {
        let scripts = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let [.., variant] = *black_box(&VARIANT);
        let mut probe = Self { variant: char::from(variant), scripts, born: String::new() };
        let (run, _) = probe.run("init", "", Run::default());
        if let Some(why) = run.answer("fail") {
            return Err(why.to_owned());
        }
        probe.born = run.found.into_iter().map(|(_, value)| value).collect();
        Ok(probe)
    }

    fn self_test(&self) -> Result<(), String> {
        let (run, _) = self.run("self-test", "", Run::default());
        run.answer("fail").map_or(Ok(()), |why| Err(why.to_owned()))
    }

    fn interest(&self) -> Vec<Hook> {
        let (run, _) = self.run("interest", "", Run::default());
        match run.answer("hooks") {
            Some(names) => Hook::ALL
                .into_iter()
                .filter(|hook| names.split(' ').any(|name| name == hook.name()))
                .collect(),
            None => Hook::ALL.to_vec(),
        }
    }

    fn freshness(&self) -> Vec<Term> {
        let (run, _) = self.run("freshness", "", Run::default());
        run.terms()
    }

    fn on_connect(&self, session: &dyn Session) -> Decision {
        self.filter("connect", "", Run::of(session))
    }

    fn on_helo(&self, session: &dyn Session, name: &str) -> Decision {
        self.filter("helo", name, Run::of(session).told(name))
    }

    fn on_auth(&self, session: &dyn Session, attempt: &Attempt) -> Decision {
        self.filter("auth", &attempt.identity, Run::of(session).told(format!("{attempt:?}")))
    }

    fn on_mail(&self, session: &dyn Session, sender: &str) -> Decision {
        self.filter("mail", sender, Run::of(session).told(sender))
    }

    fn on_rcpt(&self, session: &dyn Session, sender: &str, to: &Recipient) -> Decision {
        self.filter("rcpt", &to.address, Run::of(session).told(format!("{sender} to {to:?}")))
    }

    fn on_headers(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        self.filter("headers", &subject(message), Run::of(session).with(message))
    }

    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        self.filter("message", &subject(message), Run::of(session).with(message))
    }

    fn on_disconnect(&self, session: &dyn Session) {
        self.run("disconnect", "", Run::of(session));
    }

    fn on_resolve(&self, session: &dyn Session, sender: &str, to: &str) -> Resolution {
        let (run, _) = self.run("resolve", to, Run::of(session).told(format!("{sender} to {to}")));
        match run.last() {
            ("rewrite", to) => Resolution::Rewrite(script::list(to)),
            ("reject", text) => Resolution::Reject(run.refusal(text)),
            ("tempfail", text) => Resolution::Tempfail(run.refusal(text)),
            ("discard", reason) => Resolution::Discard(reason.to_owned()),
            _ => Resolution::Next,
        }
    }

    fn on_route(&self, message: &dyn Message, domain: &str, candidates: &[NextHop]) -> Route {
        let told = format!("{domain} by {candidates:?}");
        let (run, _) = self.run("route", domain, Run::default().with(message).told(told));
        match run.last() {
            ("hops", hops) => Route::Hops(script::list(hops).iter().map(|hop| script::hop(hop)).collect()),
            ("hold", until) => Route::Hold(until.parse().unwrap_or(0)),
            ("bounce", text) => Route::Bounce(run.refusal(text)),
            _ => Route::Next,
        }
    }

    fn on_deliver(
        &self,
        session: &dyn Session,
        message: &dyn Message,
        to: &Recipient,
        account: &str,
    ) -> DeliveryDecision {
        let run = Run::of(session).with(message).told(format!("{to:?} is {account}"));
        let (run, _) = self.run("deliver", account, run);
        match run.last() {
            ("deliver", _) => DeliveryDecision::Deliver(run.delivery()),
            ("reject", text) => DeliveryDecision::Reject(run.refusal(text)),
            ("tempfail", text) => DeliveryDecision::Tempfail(run.refusal(text)),
            ("discard", reason) => DeliveryDecision::Discard(reason.to_owned()),
            _ => DeliveryDecision::Next,
        }
    }

    fn on_outcomes(&self, outcomes: &[Outcome]) {
        self.run("outcome", "", Run::default().told(format!("{outcomes:?}")));
    }

    fn on_login(&self, login: &Login) -> LoginDecision {
        let (run, _) = self.run("login", &login.account, Run::default().told(format!("{login:?}")));
        match run.last() {
            ("deny", why) => LoginDecision::Deny(why.to_owned()),
            _ => LoginDecision::Next,
        }
    }

    fn on_mailbox_events(&self, events: &[MailboxEvent]) {
        self.run("mailbox", "", Run::default().told(format!("{events:?}")));
    }

    fn on_tick(&self) {
        self.run("tick", "", Run::default());
    }
}

impl Probe {
    /// Runs the script of this hook that says most about it.
    fn run<'a>(&self, hook: &str, subject: &str, mut run: Run<'a>) -> (Run<'a>, Vec<Edit>) {
        let variant = self.variant;
        let names = [
            format!("{hook}:{subject}@{variant}"),
            format!("{hook}:{subject}"),
            format!("{hook}@{variant}"),
            hook.to_owned(),
        ];
        let mut edits = Vec::new();
        if let Some(actions) = names.iter().find_map(|name| self.scripts.get(name)) {
            for action in actions {
                let (word, with) = action.split_once(':').unwrap_or((action, ""));
                match word {
                    "born" => run.found.push((word.to_owned(), self.born.clone())),
                    _ => edits.extend(run.act(word, with)),
                }
            }
        }
        (run, edits)
    }

    /// A filter hook: every finding becomes a tag, then comes what the script says.
    fn filter(&self, hook: &str, subject: &str, run: Run<'_>) -> Decision {
        let (run, edits) = self.run(hook, subject, run);
        let verdict = match run.last() {
            ("accept", _) => Verdict::Accept,
            ("reject", text) => Verdict::Reject(run.refusal(text)),
            ("tempfail", text) => Verdict::Tempfail(run.refusal(text)),
            ("quarantine", reason) => Verdict::Quarantine(reason.to_owned()),
            ("discard", reason) => Verdict::Discard(reason.to_owned()),
            ("disconnect", text) => Verdict::Disconnect(run.refusal(text)),
            _ => Verdict::Next,
        };
        let found = run.found.into_iter().map(|(name, value)| Edit::Tag(name, value));
        Decision { verdict, edits: found.chain(edits).collect() }
    }
}

fn subject(message: &dyn Message) -> String {
    message.header("Subject").unwrap_or_default()
}

maitred_plugin_sdk::export!(
    Probe: connect, helo, auth, mail, rcpt, headers, message, disconnect, resolve, route, deliver, outcome, login, mailbox, tick,
    self_test, interest, freshness
);
