//! Where a session stands, and what the server can do.

use std::collections::VecDeque;

use super::content::Outgoing;
use super::session::{Fate, Letter};
use crate::Reply;

/// Where a session stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was heard.
    Connecting,
    /// EHLO was said.
    Hello,
    /// HELO was said, for a server that does not know EHLO.
    OldHello,
    /// STARTTLS was said.
    StartingTls,
    /// 220 was heard to it; the handshake is next.
    Shaking,
    /// AUTH was said; what is still to be sent when asked for, last first.
    Authenticating(Vec<String>),
    /// Someone is asked what comes next.
    Ready(u64),
    /// MAIL, RCPT and DATA are said or to be said.
    Envelope(Box<Transaction>),
    /// 354 was heard; someone is asked for the next piece.
    Content(Box<Transaction>, u64),
    /// The end of data was said.
    EndOfData(Box<Transaction>),
    /// RSET was said, after a transaction without a message.
    Resetting,
    /// QUIT was said.
    Quitting,
    /// Nothing more is said or heard.
    Closing,
}

/// One message on its way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) letter: Letter,
    /// Commands not said yet.
    pub(super) unsaid: VecDeque<Said>,
    /// Commands said, whose replies are to come in this order.
    pub(super) said: VecDeque<Said>,
    /// One for each recipient, as far as known.
    pub(super) fates: Vec<Option<Fate>>,
    /// Positive replies to RCPT.
    pub(super) accepted: usize,
    pub(super) outgoing: Outgoing,
    pub(super) offset: u64,
}

/// A command of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Mail,
    /// By place among the recipients.
    Rcpt(usize),
    Data,
}

impl Transaction {
    /// Everybody who has no fate yet gets this one.
    pub(super) fn settle_rest(&mut self, fate: &Fate) {
        for slot in self.fates.iter_mut().filter(|slot| slot.is_none()) {
            *slot = Some(fate.clone());
        }
    }
}

/// What the server said that it can do, in its reply to EHLO.
#[derive(Debug, Clone, Default)]
pub(super) struct Offer {
    pub(super) has_starttls: bool,
    pub(super) has_pipelining: bool,
    pub(super) has_8bitmime: bool,
    pub(super) has_smtputf8: bool,
    /// RFC 1870: the greatest message; 0: no limit is told.
    pub(super) size: Option<u64>,
    /// Upper case.
    pub(super) mechanisms: Vec<String>,
}

impl Offer {
    /// Reads the lines behind the first one.
    pub(super) fn read(reply: &Reply) -> Self {
        let mut offer = Self::default();
        for line in reply.lines().iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "STARTTLS" => offer.has_starttls = true,
                "PIPELINING" => offer.has_pipelining = true,
                "8BITMIME" => offer.has_8bitmime = true,
                "SMTPUTF8" => offer.has_smtputf8 = true,
                "SIZE" => offer.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0)),
                "AUTH" => offer.mechanisms = words.map(str::to_ascii_uppercase).collect(),
                _ => {}
            }
        }
        offer
    }
}
