//! Reading: sessions of POP3 and IMAP are answered from the store.

pub mod imap;
pub mod pop3;
