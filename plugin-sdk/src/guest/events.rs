//! The hooks of routing, delivery, logins and events, from their types to ours and back.

use super::base::maitred::plugin::{decisions, host_message, host_session, types};
use super::{Slot, deliver, login, mailbox, outcome, recipient, resolve, route, tick, to_refusal};
use crate::{
    Delivery, DeliveryDecision, Login, LoginDecision, MailboxChange, MailboxEvent, NextHop, Outcome,
    OutcomeKind, Placement, Plugin, Protocol, Resolution, Route, TlsPolicy,
};

impl<S: Slot> resolve::exports::maitred::plugin::resolve_hook::Guest for S {
    fn on_resolve(session: host_session::Session, sender: String, rcpt: String) -> decisions::Resolution {
        let answer = S::with(|plugin| plugin.on_resolve(&session, &sender, &rcpt));
        match answer.unwrap_or(Resolution::Next) {
            Resolution::Next => decisions::Resolution::Next,
            Resolution::Rewrite(to) => decisions::Resolution::Rewrite(to),
            Resolution::Reject(refusal) => decisions::Resolution::Reject(to_refusal(refusal)),
            Resolution::Tempfail(refusal) => decisions::Resolution::Tempfail(to_refusal(refusal)),
            Resolution::Discard(reason) => decisions::Resolution::Discard(reason),
        }
    }
}

impl<S: Slot> route::exports::maitred::plugin::route_hook::Guest for S {
    fn on_route(
        message: host_message::Message,
        domain: String,
        candidates: Vec<types::NextHop>,
    ) -> decisions::Route {
        let candidates: Vec<NextHop> = candidates.into_iter().map(next_hop).collect();
        match S::with(|plugin| plugin.on_route(&message, &domain, &candidates)).unwrap_or(Route::Next) {
            Route::Next => decisions::Route::Next,
            Route::Hops(hops) => decisions::Route::Hops(hops.into_iter().map(to_next_hop).collect()),
            Route::Hold(until) => decisions::Route::Hold(until),
            Route::Bounce(refusal) => decisions::Route::Bounce(to_refusal(refusal)),
        }
    }
}

fn next_hop(of: types::NextHop) -> NextHop {
    let tls = match of.tls {
        types::TlsPolicy::None => TlsPolicy::None,
        types::TlsPolicy::Opportunistic => TlsPolicy::Opportunistic,
        types::TlsPolicy::Required => TlsPolicy::Required,
    };
    NextHop { host: of.host, port: of.port, tls, source_ip: of.source_ip }
}

fn to_next_hop(of: NextHop) -> types::NextHop {
    let tls = match of.tls {
        TlsPolicy::None => types::TlsPolicy::None,
        TlsPolicy::Opportunistic => types::TlsPolicy::Opportunistic,
        TlsPolicy::Required => types::TlsPolicy::Required,
    };
    types::NextHop { host: of.host, port: of.port, tls, source_ip: of.source_ip, attributes: Vec::new() }
}

impl<S: Slot> deliver::exports::maitred::plugin::deliver_hook::Guest for S {
    fn on_deliver(
        session: host_session::Session,
        message: host_message::Message,
        rcpt: types::Recipient,
        account: String,
    ) -> decisions::DeliveryDecision {
        let rcpt = recipient(rcpt);
        let answer = S::with(|plugin| plugin.on_deliver(&session, &message, &rcpt, &account));
        match answer.unwrap_or(DeliveryDecision::Next) {
            DeliveryDecision::Next => decisions::DeliveryDecision::Next,
            DeliveryDecision::Deliver(of) => decisions::DeliveryDecision::Deliver(to_delivery(of)),
            DeliveryDecision::Reject(refusal) => decisions::DeliveryDecision::Reject(to_refusal(refusal)),
            DeliveryDecision::Tempfail(refusal) => decisions::DeliveryDecision::Tempfail(to_refusal(refusal)),
            DeliveryDecision::Discard(reason) => decisions::DeliveryDecision::Discard(reason),
        }
    }
}

fn to_delivery(of: Delivery) -> decisions::Delivery {
    let place = |of: Placement| types::Placement { mailbox: of.mailbox, message_flags: of.flags };
    decisions::Delivery {
        placements: of.placements.into_iter().map(place).collect(),
        forward: of.forward,
        forward_as: of.forward_as,
    }
}

impl<S: Slot> outcome::exports::maitred::plugin::outcome_hook::Guest for S {
    fn on_outcomes(outcomes: Vec<outcome::exports::maitred::plugin::outcome_hook::Outcome>) {
        use outcome::exports::maitred::plugin::outcome_hook::OutcomeKind as Of;
        let outcome = |of: outcome::exports::maitred::plugin::outcome_hook::Outcome| Outcome {
            kind: match of.kind {
                Of::Stored => OutcomeKind::Stored,
                Of::Delivered => OutcomeKind::Delivered,
                Of::Deferred => OutcomeKind::Deferred,
                Of::Bounced => OutcomeKind::Bounced,
                Of::Expired => OutcomeKind::Expired,
            },
            id: of.id,
            sender: of.sender,
            recipient: of.rcpt,
            remote: of.remote,
            status: of.status,
            text: of.text,
            attempts: of.attempts,
            at_ms: of.at,
        };
        let outcomes: Vec<Outcome> = outcomes.into_iter().map(outcome).collect();
        S::with(|plugin| plugin.on_outcomes(&outcomes));
    }
}

impl<S: Slot> login::exports::maitred::plugin::login_hook::Guest for S {
    fn on_login(of: login::exports::maitred::plugin::login_hook::Login) -> decisions::LoginDecision {
        use login::exports::maitred::plugin::login_hook::LoginProtocol as Of;
        let login = Login {
            protocol: match of.protocol {
                Of::Smtp => Protocol::Smtp,
                Of::Pop3 => Protocol::Pop3,
                Of::Imap => Protocol::Imap,
            },
            account: of.account,
            mechanism: of.mechanism,
            remote_ip: of.remote_ip,
            has_tls: of.tls,
            has_succeeded: of.succeeded,
        };
        match S::with(|plugin| plugin.on_login(&login)).unwrap_or(LoginDecision::Next) {
            LoginDecision::Next => decisions::LoginDecision::Next,
            LoginDecision::Deny(reason) => decisions::LoginDecision::Deny(reason),
        }
    }
}

impl<S: Slot> mailbox::exports::maitred::plugin::mailbox_hook::Guest for S {
    fn on_mailbox_events(events: Vec<mailbox::exports::maitred::plugin::mailbox_hook::MailboxEvent>) {
        use mailbox::exports::maitred::plugin::mailbox_hook::MailboxChange as Of;
        let event = |of: mailbox::exports::maitred::plugin::mailbox_hook::MailboxEvent| MailboxEvent {
            account: of.account,
            mailbox: of.mailbox,
            uids: of.uids,
            uid_validity: of.uid_validity,
            change: match of.change {
                Of::Appended => MailboxChange::Appended,
                Of::FlagsChanged(flags) => MailboxChange::FlagsChanged(flags),
                Of::Expunged => MailboxChange::Expunged,
            },
        };
        let events: Vec<MailboxEvent> = events.into_iter().map(event).collect();
        S::with(|plugin| plugin.on_mailbox_events(&events));
    }
}

impl<S: Slot> tick::exports::maitred::plugin::tick_hook::Guest for S {
    fn on_tick() {
        S::with(Plugin::on_tick);
    }
}
