//! Reading: sessions of POP3 and IMAP are answered from the store.

pub mod pop3;
