//! One transaction: MAIL, RCPT, DATA, the message, and what became of it for each recipient.
//!
//! RFC 5321 §3.3, RFC 2920 §3.1: with PIPELINING, MAIL, all RCPT and DATA are said at once.

use bytes::Bytes;
use maitred_mail::{Class, EnhancedStatus, ForwardPath, MailParameters};
use maitred_wire::Ticket;

use super::{Event, Failure, Fate, Letter, Session};
use crate::client::content::Outgoing;
use crate::client::state::{Said, State, Transaction};
use crate::command::Command;
use crate::reply::Reply;

impl Session {
    /// Hands over a message. Recipients beyond the limit of a transaction get [`Fate::NotTried`].
    pub fn begin(&mut self, ticket: &Ticket, letter: Letter) {
        if !matches!(self.state, State::Ready(number) if number == ticket.number()) {
            return;
        }
        let count = letter.recipients.len();
        let tried = count.min(self.config.limits.recipients_max);
        let mut fates = vec![None; count];
        fates.iter_mut().skip(tried).for_each(|slot| *slot = Some(Fate::NotTried));
        let unsaid = [Said::Mail].into_iter().chain((0..tried).map(Said::Rcpt)).chain([Said::Data]).collect();
        let mut transaction = Transaction {
            letter,
            unsaid,
            said: std::collections::VecDeque::new(),
            fates,
            accepted: 0,
            outgoing: Outgoing::default(),
            offset: 0,
        };
        if let Some(failure) = self.unfit(&transaction.letter) {
            self.settle(transaction, &Fate::Unfit(failure));
            return self.ready();
        }
        self.say_next(&mut transaction);
        self.state = State::Envelope(Box::new(transaction));
    }

    /// The next piece of the message; an empty one is its end.
    pub fn content(&mut self, ticket: &Ticket, octets: &Bytes) {
        let State::Content(mut transaction, number) = self.take_state() else { return };
        if number != ticket.number() {
            self.state = State::Content(transaction, number);
            return;
        }
        if octets.is_empty() {
            transaction.outgoing.end(&mut self.out);
            self.deadline = None;
            self.state = State::EndOfData(transaction);
            return;
        }
        transaction.outgoing.push(octets, &mut self.out);
        transaction.offset += octets.len() as u64;
        self.ask_for_content(transaction);
    }

    /// The message cannot be read: the connection is closed without its end, so that the server has nothing of it.
    pub fn abort(&mut self, ticket: &Ticket) {
        if matches!(&self.state, State::Content(_, number) if *number == ticket.number()) {
            self.fail(Failure::new(EnhancedStatus::TRY_LATER, "the message cannot be read now"), false);
        }
    }

    /// A reply to one of the commands that were said, or to the end of data.
    pub(super) fn hear_in_transaction(&mut self, reply: Reply) {
        match self.take_state() {
            State::Envelope(mut transaction) => match transaction.said.pop_front() {
                Some(said) => self.hear_of(transaction, said, reply),
                None => {
                    self.state = State::Envelope(transaction);
                    self.fail(Failure::protocol("a reply without a command"), false);
                }
            },
            State::EndOfData(transaction) => {
                let fate = if reply.is_positive() { Fate::Accepted(reply) } else { Fate::Refused(reply) };
                self.settle(*transaction, &fate);
                self.ready();
            }
            other => self.state = other,
        }
    }

    fn hear_of(&mut self, mut transaction: Box<Transaction>, said: Said, reply: Reply) {
        match said {
            Said::Mail if reply.is_positive() => {}
            Said::Mail => {
                transaction.settle_rest(&Fate::Refused(reply));
                transaction.unsaid.clear();
            }
            Said::Rcpt(_) if reply.is_positive() => transaction.accepted += 1,
            Said::Rcpt(place) => {
                let is_full = reply.is_too_many_recipients() && transaction.accepted > 0;
                // RFC 5321 §4.5.3.1.10: enough for this transaction, and no refusal.
                let fate = if is_full { Fate::NotTried } else { Fate::Refused(reply) };
                if let Some(slot @ None) = transaction.fates.get_mut(place) {
                    *slot = Some(fate);
                }
            }
            Said::Data => return self.hear_of_data(transaction, reply),
        }
        if transaction.said.is_empty() {
            // One at a time: nothing follows a MAIL that was refused, nor recipients of whom none was taken.
            let is_hopeless = transaction.unsaid.front() == Some(&Said::Data) && transaction.accepted == 0;
            if transaction.unsaid.is_empty() || is_hopeless {
                return self.end_without_message(*transaction);
            }
            self.say_next(&mut transaction);
        }
        self.state = State::Envelope(transaction);
    }

