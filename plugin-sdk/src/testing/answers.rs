//! Answers of hooks in the words of fixtures.

use serde_json::{Value, json};

use crate::{
    Decision, DeliveryDecision, Edit, LoginDecision, NextHop, Position, Refusal, Resolution, Route,
    TlsPolicy, Verdict,
};

fn refused(verdict: &str, Refusal { enhanced, text }: Refusal) -> Value {
    let status = enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
    json!({"verdict": verdict, "status": status, "text": text})
}

/// What a filter answers.
pub(super) fn decided(of: Decision) -> Value {
    let mut answer = match of.verdict {
        Verdict::Next => json!({"verdict": "next"}),
        Verdict::Accept => json!({"verdict": "accept"}),
        Verdict::Reject(refusal) => refused("reject", refusal),
        Verdict::Tempfail(refusal) => refused("tempfail", refusal),
        Verdict::Disconnect(refusal) => refused("disconnect", refusal),
        Verdict::Quarantine(text) => json!({"verdict": "quarantine", "text": text}),
        Verdict::Discard(text) => json!({"verdict": "discard", "text": text}),
    };
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("edits".to_owned(), of.edits.into_iter().map(edited).collect());
    }
    answer
}

fn edited(of: Edit) -> Value {
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    match of {
        Edit::AddHeader(name, value, position) => {
            let position = match position {
                Position::First => json!("first"),
                Position::Last => json!("last"),
                Position::At(nth) => json!(nth),
            };
            json!({"add-header": {"name": name, "value": text(value), "position": position}})
        }
        Edit::ChangeHeader(name, nth, value) => {
            json!({"change-header": {"name": name, "nth": nth, "value": text(value)}})
        }
        Edit::RemoveHeader(name, nth) => json!({"remove-header": {"name": name, "nth": nth}}),
        Edit::RemoveAllHeaders(name) => json!({"remove-all-headers": name}),
        Edit::ReplaceBody(body) => json!({"replace-body": text(body)}),
        Edit::SetSender(sender) => json!({"set-sender": sender}),
        Edit::AddRecipient(new) => json!({"add-recipient": new.address}),
        Edit::RemoveRecipient(old) => json!({"remove-recipient": old}),
        Edit::ChangeRecipient(old, new) => {
            let new: Vec<String> = new.into_iter().map(|recipient| recipient.address).collect();
            json!({"change-recipient": {"old": old, "new": new}})
        }
        Edit::Symbol(name, score, detail) => {
            json!({"symbol": {"name": name, "score": score, "detail": detail}})
        }
        Edit::Tag(name, value) => json!({"tag": [name, value]}),
        Edit::Place(mailbox, flags) => json!({"place": {"mailbox": mailbox, "flags": flags}}),
        Edit::AddFlag(flag) => json!({"add-flag": flag}),
        Edit::Delay(milliseconds) => json!({"delay": milliseconds}),
    }
}

/// What a resolve hook answers.
pub(super) fn resolved(of: Resolution) -> Value {
    match of {
        Resolution::Next => json!({"verdict": "next"}),
        Resolution::Rewrite(addresses) => json!({"verdict": "rewrite", "addresses": addresses}),
        Resolution::Reject(refusal) => refused("reject", refusal),
        Resolution::Tempfail(refusal) => refused("tempfail", refusal),
        Resolution::Discard(text) => json!({"verdict": "discard", "text": text}),
    }
}

/// What a route hook answers.
pub(super) fn routed(of: Route) -> Value {
    let hop = |hop: NextHop| {
        let tls = match hop.tls {
            TlsPolicy::None => "none",
            TlsPolicy::Opportunistic => "opportunistic",
            TlsPolicy::Required => "required",
        };
        json!({"host": hop.host, "port": hop.port, "tls": tls})
    };
    match of {
        Route::Next => json!({"verdict": "next"}),
        Route::Hops(hops) => {
            json!({"verdict": "hops", "hops": hops.into_iter().map(hop).collect::<Vec<_>>()})
        }
        Route::Hold(until_ms) => json!({"verdict": "hold", "until_ms": until_ms}),
        Route::Bounce(refusal) => refused("bounce", refusal),
    }
}

/// What a login hook answers.
pub(super) fn logged_in(of: LoginDecision) -> Value {
    match of {
        LoginDecision::Next => json!({"verdict": "next"}),
        LoginDecision::Deny(text) => json!({"verdict": "deny", "text": text}),
    }
}

/// What a delivery hook answers.
pub(super) fn delivered(of: DeliveryDecision) -> Value {
    match of {
        DeliveryDecision::Next => json!({"verdict": "next"}),
        DeliveryDecision::Deliver(delivery) => {
            let placements = delivery.placements.into_iter();
            let placements: Vec<_> =
                placements.map(|place| json!({"mailbox": place.mailbox, "flags": place.flags})).collect();
            json!({
                "verdict": "deliver", "placements": placements,
                "forward": delivery.forward, "forward_as": delivery.forward_as.unwrap_or_default(),
            })
        }
        DeliveryDecision::Reject(refusal) => refused("reject", refusal),
        DeliveryDecision::Tempfail(refusal) => refused("tempfail", refusal),
        DeliveryDecision::Discard(text) => json!({"verdict": "discard", "text": text}),
    }
}
