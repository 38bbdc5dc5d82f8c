//! Where a session stands. Each variant holds exactly what is legal then.

use maitred_wire::sasl::Sasl;

use super::data::DataReader;

/// Where a session stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was said.
    Connecting,
    /// Greeted; EHLO, HELO or LHLO comes first.
    Greeted,
    /// Turned away by the greeting: only QUIT is left (RFC 5321 §3.1).
    TurnedAway,
    /// Hello was said; no transaction.
    Ready,
    /// MAIL was accepted.
    Transaction(Transaction),
    /// DATA was accepted.
    Data(Transaction, Box<DataReader>),
    /// Between the lines of AUTH.
    Authenticating(Sasl),
    /// A question is open; what it was about says how its answer goes on.
    Asked(u64, Question),
    /// 220 was said to STARTTLS.
    StartingTls,
    /// The last word is said.
    Closing,
}

/// A mail transaction.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Accepted recipients.
    pub(super) recipients: usize,
    /// Some RCPT was refused.
    pub(super) has_refused: bool,
    /// MAIL had SMTPUTF8.
    pub(super) is_smtputf8: bool,
}

/// What an open question is about.
#[derive(Debug)]
pub(super) enum Question {
    Connect,
    Hello { is_extended: bool },
    Authenticate,
    Mail { is_smtputf8: bool },
    Rcpt(Transaction),
    Data(Transaction),
    EndOfData(Transaction),
}
