//! Answers that hold for a while.

/// What an answer was made of. These always count: the hook, the listener, the direction, the account that logged in, and whether the client
/// may relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The client's address.
    RemoteIp,
    /// The client's network: so many bits of an IPv4 address, so many of an IPv6 address.
    RemoteNetwork(u8, u8),
    /// What the client said in HELO, EHLO or LHLO.
    Helo,
    /// TLS: version, cipher, the name that the client asked for.
    Tls,
    /// The reverse-path.
    Sender,
    /// Its domain.
    SenderDomain,
    /// At `on_rcpt` the recipient, at `on_headers` and `on_message` all of them.
    Recipients,
    /// The fields of that name (any case), at `on_headers` and `on_message`.
    Header(String),
    /// Whether the reverse-path is like this pattern, as [`crate::config::Pattern`] has them.
    SenderLike(String),
    /// Whether any of the recipients is.
    RecipientLike(String),
    /// Whether any field of that name is, decoded.
    HeaderLike(String, String),
    /// Whether a Subject field or a text part is, at `on_message`. Of a message with more than 64 KiB or 20 parts of text no answer is kept.
    ContentLike(String),
    /// Whether the name of a file in it is, at `on_message`.
    FileLike(String),
    /// Whether it has more octets than this, at `on_message`.
    Larger(u64),
}

/// For how long an answer holds, and for whom: everybody who is the same in these facts gets it without a call. What is left out of them, the
/// answer must not depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// At most 3,600.
    pub seconds: u32,
    /// At most 64.
    pub made_of: Vec<Fact>,
}

/// This call's answer holds by the nth (from 0) of the terms that [`crate::Plugin::freshness`] tells. Of use at `on_connect`, `on_helo`,
/// `on_mail`, `on_rcpt`, `on_headers` and `on_message`. Only the answer is given again, not what the call did besides: notes, tables, numbers.
pub fn hold(term: u32) {
    #[cfg(target_family = "wasm")]
    crate::guest::hold(term);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::world(|world| world.held = Some(term));
}
