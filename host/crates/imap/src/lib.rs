//! IMAP4rev1 (RFC 3501), server side: no I/O.
#![deny(clippy::indexing_slicing)]

pub mod view;
