//! `[[listener]]`: which protocols are served where.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use maitred_admin::http::Token;
use maitred_net::Network;

use super::ConfigError;
use super::keys::Keys;
use super::kind::{NETWORK, SOCKET};

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Protocol {
    /// HTTP/1.1: health, metrics, autoconfig; commands, for who has the token.
    Http,
    /// RFC 3501, with STARTTLS.
    Imap,
    /// The same with TLS from the first octet on (RFC 8314).
    Imaps,
    /// RFC 2033.
    Lmtp,
    /// RFC 1939, with STLS.
    Pop3,
    /// The same with TLS from the first octet on.
    Pop3s,
    /// RFC 5321, with STARTTLS.
    Smtp,
    /// RFC 6409, with STARTTLS.
    Submission,
    /// The same with TLS from the first octet on.
    Submissions,
}

impl Protocol {
    /// All, with the port that each has when nothing is configured.
    const ALL: [(Self, u16); 9] = [
        (Self::Smtp, 2525),
        (Self::Submission, 2587),
        (Self::Submissions, 2465),
        (Self::Lmtp, 2424),
        (Self::Imap, 2143),
        (Self::Imaps, 2993),
        (Self::Pop3, 2110),
        (Self::Pop3s, 2995),
        (Self::Http, 2080),
    ];

    /// As the configuration says it.
    pub(crate) fn name(self) -> &'static str {
        WORDS.iter().find(|(_, protocol)| *protocol == self).map_or("", |(word, _)| word)
    }

    /// TLS from the first octet on (RFC 8314).
    pub(crate) fn has_implicit_tls(self) -> bool {
        matches!(self, Self::Imaps | Self::Pop3s | Self::Submissions)
    }
}

const WORDS: [(&str, Protocol); 9] = [
    ("smtp", Protocol::Smtp),
    ("submission", Protocol::Submission),
    ("submissions", Protocol::Submissions),
    ("lmtp", Protocol::Lmtp),
    ("imap", Protocol::Imap),
    ("imaps", Protocol::Imaps),
    ("pop3", Protocol::Pop3),
    ("pop3s", Protocol::Pop3s),
    ("http", Protocol::Http),
];

/// One `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// Where; port 0: the system chooses one.
    pub(crate) bind: Vec<SocketAddr>,
    /// Peers that must begin with a PROXY header, and are believed.
    pub(crate) proxy_protocol: Vec<Network>,
    /// Networks whose clients may relay without AUTH.
    pub(crate) relay_from: Vec<Network>,
    /// Where the token of those who may give commands was read.
    pub(crate) token_file: Option<PathBuf>,
    /// What was read there; `None`: nobody may.
    pub(crate) token: Option<Token>,
}

/// Without configuration: everything, on loopback only; on IPv6 where this machine has it.
pub(super) fn defaults() -> Vec<Listener> {
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let on = |port| {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let v6 = has_v6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        std::iter::once(v4).chain(v6).collect()
    };
    let listener = |(protocol, port)| Listener { bind: on(port), ..new(protocol) };
    Protocol::ALL.into_iter().map(listener).collect()
}

fn new(protocol: Protocol) -> Listener {
    Listener {
        protocol,
        bind: Vec::new(),
        proxy_protocol: Vec::new(),
        relay_from: Vec::new(),
        token_file: None,
        token: None,
    }
}

pub(super) fn keys(keys: &mut Keys<'_>, listeners: &mut Vec<Listener>) -> Result<(), ConfigError> {
    keys.tables(
        "listener",
        listeners,
        || new(Protocol::Smtp),
        |keys, listener| {
            keys.not_yet("protocol", |value| value.as_str() != Some("managesieve"), "ManageSieve is")?;
            if !keys.word("protocol", &WORDS, &mut listener.protocol)? {
                keys.refuse_if(
                    true,
                    "protocol",
                    "is missing; expected the name of a protocol, such as \"smtp\"",
                )?;
            }
            keys.list("bind", &SOCKET, &mut listener.bind)?;
            let is_nowhere = listener.bind.is_empty();
            keys.refuse_if(
                is_nowhere,
                "bind",
                "is missing or empty; expected a list of addresses with ports",
            )?;
            keys.list("proxy_protocol", &NETWORK, &mut listener.proxy_protocol)?;
            let is_wrong = !listener.proxy_protocol.is_empty() && listener.protocol == Protocol::Http;
            keys.refuse_if(is_wrong, "proxy_protocol", "makes no sense for protocol \"http\"")?;
            keys.not_yet(
                "xclient",
                |value| value.as_array().is_some_and(|list| list.is_empty()),
                "XCLIENT is",
            )?;
            let is_printed = keys.is_printing() && listener.protocol != Protocol::Smtp;
            if !is_printed {
                keys.list("relay_from", &NETWORK, &mut listener.relay_from)?;
            }
            let is_elsewhere = !listener.relay_from.is_empty() && listener.protocol != Protocol::Smtp;
            keys.refuse_if(is_elsewhere, "relay_from", "makes sense for protocol \"smtp\" only")?;
            token_keys(keys, listener)
        },
    )
}

/// Commands travel in the clear: only from this machine, and with a secret that nobody else can read.
fn token_keys(keys: &mut Keys<'_>, listener: &mut Listener) -> Result<(), ConfigError> {
    if keys.is_printing() && listener.protocol != Protocol::Http {
        return Ok(());
    }
    keys.path("token_file", &mut listener.token_file)?;
    let Some(file) = &listener.token_file else { return Ok(()) };
    let is_elsewhere = listener.protocol != Protocol::Http;
    keys.refuse_if(is_elsewhere, "token_file", "makes sense for protocol \"http\" only")?;
    let is_open = listener.bind.iter().any(|address| !address.ip().is_loopback());
    let told = "commands are taken on loopback addresses only: put a proxy with TLS in front, or a tunnel";
    keys.refuse_if(is_open, "token_file", told)?;
    let read = token(file);
    let problem = read.as_ref().err().cloned().unwrap_or_default();
    keys.refuse_if(read.is_err(), "token_file", &problem)?;
    listener.token = read.ok();
    Ok(())
}

fn token(file: &Path) -> Result<Token, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mode = std::fs::metadata(file).map_err(|error| named(&error))?.mode();
    if mode & 0o077 != 0 {
        return Err(named(&format_args!("others may read it (mode {:03o}): chmod 600", mode & 0o777)));
    }
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    Token::parse(&text).map_err(|told| named(&told))
}

/// Two cannot share an address.
pub(super) fn check(listeners: &[Listener]) -> Result<(), (&'static str, String)> {
    let mut seen = std::collections::HashSet::new();
    for address in listeners.iter().flat_map(|listener| &listener.bind) {
        if address.port() != 0 && !seen.insert(address) {
            return Err(("listener.bind", format!("two listeners have the address {address}")));
        }
    }
    Ok(())
}