    fn hear_of_data(&mut self, mut transaction: Box<Transaction>, reply: Reply) {
        if reply.is_positive() {
            self.state = State::Envelope(transaction);
            return self.fail(Failure::protocol("DATA was answered with success"), false);
        }
        if !reply.is_intermediate() {
            transaction.settle_rest(&Fate::Refused(reply));
            return self.end_without_message(*transaction);
        }
        if transaction.accepted > 0 && transaction.fates.iter().all(Option::is_some) {
            // MAIL was refused and yet somebody would get it: an end mark would hand over an empty message.
            self.state = State::Envelope(transaction);
            return self.fail(Failure::protocol("recipients are taken without a reverse-path"), false);
        }
        if transaction.accepted == 0 {
            // RFC 2920 §3.1: the server waits for a message though nobody gets it; it gets none.
            transaction.outgoing.end(&mut self.out);
            self.deadline = None;
            self.state = State::EndOfData(transaction);
            return;
        }
        self.ask_for_content(transaction);
    }

    fn ask_for_content(&mut self, transaction: Box<Transaction>) {
        let (offset, octets_max) = (transaction.offset, self.config.limits.chunk_octets_max);
        let number = self.ask(|ticket| Event::Content { ticket, offset, octets_max });
        self.deadline = None;
        self.state = State::Content(transaction, number);
    }

    /// Everything was refused before a message was sent: the server forgets the transaction.
    fn end_without_message(&mut self, transaction: Transaction) {
        let rest = Fate::Lost(Failure::protocol("the transaction ended early"));
        self.settle(transaction, &rest);
        self.say(&Command::Rset);
        self.state = State::Resetting;
    }

    /// Tells everybody's fate; `rest` for those who have none yet.
    pub(super) fn settle(&mut self, mut transaction: Transaction, rest: &Fate) {
        transaction.settle_rest(rest);
        self.events.push_back(Event::Settled(transaction.fates.into_iter().flatten().collect()));
    }

    /// Says the next command, or with PIPELINING all that are left.
    fn say_next(&mut self, transaction: &mut Transaction) {
        while let Some(said) = transaction.unsaid.pop_front() {
            let command = match said {
                Said::Mail => Command::Mail {
                    reverse_path: transaction.letter.reverse_path.clone(),
                    parameters: self.parameters(&transaction.letter),
                },
                Said::Rcpt(place) => match transaction.letter.recipients.get(place) {
                    Some(address) => Command::Rcpt(ForwardPath::Address(address.clone())),
                    None => continue,
                },
                Said::Data => Command::Data,
            };
            self.say(&command);
            transaction.said.push_back(said);
            if !self.offer.has_pipelining {
                break;
            }
        }
    }

    /// What of its parameters this server understands. 8-bit text goes to a server without 8BITMIME as it is: RFC 6152 would
    /// have it encoded anew, which breaks signatures, and servers that are not 8-bit clean are long gone.
    fn parameters(&self, letter: &Letter) -> MailParameters {
        MailParameters {
            size: self.offer.size.map(|_| letter.octets),
            body: if self.offer.has_8bitmime { letter.parameters.body } else { Default::default() },
            is_smtputf8: self.offer.has_smtputf8 && letter.needs_smtputf8(),
        }
    }

    /// Why this server cannot take such a letter.
    fn unfit(&self, letter: &Letter) -> Option<Failure> {
        if letter.needs_smtputf8() && !self.offer.has_smtputf8 {
            // RFC 6531 §3.2, RFC 5248: 5.6.7 non-ASCII addresses not permitted.
            let status = EnhancedStatus::new(Class::Permanent, 6, 7);
            return Some(Failure::new(status, "the server does not take internationalized mail"));
        }
        match self.offer.size {
            // RFC 1870 §6.3
            Some(size @ 1..) if letter.octets > size => Some(Failure::new(
                EnhancedStatus::TOO_BIG,
                &format!("the server takes {size} octets, the message has {}", letter.octets),
            )),
            _ => None,
        }
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closing)
    }
}

impl Transaction {
    /// The next reply is the one to DATA.
    pub(in crate::client) fn awaits_data(&self) -> bool {
        self.said.front() == Some(&Said::Data)
    }
}

impl Letter {
    fn needs_smtputf8(&self) -> bool {
        let is_international =
            self.recipients.iter().chain(self.reverse_path.address()).any(|it| it.is_internationalized());
        is_international || self.parameters.is_smtputf8
    }
}
