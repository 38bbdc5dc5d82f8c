//! Write maitred plugins in Rust: one struct, one trait, one macro.
//!
//! ```
//! use maitred_plugin_sdk::prelude::*;
//!
//! struct NoCasinos;
//!
//! impl Plugin for NoCasinos {
//!     const SUMMARY: &'static str = "Refuses mail about casinos";
//!
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn on_message(&self, _session: &dyn Session, message: &dyn Message) -> Decision {
//!         match message.header("Subject") {
//!             Some(subject) if subject.to_lowercase().contains("casino") => Decision::reject("No casinos here"),
//!             _ => Decision::next(),
//!         }
//!     }
//! }
//!
//! // The hooks that the component exports; one that is not named costs nothing.
//! maitred_plugin_sdk::export!(NoCasinos: message);
//! # fn main() {}
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2` as a `cdylib`. On other targets the macro expands to
//! nothing, so the same crate is tested as plain Rust, with [`testing::FakeSession`] and [`testing::FakeMessage`].

pub mod address;
mod capability;
pub mod config;
mod decision;
mod freshness;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
mod hook;
mod host;
mod routing;
pub mod testing;

pub use capability::{authentication, directory, dns, http, metrics, random, store, submit};
pub use decision::{Decision, Edit, Position, Recipient, Refusal, Verdict};
pub use freshness::{Fact, Term, hold};
pub use hook::Hook;
pub use host::{
    Attempt, Direction, Envelope, Level, Message, Part, Session, SessionInfo, Transaction, config, log,
    now_ms,
};
pub use routing::{
    Delivery, DeliveryDecision, Login, LoginDecision, MailboxChange, MailboxEvent, NextHop, Outcome,
    OutcomeKind, Placement, Protocol, Resolution, Route, TlsPolicy,
};

/// What a plugin is. Every hook has a default that has no opinion; a hook is only called when [`export!`] names it.
pub trait Plugin: Sized + 'static {
    /// One sentence for operators.
    const SUMMARY: &'static str;

    /// Reads the configuration (JSON, `{}` when none) and sets up. Runs once for each loaded version: the host freezes
    /// what it made, and every call starts from there.
    ///
    /// # Errors
    /// One sentence; it stops the load, and the version in service stays.
    fn init(config: &str) -> Result<Self, String>;

    /// Tries the plugin on itself before the version is put in service: when [`export!`] names `self_test`. Nothing outside is there.
    ///
    /// # Errors
    /// One sentence; it stops the load, and the version in service stays.
    fn self_test(&self) -> Result<(), String> {
        Ok(())
    }

    /// The hooks that it has use for as it is configured: when [`export!`] names `interest`. At the others it is not called, which
    /// costs nothing; what [`export!`] does not name is passed over.
    fn interest(&self) -> Vec<Hook> {
        Hook::ALL.to_vec()
    }

    /// By which terms its answers may hold for longer than a call, as it is configured: when [`export!`] names `freshness`. A call says with
    /// [`hold`] which of them its answer holds by.
    fn freshness(&self) -> Vec<Term> {
        Vec::new()
    }

    /// A client connected, before the greeting.
    fn on_connect(&self, session: &dyn Session) -> Decision {
        let _ = session;
        Decision::next()
    }

    /// HELO, EHLO or LHLO with this name.
    fn on_helo(&self, session: &dyn Session, name: &str) -> Decision {
        let _ = (session, name);
        Decision::next()
    }

    /// After credentials were checked.
    fn on_auth(&self, session: &dyn Session, attempt: &Attempt) -> Decision {
        let _ = (session, attempt);
        Decision::next()
    }

    /// MAIL with this reverse-path; `""` is `<>`.
    fn on_mail(&self, session: &dyn Session, sender: &str) -> Decision {
        let _ = (session, sender);
        Decision::next()
    }

    /// RCPT for a recipient that the server would take.
    fn on_rcpt(&self, session: &dyn Session, sender: &str, recipient: &Recipient) -> Decision {
        let _ = (session, sender, recipient);
        Decision::next()
    }

    /// The header section is in, the body is not.
    fn on_headers(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let _ = (session, message);
        Decision::next()
    }

    /// The whole message, before the reply to the end of data.
    fn on_message(&self, session: &dyn Session, message: &dyn Message) -> Decision {
        let _ = (session, message);
        Decision::next()
    }

    /// The session ended.
    fn on_disconnect(&self, session: &dyn Session) {
        let _ = session;
    }

    /// RCPT, before aliases and accounts are looked at: who is this recipient?
    fn on_resolve(&self, session: &dyn Session, sender: &str, recipient: &str) -> Resolution {
        let _ = (session, sender, recipient);
        Resolution::Next
    }

    /// Before an attempt: where does mail for this domain go? `candidates` is what static routes or the DNS say.
    fn on_route(&self, message: &dyn Message, domain: &str, candidates: &[NextHop]) -> Route {
        let _ = (message, domain, candidates);
        Route::Next
    }

    /// Before a message is stored for one local recipient, who is this account.
    fn on_deliver(
        &self,
        session: &dyn Session,
        message: &dyn Message,
        recipient: &Recipient,
        account: &str,
    ) -> DeliveryDecision {
        let _ = (session, message, recipient, account);
        DeliveryDecision::Next
    }

    /// What became of mail; told afterwards, some at a time.
    fn on_outcomes(&self, outcomes: &[Outcome]) {
        let _ = outcomes;
    }

    /// A login by any protocol, after the password was checked.
    fn on_login(&self, login: &Login) -> LoginDecision {
        let _ = login;
        LoginDecision::Next
    }

    /// What happened in mailboxes; told afterwards, some at a time.
    fn on_mailbox_events(&self, events: &[MailboxEvent]) {
        let _ = events;
    }

    /// Work from time to time.
    fn on_tick(&self) {}
}

/// Everything a plugin needs by one `use`.
pub mod prelude {
    pub use crate::{
        Attempt, Decision, Delivery, DeliveryDecision, Direction, Edit, Envelope, Fact, Hook, Level, Login,
        LoginDecision, MailboxChange, MailboxEvent, Message, NextHop, Outcome, OutcomeKind, Part, Placement,
        Plugin, Position, Protocol, Recipient, Refusal, Resolution, Route, Session, SessionInfo, Term,
        TlsPolicy, Transaction, Verdict, authentication, directory, dns, hold, http, log, metrics, now_ms,
        random, store, submit,
    };
}

/// Makes the component: `export!(MyPlugin: rcpt, message);` with the hooks it has, out of connect, helo, auth, mail, rcpt,
/// headers, message, disconnect, resolve, route, deliver, outcome, login, mailbox, tick; and `self_test`, `interest`,
/// `freshness`.
/// Expands to nothing on targets that are not Wasm.
#[cfg(target_family = "wasm")]
#[macro_export]
macro_rules! export {
    ($plugin:ty : $($hook:ident),+ $(,)?) => {
        #[allow(unsafe_code, missing_docs, reason = "the exports that wit-bindgen makes")]
        mod __maitred_export {
            use super::*;
            ::std::thread_local! {
                static PLUGIN: ::std::cell::OnceCell<$plugin> = const { ::std::cell::OnceCell::new() };
            }
            pub struct Exported;
            impl $crate::guest::Slot for Exported {
                type Plugin = $plugin;
                const NAME: &'static str = env!("CARGO_PKG_NAME");
                const VERSION: &'static str = env!("CARGO_PKG_VERSION");
                fn set(plugin: $plugin) {
                    PLUGIN.with(|slot| drop(slot.set(plugin)));
                }
                fn with<T>(call: impl FnOnce(&$plugin) -> T) -> Option<T> {
                    PLUGIN.with(|slot| slot.get().map(call))
                }
            }
            $crate::guest::base::export!(Exported with_types_in $crate::guest::base);
            $( $crate::guest::$hook::export!(Exported with_types_in $crate::guest::$hook); )+
        }
    };
}

/// Makes the component on Wasm targets; here it only checks that the plugin is one.
#[cfg(not(target_family = "wasm"))]
#[macro_export]
macro_rules! export {
    ($plugin:ty : $($hook:ident),+ $(,)?) => {
        const _: () = {
            const fn is_plugin<P: $crate::Plugin>() {}
            is_plugin::<$plugin>();
        };
    };
}
