//! The host's name, which nobody asks for.
//!
//! `mail-auth` brings a builder of messages that would put it into a Message-ID; maitred writes its messages itself. The crate of that
//! name switches on a part of `rustix` that wasmtime, which uses it too, does without: it would be compiled twice, with and without.

/// `localhost`.
pub fn gethostname() -> std::ffi::OsString {
    "localhost".into()
}
