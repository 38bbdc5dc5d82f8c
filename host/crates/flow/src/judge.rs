//! What policy says about a session and a transaction, gathered until there is a message to apply it to.
//!
//! The plugins are asked through [`Chain`]; here their verdicts become rulings and their edits are kept. Session facts
//! are only prepared when a plugin has the hook. Called by `receive`.

use std::time::Duration;

use maitred_mail::{Class, EnhancedStatus};
use maitred_policy::{Chain, Edit, HookCall, Outcome, Said, SessionFacts, Verdict};
use maitred_smtp::Refusal;

/// Whether things go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// They do.
    Go,
    /// The command or the message is refused.
    Refuse(Refusal),
    /// So is everything else of this session.
    Disconnect(Refusal),
}

/// What the plugins have said so far.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// Delivered to Junk, and why.
    pub quarantine: Option<String>,
    /// Dropped, and why.
    pub discard: Option<String>,
    /// Delivered into this mailbox instead of INBOX.
    pub mailbox: Option<String>,
    /// Flags and keywords in IMAP's spelling.
    pub flags: Vec<String>,
    /// Findings: name, score.
    pub symbols: Vec<(String, f32)>,
    /// Tags: name, value.
    pub tags: Vec<(String, String)>,
    /// Who said what.
    pub said: Vec<Said>,
    /// Changes of header, body and envelope that wait for the message.
    pub edits: Vec<Edit>,
    /// How long the next reply is held back.
    delay: Duration,
}

impl Judgement {
    /// Asks about something that is not a message.
    pub async fn ask(&mut self, chain: &Chain, session: &SessionFacts, call: HookCall<'_>) -> Ruling {
        if chain.is_silent(call.hook()) {
            return Ruling::Go;
        }
        let outcome = chain.ask(session, call).await;
        self.absorb(outcome)
    }

    /// Keeps what an outcome says; answers whether things go on.
    pub fn absorb(&mut self, outcome: Outcome) -> Ruling {
        self.hear(outcome.said);
        for edit in outcome.edits {
            self.note(edit);
        }
        match outcome.verdict {
            Verdict::Next | Verdict::Accept => Ruling::Go,
            Verdict::Reject(refusal) => Ruling::Refuse(of_class(refusal, Class::Permanent)),
            Verdict::Tempfail(refusal) => Ruling::Refuse(of_class(refusal, Class::Persistent)),
            Verdict::Disconnect(refusal) => {
                let class = refusal.status.class;
                Ruling::Disconnect(of_class(refusal, class))
            }
            Verdict::Quarantine(reason) => {
                self.quarantine = Some(reason);
                Ruling::Go
            }
            Verdict::Discard(reason) => {
                self.discard = Some(reason);
                Ruling::Go
            }
        }
    }

    /// How long the next reply is held back, at most `max`; asked once for each reply.
    pub fn take_delay(&mut self, max: Duration) -> Duration {
        std::mem::take(&mut self.delay).min(max)
    }

    /// Keeps who said what, and logs it.
    pub fn hear(&mut self, said: Vec<Said>) {
        for said in &said {
            match &said.fault {
                Some(fault) => tracing::warn!(
                    plugin = said.plugin, plugin.version = &*said.version, hook = said.hook.name(), %fault,
                    "plugin gave no decision"
                ),
                None => tracing::debug!(
                    plugin = said.plugin,
                    plugin.version = &*said.version,
                    hook = said.hook.name(),
                    verdict = said.verdict,
                    reason = said.reason.as_deref().unwrap_or_default(),
                    "plugin decided"
                ),
            }
        }
        let room = SAID_MAX.saturating_sub(self.said.len());
        self.said.extend(said.into_iter().take(room));
    }

    fn note(&mut self, edit: Edit) {
        match edit {
            Edit::Symbol { name, score, .. } => self.symbols.push((name, score)),
            Edit::Tag(name, value) => self.tags.push((name, value)),
            Edit::Place { mailbox, flags } => {
                self.mailbox = Some(mailbox);
                self.flags.extend(flags);
            }
            Edit::AddFlag(flag) => self.flags.push(flag),
            Edit::Delay(milliseconds) => {
                self.delay = self.delay.saturating_add(Duration::from_millis(milliseconds.into()));
            }
            other => self.edits.push(other),
        }
    }
}

/// What was said of one transaction is kept so far: a message to a thousand recipients has no more to tell than that.
const SAID_MAX: usize = 200;

/// The verdict says which class it is; a status of another class is the plugin's slip.
fn of_class(refusal: maitred_policy::Refusal, class: Class) -> Refusal {
    let class = if class == Class::Success { Class::Persistent } else { class };
    let status = EnhancedStatus { class, ..refusal.status };
    Refusal { status, text: refusal.text }
}
