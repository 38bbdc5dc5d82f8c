//! The component's side of the contract: bindings of each hook, and the way from their types to ours and back.
//!
//! Each hook is a world of its own, so that a plugin exports exactly the hooks it has: the export macro of a world brings the
//! description of that world alone, and the linker joins the descriptions.
#![allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    reason = "generated from wit/, where everything has its words"
)]

use crate::{
    Attempt, Decision, Direction, Edit, Envelope, Fact, Level, Message, Part, Plugin, Position, Recipient,
    Refusal, Session, SessionInfo, Transaction, Verdict,
};

/// Where the one plugin of a component is kept.
pub trait Slot {
    type Plugin: Plugin;
    const NAME: &'static str;
    const VERSION: &'static str;
    fn set(plugin: Self::Plugin);
    fn with<T>(call: impl FnOnce(&Self::Plugin) -> T) -> Option<T>;
}

mod events;
mod imports;

pub use imports::{authentication, directory, dns, http, metrics, random, store, submit};

/// Every import is in it; the linker leaves out what a plugin does not call, so that it needs no grant for it.
pub mod base {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package maitred:sdk; world sdk-base { include maitred:plugin/base@0.1.1; import maitred:plugin/store@0.1.1; import maitred:plugin/dns@0.1.1; import maitred:plugin/directory@0.1.1; import maitred:plugin/http@0.1.1; import maitred:plugin/submit@0.1.1; import maitred:plugin/authentication@0.1.1; }",
        world: "maitred:sdk/sdk-base",
        pub_export_macro: true,
        generate_all,
        default_bindings_module: "maitred_plugin_sdk::guest::base",
    });
}

macro_rules! hook {
    ($name:ident, $inline:literal, $world:literal, $module:literal) => {
        pub mod $name {
            wit_bindgen::generate!({
                path: "../wit",
                inline: $inline,
                world: $world,
                pub_export_macro: true,
                default_bindings_module: $module,
                with: {
                    "maitred:plugin/types@0.1.1": crate::guest::base::maitred::plugin::types,
                    "maitred:plugin/decisions@0.1.1": crate::guest::base::maitred::plugin::decisions,
                    "maitred:plugin/host-session@0.1.1": crate::guest::base::maitred::plugin::host_session,
                    "maitred:plugin/host-message@0.1.1": crate::guest::base::maitred::plugin::host_message,
                },
            });
        }
    };
}

hook!(
    connect,
    "package maitred:sdk; world hook-connect { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/connect-hook@0.1.1; }",
    "maitred:sdk/hook-connect",
    "maitred_plugin_sdk::guest::connect"
);
hook!(
    self_test,
    "package maitred:sdk; world hook-self-test { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/self-test@0.1.1; }",
    "maitred:sdk/hook-self-test",
    "maitred_plugin_sdk::guest::self_test"
);
hook!(
    interest,
    "package maitred:sdk; world hook-interest { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/interest@0.1.1; }",
    "maitred:sdk/hook-interest",
    "maitred_plugin_sdk::guest::interest"
);
hook!(
    freshness,
    "package maitred:sdk; world hook-freshness { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/freshness@0.1.1; }",
    "maitred:sdk/hook-freshness",
    "maitred_plugin_sdk::guest::freshness"
);
hook!(
    helo,
    "package maitred:sdk; world hook-helo { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/helo-hook@0.1.1; }",
    "maitred:sdk/hook-helo",
    "maitred_plugin_sdk::guest::helo"
);
hook!(
    auth,
    "package maitred:sdk; world hook-auth { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/auth-hook@0.1.1; }",
    "maitred:sdk/hook-auth",
    "maitred_plugin_sdk::guest::auth"
);
hook!(
    mail,
    "package maitred:sdk; world hook-mail { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/mail-hook@0.1.1; }",
    "maitred:sdk/hook-mail",
    "maitred_plugin_sdk::guest::mail"
);
hook!(
    rcpt,
    "package maitred:sdk; world hook-rcpt { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/rcpt-hook@0.1.1; }",
    "maitred:sdk/hook-rcpt",
    "maitred_plugin_sdk::guest::rcpt"
);
hook!(
    headers,
    "package maitred:sdk; world hook-headers { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/headers-hook@0.1.1; }",
    "maitred:sdk/hook-headers",
    "maitred_plugin_sdk::guest::headers"
);
hook!(
    message,
    "package maitred:sdk; world hook-message { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/message-hook@0.1.1; }",
    "maitred:sdk/hook-message",
    "maitred_plugin_sdk::guest::message"
);
hook!(
    disconnect,
    "package maitred:sdk; world hook-disconnect { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/disconnect-hook@0.1.1; }",
    "maitred:sdk/hook-disconnect",
    "maitred_plugin_sdk::guest::disconnect"
);
hook!(
    resolve,
    "package maitred:sdk; world hook-resolve { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/resolve-hook@0.1.1; }",
    "maitred:sdk/hook-resolve",
    "maitred_plugin_sdk::guest::resolve"
);
hook!(
    route,
    "package maitred:sdk; world hook-route { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/route-hook@0.1.1; }",
    "maitred:sdk/hook-route",
    "maitred_plugin_sdk::guest::route"
);
hook!(
    deliver,
    "package maitred:sdk; world hook-deliver { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/deliver-hook@0.1.1; }",
    "maitred:sdk/hook-deliver",
    "maitred_plugin_sdk::guest::deliver"
);
hook!(
    outcome,
    "package maitred:sdk; world hook-outcome { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/outcome-hook@0.1.1; }",
    "maitred:sdk/hook-outcome",
    "maitred_plugin_sdk::guest::outcome"
);
hook!(
    login,
    "package maitred:sdk; world hook-login { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/login-hook@0.1.1; }",
    "maitred:sdk/hook-login",
    "maitred_plugin_sdk::guest::login"
);
hook!(
    mailbox,
    "package maitred:sdk; world hook-mailbox { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/mailbox-hook@0.1.1; }",
    "maitred:sdk/hook-mailbox",
    "maitred_plugin_sdk::guest::mailbox"
);
hook!(
    tick,
    "package maitred:sdk; world hook-tick { import maitred:plugin/types@0.1.1; import maitred:plugin/decisions@0.1.1; import maitred:plugin/host-session@0.1.1; import maitred:plugin/host-message@0.1.1; export maitred:plugin/tick-hook@0.1.1; }",
    "maitred:sdk/hook-tick",
    "maitred_plugin_sdk::guest::tick"
);

