//! One call: facts in, the guest's answer out and checked.

use maitred_mail::Class;
use maitred_policy::facts::{self, plain};
use maitred_policy::{
    Answer, Decision, LoginAttempt, LoginFacts, LoginProtocol, MailboxChange, MailboxFacts, MessageFacts,
    OutcomeFacts, OutcomeKind, Question, SessionFacts,
};
use wasmtime::Store;
use wasmtime::component::{Instance, Resource};

use crate::answer::{decision, routing, to_recipient};
use crate::bindings::v0_1::exports::maitred::plugin as exports;
use crate::capability::{MessageHandle, SessionHandle};
use crate::hooks::Hooks;
use crate::state::State;

/// An answer as it came: legal or not.
type Came = wasmtime::Result<Result<Answer, String>>;

/// Asks an instance. A hook that it does not have has no opinion.
pub(crate) async fn ask(
    hooks: &Hooks,
    store: &mut Store<State>,
    instance: &Instance,
    session: SessionFacts,
    question: Question,
) -> Came {
    store.data_mut().set_subject(&session, question.as_call());
    match question {
        Question::Resolve(..)
        | Question::Route(..)
        | Question::Deliver(..)
        | Question::Outcomes(_)
        | Question::Login(_)
        | Question::Mailbox(_)
        | Question::Tick => ask_other(hooks, store, instance, session, question).await,
        Question::Connect
        | Question::Helo(_)
        | Question::Auth(_)
        | Question::Mail(_)
        | Question::Rcpt(..)
        | Question::Headers(_)
        | Question::Message(_)
        | Question::Disconnect => ask_filter(hooks, store, instance, session, question).await,
    }
}

async fn ask_filter(
    hooks: &Hooks,
    store: &mut Store<State>,
    instance: &Instance,
    session: SessionFacts,
    question: Question,
) -> Came {
    let s = give_session(store, session)?;
    let answer = match question {
        Question::Connect => match &hooks.connect {
            Some(hook) => hook.load(&mut *store, instance)?.call_on_connect(store, s).await?,
            None => return nothing(),
        },
        Question::Helo(name) => match &hooks.helo {
            Some(hook) => hook.load(&mut *store, instance)?.call_on_helo(store, s, &name).await?,
            None => return nothing(),
        },
        Question::Auth(login) => match &hooks.auth {
            Some(hook) => hook.load(&mut *store, instance)?.call_on_auth(store, s, &attempt(&login)).await?,
            None => return nothing(),
        },
        Question::Mail(path) => match &hooks.mail {
            Some(hook) => hook.load(&mut *store, instance)?.call_on_mail(store, s, &plain(&path)).await?,
            None => return nothing(),
        },
        Question::Rcpt(path, to) => match &hooks.rcpt {
            Some(hook) => {
                let guest = hook.load(&mut *store, instance)?;
                guest.call_on_rcpt(store, s, &facts::plain(&path), &to_recipient(&to)).await?
            }
            None => return nothing(),
        },
        Question::Headers(facts) => match &hooks.headers {
            Some(hook) => {
                let message = give_message(store, facts, false)?;
                hook.load(&mut *store, instance)?.call_on_headers(store, s, message).await?
            }
            None => return nothing(),
        },
        Question::Message(facts) => match &hooks.message {
            Some(hook) => {
                let message = give_message(store, facts, true)?;
                hook.load(&mut *store, instance)?.call_on_message(store, s, message).await?
            }
            None => return nothing(),
        },
        _ => {
            if let Some(hook) = &hooks.disconnect {
                hook.load(&mut *store, instance)?.call_on_disconnect(store, s).await?;
            }
            return nothing();
        }
    };
    Ok(decision(answer).map(Answer::Filter))
}

