//! Which hooks a component exports.

use maitred_policy::Hook;
use wasmtime::component::InstancePre;

use crate::bindings::v0_1::exports::maitred::plugin as exports;
use crate::state::State;

/// The hooks of a component; an absent one costs nothing.
#[derive(Clone)]
pub(crate) struct Hooks {
    pub(crate) connect: Option<exports::connect_hook::GuestIndices>,
    pub(crate) helo: Option<exports::helo_hook::GuestIndices>,
    pub(crate) auth: Option<exports::auth_hook::GuestIndices>,
    pub(crate) mail: Option<exports::mail_hook::GuestIndices>,
    pub(crate) rcpt: Option<exports::rcpt_hook::GuestIndices>,
    pub(crate) headers: Option<exports::headers_hook::GuestIndices>,
    pub(crate) message: Option<exports::message_hook::GuestIndices>,
    pub(crate) disconnect: Option<exports::disconnect_hook::GuestIndices>,
    pub(crate) resolve: Option<exports::resolve_hook::GuestIndices>,
    pub(crate) route: Option<exports::route_hook::GuestIndices>,
    pub(crate) deliver: Option<exports::deliver_hook::GuestIndices>,
    pub(crate) outcome: Option<exports::outcome_hook::GuestIndices>,
    pub(crate) login: Option<exports::login_hook::GuestIndices>,
    pub(crate) mailbox: Option<exports::mailbox_hook::GuestIndices>,
    pub(crate) tick: Option<exports::tick_hook::GuestIndices>,
}

impl Hooks {
    pub(crate) fn of(pre: &InstancePre<State>) -> Self {
        Self {
            connect: exports::connect_hook::GuestIndices::new(pre).ok(),
            helo: exports::helo_hook::GuestIndices::new(pre).ok(),
            auth: exports::auth_hook::GuestIndices::new(pre).ok(),
            mail: exports::mail_hook::GuestIndices::new(pre).ok(),
            rcpt: exports::rcpt_hook::GuestIndices::new(pre).ok(),
            headers: exports::headers_hook::GuestIndices::new(pre).ok(),
            message: exports::message_hook::GuestIndices::new(pre).ok(),
            disconnect: exports::disconnect_hook::GuestIndices::new(pre).ok(),
            resolve: exports::resolve_hook::GuestIndices::new(pre).ok(),
            route: exports::route_hook::GuestIndices::new(pre).ok(),
            deliver: exports::deliver_hook::GuestIndices::new(pre).ok(),
            outcome: exports::outcome_hook::GuestIndices::new(pre).ok(),
            login: exports::login_hook::GuestIndices::new(pre).ok(),
            mailbox: exports::mailbox_hook::GuestIndices::new(pre).ok(),
            tick: exports::tick_hook::GuestIndices::new(pre).ok(),
        }
    }

    /// Those of them that are wanted.
    pub(crate) fn only(self, wanted: &[Hook]) -> Self {
        let is_wanted = |hook| wanted.contains(&hook);
        Self {
            connect: self.connect.filter(|_| is_wanted(Hook::Connect)),
            helo: self.helo.filter(|_| is_wanted(Hook::Helo)),
            auth: self.auth.filter(|_| is_wanted(Hook::Auth)),
            mail: self.mail.filter(|_| is_wanted(Hook::Mail)),
            rcpt: self.rcpt.filter(|_| is_wanted(Hook::Rcpt)),
            headers: self.headers.filter(|_| is_wanted(Hook::Headers)),
            message: self.message.filter(|_| is_wanted(Hook::Message)),
            disconnect: self.disconnect.filter(|_| is_wanted(Hook::Disconnect)),
            resolve: self.resolve.filter(|_| is_wanted(Hook::Resolve)),
            route: self.route.filter(|_| is_wanted(Hook::Route)),
            deliver: self.deliver.filter(|_| is_wanted(Hook::Deliver)),
            outcome: self.outcome.filter(|_| is_wanted(Hook::Outcome)),
            login: self.login.filter(|_| is_wanted(Hook::Login)),
            mailbox: self.mailbox.filter(|_| is_wanted(Hook::Mailbox)),
            tick: self.tick.filter(|_| is_wanted(Hook::Tick)),
        }
    }

    /// Whether there is this one.
    pub(crate) fn has(&self, hook: Hook) -> bool {
        match hook {
            Hook::Connect => self.connect.is_some(),
            Hook::Helo => self.helo.is_some(),
            Hook::Auth => self.auth.is_some(),
            Hook::Mail => self.mail.is_some(),
            Hook::Rcpt => self.rcpt.is_some(),
            Hook::Headers => self.headers.is_some(),
            Hook::Message => self.message.is_some(),
            Hook::Disconnect => self.disconnect.is_some(),
            Hook::Resolve => self.resolve.is_some(),
            Hook::Route => self.route.is_some(),
            Hook::Deliver => self.deliver.is_some(),
            Hook::Outcome => self.outcome.is_some(),
            Hook::Login => self.login.is_some(),
            Hook::Mailbox => self.mailbox.is_some(),
            Hook::Tick => self.tick.is_some(),
        }
    }

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<Hook> {
        Hook::ALL.into_iter().filter(|hook| self.has(*hook)).collect()
    }
}

/// Hooks by their names.
///
/// # Errors
/// The first that there is none of.
pub(crate) fn named(names: &[String]) -> Result<Vec<Hook>, String> {
    let known = |name: &String| {
        let hook = Hook::ALL.into_iter().find(|hook| hook.name() == name);
        hook.ok_or_else(|| format!("this server has no hook {name:?}"))
    };
    names.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_goes_by_its_name() {
        let of = |names: &[&str]| named(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["rcpt", "tick", "rcpt"]), Ok(vec![Hook::Rcpt, Hook::Tick, Hook::Rcpt]));
        assert_eq!(of(&[]), Ok(Vec::new()));
        assert_eq!(of(&["rcpt", "rctp"]), Err("this server has no hook \"rctp\"".to_owned()));
    }
}