use base::maitred::plugin::{
    answers, clock, config as host_config, decisions, host_message, host_session, log as host_log, types,
};

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
        Level::Error => host_log::Level::Error,
    };
    host_log::log(level, message);
}

pub(crate) fn config() -> String {
    host_config::get()
}

pub(crate) fn now_ms() -> u64 {
    clock::now_ms()
}

pub(crate) fn hold(term: u32) {
    answers::hold(term);
}

impl Session for host_session::Session {
    fn info(&self) -> SessionInfo {
        let info = host_session::Session::info(self);
        SessionInfo {
            id: info.id,
            listener: info.listener,
            direction: match info.direction {
                types::Direction::Inbound => Direction::Inbound,
                types::Direction::Submission => Direction::Submission,
                types::Direction::Internal => Direction::Internal,
            },
            remote_ip: info.remote_ip,
            remote_port: info.remote_port,
            helo: info.helo,
            tls_version: info.tls.map(|tls| tls.version),
            account: info.auth.map(|auth| auth.identity),
            may_relay: info.may_relay,
            transaction: info.transaction.map(|of| Transaction {
                id: of.id,
                sender: of.sender,
                recipients: of.recipients.into_iter().map(recipient).collect(),
                size: of.size,
            }),
            started_ms: info.started,
        }
    }

    fn note(&self, key: &str) -> Option<Vec<u8>> {
        self.get_note(key)
    }

    fn set_note(&self, key: &str, value: &[u8]) {
        host_session::Session::set_note(self, key, value);
    }
}

impl Message for host_message::Message {
    fn id(&self) -> String {
        host_message::Message::id(self)
    }

    fn envelope(&self) -> Envelope {
        let envelope = host_message::Message::envelope(self);
        Envelope {
            sender: envelope.sender,
            recipients: envelope.recipients.into_iter().map(recipient).collect(),
        }
    }

    fn size(&self) -> u64 {
        host_message::Message::size(self)
    }

    fn header(&self, name: &str) -> Option<String> {
        host_message::Message::header(self, name)
    }