async fn ask_other(
    hooks: &Hooks,
    store: &mut Store<State>,
    instance: &Instance,
    session: SessionFacts,
    question: Question,
) -> Came {
    match question {
        Question::Resolve(path, to) => {
            let Some(hook) = &hooks.resolve else { return told() };
            let s = give_session(store, session)?;
            let guest = hook.load(&mut *store, instance)?;
            let answer = guest.call_on_resolve(store, s, &plain(&path), &to.to_string()).await?;
            Ok(routing::resolution(answer).map(Answer::Resolution))
        }
        Question::Route(facts, domain, candidates) => {
            let Some(hook) = &hooks.route else { return told() };
            let message = give_message(store, facts, true)?;
            let candidates: Vec<_> = candidates.iter().map(routing::to_hop).collect();
            let guest = hook.load(&mut *store, instance)?;
            let answer = guest.call_on_route(store, message, &domain.to_string(), &candidates).await?;
            Ok(routing::route(answer).map(Answer::Route))
        }
        Question::Deliver(facts, to, account) => {
            let Some(hook) = &hooks.deliver else { return told() };
            let s = give_session(store, session)?;
            let message = give_message(store, facts, true)?;
            let guest = hook.load(&mut *store, instance)?;
            let answer =
                guest.call_on_deliver(store, s, message, &to_recipient(&to), &account.to_string()).await?;
            Ok(routing::delivery(answer).map(Answer::Delivery))
        }
        Question::Login(of) => {
            let Some(hook) = &hooks.login else { return told() };
            let answer = hook.load(&mut *store, instance)?.call_on_login(store, &login_attempt(&of)).await?;
            Ok(routing::login(answer).map(Answer::Login))
        }
        Question::Outcomes(outcomes) => {
            let Some(hook) = &hooks.outcome else { return told() };
            let outcomes: Vec<_> = outcomes.iter().map(outcome).collect();
            hook.load(&mut *store, instance)?.call_on_outcomes(store, &outcomes).await?;
            told()
        }
        Question::Mailbox(events) => {
            let Some(hook) = &hooks.mailbox else { return told() };
            let events: Vec<_> = events.iter().map(mailbox_event).collect();
            hook.load(&mut *store, instance)?.call_on_mailbox_events(store, &events).await?;
            told()
        }
        _ => {
            let Some(hook) = &hooks.tick else { return told() };
            hook.load(&mut *store, instance)?.call_on_tick(store).await?;
            told()
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what every hook comes to")]
fn nothing() -> Came {
    Ok(Ok(Answer::Filter(Decision::next())))
}

#[expect(clippy::unnecessary_wraps, reason = "what every hook comes to")]
fn told() -> Came {
    Ok(Ok(Answer::Told))
}

fn give_session(store: &mut Store<State>, facts: SessionFacts) -> wasmtime::Result<Resource<SessionHandle>> {
    Ok(store.data_mut().table.push(SessionHandle { facts })?)
}

fn give_message(
    store: &mut Store<State>,
    facts: MessageFacts,
    has_body: bool,
) -> wasmtime::Result<Resource<MessageHandle>> {
    Ok(store.data_mut().table.push(MessageHandle { facts, has_body, parts: None })?)
}

fn attempt(login: &LoginFacts) -> exports::auth_hook::Attempt {
    exports::auth_hook::Attempt {
        mechanism: login.mechanism.clone(),
        identity: login.identity.clone(),
        succeeded: login.has_succeeded,
        attributes: Vec::new(),
    }
}

fn login_attempt(of: &LoginAttempt) -> exports::login_hook::Login {
    exports::login_hook::Login {
        protocol: match of.protocol {
            LoginProtocol::Smtp => exports::login_hook::LoginProtocol::Smtp,
            LoginProtocol::Pop3 => exports::login_hook::LoginProtocol::Pop3,
            LoginProtocol::Imap => exports::login_hook::LoginProtocol::Imap,
        },
        account: of.login.identity.clone(),
        mechanism: of.login.mechanism.clone(),
        remote_ip: of.remote.to_string(),
        tls: of.has_tls,
        succeeded: of.login.has_succeeded,
        attributes: Vec::new(),
    }
}

fn outcome(of: &OutcomeFacts) -> exports::outcome_hook::Outcome {
    exports::outcome_hook::Outcome {
        kind: match of.kind {
            OutcomeKind::Stored => exports::outcome_hook::OutcomeKind::Stored,
            OutcomeKind::Delivered => exports::outcome_hook::OutcomeKind::Delivered,
            OutcomeKind::Deferred => exports::outcome_hook::OutcomeKind::Deferred,
            OutcomeKind::Bounced => exports::outcome_hook::OutcomeKind::Bounced,
            OutcomeKind::Expired => exports::outcome_hook::OutcomeKind::Expired,
        },
        id: of.id.to_string(),
        sender: plain(&of.reverse_path),
        rcpt: of.recipient.to_string(),
        remote: of.remote.clone(),
        status: (class_digit(of.status.class), of.status.subject, of.status.detail),
        text: of.text.clone(),
        attempts: of.attempts,
        at: u64::try_from(of.at.0).unwrap_or(0),
        attributes: Vec::new(),
    }
}

fn mailbox_event(of: &MailboxFacts) -> exports::mailbox_hook::MailboxEvent {
    exports::mailbox_hook::MailboxEvent {
        account: of.account.to_string(),
        mailbox: of.mailbox.clone(),
        uids: of.uids.clone(),
        uid_validity: of.uid_validity,
        change: match &of.change {
            MailboxChange::Appended => exports::mailbox_hook::MailboxChange::Appended,
            MailboxChange::FlagsChanged(flags) => {
                exports::mailbox_hook::MailboxChange::FlagsChanged(flags.clone())
            }
            MailboxChange::Expunged => exports::mailbox_hook::MailboxChange::Expunged,
        },
        attributes: Vec::new(),
    }
}

fn class_digit(class: Class) -> u8 {
    match class {
        Class::Success => 2,
        Class::Persistent => 4,
        Class::Permanent => 5,
    }
}
