//! Filing: the delivery hooks of each local recipient say in which mailboxes a message goes, who gets a copy elsewhere, and whether it is
//! taken at all.
//!
//! RFC 5321 §3.9 (forwarding), RFC 3464 (who is told of a refusal when others take the message). Called by `receive` when the filters
//! are done; mail that policy has put aside already is not asked about. A plugin is not asked again about where it forwards to.

use std::sync::Arc;

use maitred_mail::{AccountId, Address, Class, Directory, EnhancedStatus, ForwardPath, MessageId, Recipient};
use maitred_policy::{
    Answer, Chain, Delivery, DeliveryDecision, Hook, HookCall, MessageFacts, Refusal, Said, SessionFacts,
};
use maitred_queue::{Commit, Entry, Outcome, Settled};
use maitred_store::NewBody;

use crate::bounce::{self, Kind};
use crate::deliver::{Copy, DeliverError, Parcel, named};
use crate::house::House;
use crate::resolve::{self, Place};

/// What the hooks said about all recipients.
#[derive(Default)]
pub(crate) struct Filed {
    /// Places (by number) that take nothing, and why: 4xx or 5xx.
    pub refused: Vec<(usize, Refusal)>,
    /// Recipients that take nothing while others of their place do.
    pub bounced: Vec<(Recipient, Refusal)>,
    /// Who said what.
    pub said: Vec<Said>,
}

/// Who asks, about what.
pub(crate) struct Filing<'a> {
    pub house: &'a House,
    pub chain: &'a Arc<Chain>,
    pub session: &'a SessionFacts,
    pub message: MessageFacts,
}

impl Filing<'_> {
    /// Puts where every place leads into the parcel.
    pub(crate) async fn file(&self, places: &[Place], parcel: &mut Parcel) -> Filed {
        let mut filed = Filed::default();
        let directory = self.house.store.directory();
        for (number, place) in places.iter().enumerate() {
            parcel.add_remote(place);
            let mut refusals = Vec::new();
            for (account, address) in &place.accounts {
                let asked = Recipient {
                    address: address.clone(),
                    original: (*address != place.recipient.address).then(|| place.recipient.address.clone()),
                };
                let own = directory.own_address(address);
                let call = HookCall::Deliver(&self.message, &asked, &own);
                let (answer, said) = self.chain.first(self.session, call).await;
                filed.said.extend(said);
                match answer {
                    Some(Answer::Delivery(DeliveryDecision::Deliver(of))) => {
                        self.deliver(&directory, parcel, place, (*account, address), of);
                    }
                    Some(Answer::Delivery(DeliveryDecision::Reject(refusal))) => {
                        refusals.push((
                            asked,
                            Refusal { status: of_class(&refusal, Class::Permanent), ..refusal },
                        ));
                    }
                    Some(Answer::Delivery(DeliveryDecision::Tempfail(refusal))) => {
                        refusals.push((
                            asked,
                            Refusal { status: of_class(&refusal, Class::Persistent), ..refusal },
                        ));
                    }
                    Some(Answer::Delivery(DeliveryDecision::Discard(reason))) => {
                        tracing::info!(mail.id = %self.message.id, forward_path = %asked.address, reason, "discarded");
                    }
                    _ => parcel.keep(copy(*account, address)),
                }
            }
            filed.settle(number, place, refusals);
        }
        filed
    }

    fn deliver(
        &self,
        directory: &Directory,
        parcel: &mut Parcel,
        place: &Place,
        (account, address): (AccountId, &Address),
        of: Delivery,
    ) {
        for placement in of.placements {
            parcel.keep(Copy {
                mailbox: Some(placement.mailbox),
                flags: placement.flags,
                ..copy(account, address)
            });
        }
        let reverse_path = of.forward_as.unwrap_or_else(|| parcel.reverse_path.clone());
        for to in of.forward {
            let path = ForwardPath::Address(to.clone());
            match resolve::place(directory, &self.house.config, &path, true) {
                Ok(found) => {
                    for (account, address) in &found.accounts {
                        parcel.keep(copy(*account, address));
                    }
                    for remote in &found.remote {
                        parcel.forward(&reverse_path, named(place, remote));
                    }
                }
                Err(refusal) => {
                    tracing::warn!(
                        mail.id = %self.message.id, forward_path = %to, status = %refusal.status,
                        "a plugin forwards to somebody who cannot be reached: the copy is kept"
                    );
                    parcel.keep(copy(account, address));
                }
            }
        }
    }
}

impl Filed {
    /// A place of which nobody takes it is refused as a whole; one "not now" is enough to ask again.
    fn settle(&mut self, number: usize, place: &Place, refusals: Vec<(Recipient, Refusal)>) {
        let later = refusals.iter().find(|(_, refusal)| refusal.status.class == Class::Persistent);
        let is_all = refusals.len() == place.accounts.len() && place.remote.is_empty();
        match (later, refusals.first()) {
            (Some((_, later)), _) => self.refused.push((number, later.clone())),
            (None, Some((_, refusal))) if is_all => self.refused.push((number, refusal.clone())),
            _ => self.bounced.extend(refusals),
        }
    }
}

fn copy(account: AccountId, address: &Address) -> Copy {
    Copy { account, address: address.clone(), mailbox: None, flags: Vec::new() }
}

/// The verdict says which class it is; a status of another class is the plugin's slip.
fn of_class(refusal: &Refusal, class: Class) -> EnhancedStatus {
    EnhancedStatus { class, ..refusal.status }
}

/// The report to the reverse-path about recipients that do not take a message which others take. `None`: nobody to tell.
///
/// # Errors
/// When it cannot be stored.
pub(crate) async fn report(
    house: &House,
    (id, parcel, head): (MessageId, &Parcel, &[u8]),
    bounced: Vec<(Recipient, Refusal)>,
) -> Result<Option<(NewBody, Parcel)>, DeliverError> {
    if bounced.is_empty() {
        return Ok(None);
    }
    let settled: Vec<Settled> = bounced
        .into_iter()
        .map(|(recipient, refusal)| Settled {
            recipient,
            outcome: Outcome::local(refusal.status, refusal.text),
            last_attempt: None,
            is_expired: false,
        })
        .collect();
    let now = house.now();
    let commit = Commit {
        id,
        before: Entry {
            reverse_path: parcel.reverse_path.clone(),
            parameters: parcel.parameters.clone(),
            recipients: Vec::new(),
            accepted: now,
            attempts: 0,
            due: now,
            is_held: false,
            is_warned: false,
        },
        next: None,
        delivered: Vec::new(),
        failed: settled,
        delayed: Vec::new(),
        expires: now,
    };
    bounce::to_sender(house, &commit, (Kind::Failed, &commit.failed), head).await
}

/// Whether anybody is asked.
pub(crate) fn is_silent(chain: &Chain) -> bool {
    chain.is_silent(Hook::Deliver)
}