    fn header_all(&self, name: &str) -> Vec<String> {
        host_message::Message::header_all(self, name)
    }

    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        host_message::Message::headers(self).into_iter().map(|header| (header.name, header.value)).collect()
    }

    fn header_many(&self, names: &[&str]) -> Vec<Option<String>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        host_message::Message::header_many(self, &names)
    }

    fn read_raw(&self, offset: u64, octets_max: u32) -> Vec<u8> {
        host_message::Message::read_raw(self, offset, octets_max)
    }

    fn read_body(&self, offset: u64, octets_max: u32) -> Vec<u8> {
        host_message::Message::read_body(self, offset, octets_max)
    }

    fn parts(&self) -> Vec<Part> {
        let part = |of: types::PartInfo| Part {
            parent: of.parent,
            content_type: of.content_type,
            charset: of.charset,
            disposition: of.disposition,
            file_name: of.filename,
            content_id: of.content_id,
            size: of.size,
        };
        host_message::Message::parts(self).into_iter().map(part).collect()
    }

    fn part_text(&self, index: u32, octets_max: u32) -> Option<String> {
        host_message::Message::part_text(self, index, octets_max)
    }

    fn part_read(&self, index: u32, offset: u64, octets_max: u32) -> Vec<u8> {
        host_message::Message::part_read(self, index, offset, octets_max)
    }

    fn symbols(&self) -> Vec<(String, f32)> {
        host_message::Message::symbols(self)
    }

    fn tag(&self, name: &str) -> Option<String> {
        host_message::Message::tag(self, name)
    }
}

fn recipient(of: types::Recipient) -> Recipient {
    Recipient { address: of.address, original: of.original }
}

fn to_recipient(of: Recipient) -> types::Recipient {
    types::Recipient { address: of.address, original: of.original }
}

fn to_refusal(of: Refusal) -> types::Refusal {
    types::Refusal { enhanced: of.enhanced, text: of.text }
}

fn to_decision(of: Decision) -> decisions::Decision {
    let verdict = match of.verdict {
        Verdict::Next => decisions::Verdict::Next,
        Verdict::Accept => decisions::Verdict::Accept,
        Verdict::Reject(refusal) => decisions::Verdict::Reject(to_refusal(refusal)),
        Verdict::Tempfail(refusal) => decisions::Verdict::Tempfail(to_refusal(refusal)),
        Verdict::Quarantine(reason) => decisions::Verdict::Quarantine(reason),
        Verdict::Discard(reason) => decisions::Verdict::Discard(reason),
        Verdict::Disconnect(refusal) => decisions::Verdict::Disconnect(to_refusal(refusal)),
    };
    decisions::Decision { verdict, edits: of.edits.into_iter().map(to_edit).collect() }
}

fn to_edit(of: Edit) -> decisions::Edit {
    use decisions as to;
    let named = |name, nth| to::HeaderRef { name, nth };
    match of {
        Edit::AddHeader(name, value, position) => {
            let position = match position {
                Position::First => to::HeaderPosition::First,
                Position::Last => to::HeaderPosition::Last,
                Position::At(nth) => to::HeaderPosition::At(nth),
            };
            to::Edit::AddHeader(to::HeaderAdd { name, value, position })
        }
        Edit::ChangeHeader(name, nth, value) => {
            to::Edit::ChangeHeader(to::HeaderChange { header: named(name, nth), value })
        }
        Edit::RemoveHeader(name, nth) => to::Edit::RemoveHeader(named(name, nth)),
        Edit::RemoveAllHeaders(name) => to::Edit::RemoveAllHeaders(name),
        Edit::ReplaceBody(body) => to::Edit::ReplaceBody(body),
        Edit::SetSender(sender) => to::Edit::SetSender(sender),
        Edit::AddRecipient(new) => to::Edit::AddRecipient(to_recipient(new)),
        Edit::RemoveRecipient(old) => to::Edit::RemoveRecipient(old),
        Edit::ChangeRecipient(old, new) => to::Edit::ChangeRecipient(to::RecipientChange {
            old,
            new: new.into_iter().map(to_recipient).collect(),
        }),
        Edit::Symbol(name, score, detail) => to::Edit::Symbol(to::Symbol { name, score, detail }),
        Edit::Tag(name, value) => to::Edit::Tag((name, value)),
        Edit::Place(mailbox, message_flags) => to::Edit::Place(to::Placement { mailbox, message_flags }),
        Edit::AddFlag(flag) => to::Edit::AddFlag(flag),
        Edit::Delay(milliseconds) => to::Edit::Delay(milliseconds),
    }
}

impl<S: Slot> base::exports::maitred::plugin::lifecycle::Guest for S {
    fn describe() -> base::exports::maitred::plugin::lifecycle::Descriptor {
        base::exports::maitred::plugin::lifecycle::Descriptor {
            name: S::NAME.to_owned(),
            version: S::VERSION.to_owned(),
            summary: S::Plugin::SUMMARY.to_owned(),
            config_schema: None,
        }
    }

