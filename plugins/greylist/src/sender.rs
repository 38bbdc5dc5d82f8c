//! Senders that are another one in each message, made one.
//!
//! Mailing lists (VERP), forwarders (SRS), and senders that sign their reverse-path (BATV) put a number or a code into the
//! local part. A retry has the same one; but the next message has another, and would be put off again for nothing.

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::lowered;

/// The sender in lower case, with `#` for what looks as if it were made for one message. `""` stays `""`.
pub fn folded(sender: &str) -> String {
    let sender = lowered(sender.to_owned());
    let Some((local, domain)) = address::split(&sender) else { return sender };
    format!("{}@{domain}", folded_local(&local))
}

fn folded_local(local: &str) -> String {
    // SRS0=hash=day=domain=local, SRS1=hash=…, prvs=code=local: the codes stand at known places.
    let codes = match local.get(..4) {
        Some("srs0") => 2,
        Some("srs1" | "prvs" | "btv1") => 1,
        _ => 0,
    };
    let mut out = String::with_capacity(local.len());
    for (number, piece) in local.split_inclusive(is_separator).enumerate() {
        let word = piece.trim_end_matches(is_separator);
        let is_code = (1..=codes).contains(&number);
        out.push_str(if is_code || is_unique(word) { "#" } else { word });
        out.push_str(piece.get(word.len()..).unwrap_or_default());
    }
    out
}

fn is_separator(c: char) -> bool {
    "-_.=+/".contains(c)
}

/// A number, or a long code of hexadecimal digits.
fn is_unique(word: &str) -> bool {
    let has_digit = word.bytes().any(|octet| octet.is_ascii_digit());
    let is_number = word.bytes().all(|octet| octet.is_ascii_digit());
    let is_code = word.len() >= CODE_OCTETS_MIN && word.bytes().all(|octet| octet.is_ascii_hexdigit());
    has_digit && (is_number || is_code)
}

/// A shorter code may be a name, such as `ada1815`.
const CODE_OCTETS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_for_one_message_is_folded() {
        for (sender, expected) in [
            ("bounce-12345-bob=a.test@lists.b.test", "bounce-#-bob=a.test@lists.b.test"),
            ("SRS0=aB3x=2W=b.test=Alice@f.test", "srs0=#=#=b.test=alice@f.test"),
            ("SRS1=aB3x=f.test==Hx4d=2W=b.test=alice@g.test", "srs1=#=f.test==hx4d=2w=b.test=alice@g.test"),
            ("prvs=3146f1d5c2=alice@b.test", "prvs=#=alice@b.test"),
            ("0100018d5a2b3c4d-1a2b3c4d-1234-000000@bounces.b.test", "#-#-#-#@bounces.b.test"),
            ("msg_2026.11.26@b.test", "msg_#.#.#@b.test"),
        ] {
            assert_eq!(folded(sender), expected);
        }
    }

    #[test]
    fn people_stay_who_they_are() {
        for sender in ["", "ada1815@b.test", "anna-marie@b.test", "deadbeefcafe@b.test", "a.b+c@b.test", "x"]
        {
            assert_eq!(folded(sender), sender);
        }
        assert_eq!(folded("Alice@b.test"), "alice@b.test");
    }

    #[test]
    fn two_messages_of_one_list_are_one_sender() {
        assert_eq!(folded("l-1-7@b.test"), folded("l-92-13@b.test"));
        assert_ne!(folded("l-1@b.test"), folded("m-1@b.test"));
    }
}
