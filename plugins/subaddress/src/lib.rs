//! Subaddresses: mail for bob+rust is filed into bob's mailbox `rust`.
//!
//! What stands behind the separator is the detail of RFC 5233 §4. What is no mailbox that the settings allow goes to INBOX,
//! so no address loses its mail, and no stranger makes a mailbox of what he likes.

mod folder;

use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::lowered;
use maitred_plugin_sdk::prelude::*;

use folder::{Config, Separator};

/// The plugin.
pub struct Subaddress {
    config: Config,
}

impl Plugin for Subaddress {
    const SUMMARY: &'static str = "Files mail for user+folder into that folder";

    fn init(config: &str) -> Result<Self, String> {
        let config: Config = serde_json::from_str(config).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(Self { config })
    }

    fn on_deliver(
        &self,
        _session: &dyn Session,
        _message: &dyn Message,
        recipient: &Recipient,
        account: &str,
    ) -> DeliveryDecision {
        let addresses = [Some(&recipient.address), recipient.original.as_ref()];
        let detail = addresses.into_iter().flatten().find_map(|address| self.detail(address, account));
        let mailbox = detail.and_then(|detail| self.config.mailbox(&detail));
        mailbox.map_or(DeliveryDecision::Next, DeliveryDecision::to)
    }
}

impl Subaddress {
    /// What stands behind the separator.
    fn detail(&self, address: &str, account: &str) -> Option<String> {
        let (local, _) = address::split(address)?;
        let (user, _) = address::split(account)?;
        let user = lowered(user);
        // An account with the separator in its name has no folder in it.
        if lowered(local.clone()) == user {
            return None;
        }
        let places = local.char_indices().filter(|(_, c)| self.config.separator.contains(&Separator(*c)));
        let mut cuts = places.filter_map(|(at, c)| Some((local.get(..at)?, local.get(at + c.len_utf8()..)?)));
        let cut = cuts.find(|(name, _)| {
            !name.is_empty() && (self.config.aliases || lowered((*name).to_owned()) == user)
        });
        cut.map(|(_, detail)| detail.to_owned())
    }
}

maitred_plugin_sdk::export!(Subaddress: deliver);

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::testing::{FakeMessage, FakeSession, fixtures};

    use super::*;

    /// The mailbox that mail for this address goes to; `None`: INBOX.
    fn filed(config: &str, address: &str, account: &str) -> Option<String> {
        let recipient = Recipient { address: address.to_owned(), original: None };
        filed_for(config, &recipient, account)
    }

    fn filed_for(config: &str, recipient: &Recipient, account: &str) -> Option<String> {
        let plugin = Subaddress::init(config).unwrap();
        let message = FakeMessage::new("Subject: x\n\nhi");
        match plugin.on_deliver(&FakeSession::default(), &message, recipient, account) {
            DeliveryDecision::Next => None,
            DeliveryDecision::Deliver(delivery) => {
                let [place] = delivery.placements.as_slice() else { panic!("{delivery:?}") };
                assert!(delivery.forward.is_empty() && place.flags.is_empty());
                Some(place.mailbox.clone())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_stands_behind_the_separator_is_the_mailbox() {
        for (address, mailbox) in [
            ("bob+rust@a.test", Some("rust")),
            ("Bob+Lists.Rust@a.test", Some("lists/rust")),
            ("bob@a.test", None),
            ("bob+@a.test", None),
            ("bob+a+b@a.test", None),
            ("+rust@a.test", None),
            ("\"bob+a b\"@a.test", None),
            ("\"bob+../x\"@a.test", None),
            ("bob-rust@a.test", None),
        ] {
            assert_eq!(filed("{}", address, "bob@a.test").as_deref(), mailbox, "{address}");
        }
    }

    #[test]
    fn there_may_be_several_separators() {
        let config = r#"{"separator":["+","-","="]}"#;
        for (address, account, mailbox) in [
            ("bob-rust@a.test", "bob@a.test", Some("rust")),
            ("bob=rust@a.test", "bob@a.test", Some("rust")),
            ("bob+rust-2@a.test", "bob@a.test", Some("rust-2")),
            ("anna-marie@a.test", "anna-marie@a.test", None),
            ("anna-marie-rust@a.test", "Anna-Marie@a.test", Some("rust")),
        ] {
            assert_eq!(filed(config, address, account).as_deref(), mailbox, "{address}");
        }
    }

    #[test]
    fn aliases_have_folders_when_it_is_configured_so() {
        assert_eq!(filed("{}", "info+rust@a.test", "bob@a.test"), None);
        assert_eq!(filed(r#"{"aliases":true}"#, "info+rust@a.test", "bob@a.test").as_deref(), Some("rust"));
        assert_eq!(filed(r#"{"aliases":true}"#, "no+reply@a.test", "no+reply@a.test"), None);
    }

    #[test]
    fn the_address_that_was_given_counts_where_another_plugin_changed_it() {
        let recipient =
            Recipient { address: "bob@a.test".to_owned(), original: Some("bob+rust@a.test".to_owned()) };
        assert_eq!(filed_for("{}", &recipient, "bob@a.test").as_deref(), Some("rust"));
    }

    #[test]
    fn a_bad_configuration_says_what_is_wrong() {
        for (config, told) in [
            (r#"{"seperator":"+"}"#, "seperator"),
            (r#"{"separator":"++"}"#, "\"++\""),
            (r#"{"separator":"@"}"#, "\"@\""),
            (r#"{"separator":[]}"#, "empty list"),
            (r#"{"base":"a//b"}"#, "a//b"),
            (r#"{"case":"upper"}"#, "upper"),
            (r#"{"characters":"/"}"#, "'/' in characters"),
            (r#"{"depth":0}"#, "depth"),
        ] {
            let error = Subaddress::init(config).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn the_fixtures_go_as_they_say() {
        fixtures::play::<Subaddress>(std::path::Path::new("fixtures")).unwrap();
    }
}