    fn init() -> Result<(), String> {
        S::Plugin::init(&config()).map(S::set)
    }
}

impl<S: Slot> self_test::exports::maitred::plugin::self_test::Guest for S {
    fn run() -> Result<(), String> {
        S::with(Plugin::self_test).unwrap_or_else(|| Err("it was never set up".to_owned()))
    }
}

impl<S: Slot> interest::exports::maitred::plugin::interest::Guest for S {
    fn hooks() -> Vec<String> {
        let wanted = S::with(Plugin::interest).unwrap_or_default();
        wanted.into_iter().map(|hook| hook.name().to_owned()).collect()
    }
}

impl<S: Slot> freshness::exports::maitred::plugin::freshness::Guest for S {
    fn terms() -> Vec<freshness::exports::maitred::plugin::freshness::Term> {
        use freshness::exports::maitred::plugin::freshness::{Fact as To, Term};
        let fact = |of: Fact| match of {
            Fact::RemoteIp => To::RemoteIp,
            Fact::RemoteNetwork(v4, v6) => To::RemoteNetwork((v4, v6)),
            Fact::Helo => To::Helo,
            Fact::Tls => To::Tls,
            Fact::Sender => To::Sender,
            Fact::SenderDomain => To::SenderDomain,
            Fact::Recipients => To::Recipients,
            Fact::Header(name) => To::Header(name),
            Fact::SenderLike(text) => To::SenderLike(text),
            Fact::RecipientLike(text) => To::RecipientLike(text),
            Fact::HeaderLike(name, text) => To::HeaderLike((name, text)),
            Fact::ContentLike(text) => To::ContentLike(text),
            Fact::FileLike(text) => To::FileLike(text),
            Fact::Larger(octets) => To::Larger(octets),
        };
        let terms = S::with(Plugin::freshness).unwrap_or_default().into_iter();
        let term = |of: crate::Term| Term {
            seconds: of.seconds,
            made_of: of.made_of.into_iter().map(fact).collect(),
        };
        terms.map(term).collect()
    }
}

/// Asks the plugin; one that was never initialised has no opinion.
fn ask<S: Slot>(call: impl FnOnce(&S::Plugin) -> Decision) -> decisions::Decision {
    to_decision(S::with(call).unwrap_or_else(Decision::next))
}

impl<S: Slot> connect::exports::maitred::plugin::connect_hook::Guest for S {
    fn on_connect(session: host_session::Session) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_connect(&session))
    }
}

impl<S: Slot> helo::exports::maitred::plugin::helo_hook::Guest for S {
    fn on_helo(session: host_session::Session, name: String) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_helo(&session, &name))
    }
}

impl<S: Slot> auth::exports::maitred::plugin::auth_hook::Guest for S {
    fn on_auth(
        session: host_session::Session,
        of: auth::exports::maitred::plugin::auth_hook::Attempt,
    ) -> decisions::Decision {
        let attempt = Attempt { mechanism: of.mechanism, identity: of.identity, has_succeeded: of.succeeded };
        ask::<S>(|plugin| plugin.on_auth(&session, &attempt))
    }
}

impl<S: Slot> mail::exports::maitred::plugin::mail_hook::Guest for S {
    fn on_mail(session: host_session::Session, sender: String) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_mail(&session, &sender))
    }
}

impl<S: Slot> rcpt::exports::maitred::plugin::rcpt_hook::Guest for S {
    fn on_rcpt(
        session: host_session::Session,
        sender: String,
        rcpt: types::Recipient,
    ) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_rcpt(&session, &sender, &recipient(rcpt)))
    }
}

impl<S: Slot> headers::exports::maitred::plugin::headers_hook::Guest for S {
    fn on_headers(session: host_session::Session, message: host_message::Message) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_headers(&session, &message))
    }
}

impl<S: Slot> message::exports::maitred::plugin::message_hook::Guest for S {
    fn on_message(session: host_session::Session, message: host_message::Message) -> decisions::Decision {
        ask::<S>(|plugin| plugin.on_message(&session, &message))
    }
}

impl<S: Slot> disconnect::exports::maitred::plugin::disconnect_hook::Guest for S {
    fn on_disconnect(session: host_session::Session) {
        S::with(|plugin| plugin.on_disconnect(&session));
    }
}
