//! Addresses and paths: RFC 5321 §4.1.2 and §4.1.3, RFC 6531 §3.3, RFC 5890 (A-labels).
//!
//! Local parts are opaque octets to us: compared without case for local delivery, printed as they came, never
//! expanded, never handed to anything that interprets them.

use std::fmt;
use std::net::IpAddr;

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The local part is empty, too long, or has a character that is not allowed where it stands.
    #[error("bad local part")]
    LocalPart,
    /// The domain is empty, too long, or no domain name and no address literal.
    #[error("bad domain")]
    Domain,
    /// No `@`, no closing `>`, or something behind the end.
    #[error("bad path syntax")]
    Syntax,
}

/// A domain: lower-case A-labels, or an address literal such as `[192.0.2.1]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Box<str>);

impl Domain {
    /// Reads a domain name (U-labels become A-labels) or an address literal.
    ///
    /// # Errors
    /// [`AddressError::Domain`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return literal(inner).map(|ip| Self(literal_text(ip).into_boxed_str()));
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| AddressError::Domain)?
        };
        // RFC 5321 §4.5.3.1.2: 255 octets; RFC 1035 §2.3.4: 63 octets a label.
        let legal = !ascii.is_empty() && ascii.len() <= 255 && ascii.split('.').all(is_label);
        if legal { Ok(Self(ascii.into_boxed_str())) } else { Err(AddressError::Domain) }
    }

    /// The domain as A-labels or as a literal with brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of an address literal.
    pub fn as_literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        literal(inner).ok()
    }
}

fn is_label(label: &str) -> bool {
    // Underscores are not host names, but they are in use as mail domains of test systems and do no harm.
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// RFC 5321 §4.1.3: `[192.0.2.1]` and `[IPv6:2001:db8::1]`.
fn literal(inner: &str) -> Result<IpAddr, AddressError> {
    let v6 = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("ipv6:"));
    match v6 {
        Some(_) => inner.get(5..).unwrap_or_default().parse().map(IpAddr::V6),
        None => inner.parse().map(IpAddr::V4),
    }
    .map_err(|_| AddressError::Domain)
}

fn literal_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// The part before the `@`, without quotes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// Reads a local part in wire form: a dot-string or a quoted string.
    ///
    /// # Errors
    /// [`AddressError::LocalPart`].
    pub fn parse(wire: &str) -> Result<Self, AddressError> {
        let plain = match wire.strip_prefix('"') {
            Some(rest) => unquote(rest.strip_suffix('"').ok_or(AddressError::LocalPart)?)?,
            None if is_dot_string(wire) => wire.to_owned(),
            None => return Err(AddressError::LocalPart),
        };
        // RFC 5321 §4.5.3.1.1: 64 octets.
        if plain.is_empty() || plain.len() > 64 {
            Err(AddressError::LocalPart)
        } else {
            Ok(Self(plain.into()))
        }
    }

    /// The text without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPart {
    /// Wire form: quoted only where it must be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    }
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3 and, for UTF-8, RFC 6532 §3.2.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// RFC 5321 §4.1.2 QcontentSMTP: printable US-ASCII and UTF-8, no control octets.
fn unquote(inner: &str) -> Result<String, AddressError> {
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().ok_or(AddressError::LocalPart)?,
            '"' => return Err(AddressError::LocalPart),
            other => other,
        };
        if c.is_control() {
            return Err(AddressError::LocalPart);
        }
        plain.push(c);
    }
    Ok(plain)
}

/// local-part@domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local_part: LocalPart,
    domain: Domain,
}

impl Address {
    /// Reads `local-part@domain` (RFC 5321 §4.1.2 Mailbox).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // The last @ ends the local part: a quoted local part may hold others.
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Syntax)?;
        Ok(Self { local_part: LocalPart::parse(local)?, domain: Domain::parse(domain)? })
    }

    /// Puts an address together.
    pub fn new(local_part: LocalPart, domain: Domain) -> Self {
        Self { local_part, domain }
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &LocalPart {
        &self.local_part
    }

    /// The part behind the `@`.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The same address with its local part in lower case: how local accounts and aliases are looked up.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { local_part: LocalPart(self.local_part.0.to_lowercase().into()), domain: self.domain.clone() }
    }

    /// True when SMTPUTF8 is needed to transport it (RFC 6531 §3.2).
    pub fn is_internationalized(&self) -> bool {
        !self.local_part.0.is_ascii()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

/// The argument of MAIL FROM: an address, or `<>` for notifications (RFC 5321 §4.5.5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ReversePath {
    /// `<>`: nobody is told when this message fails.
    Null,
    /// Where failures are reported.
    Address(Address),
}

impl ReversePath {
    /// The address, unless it is `<>`.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// With angle brackets, as on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// The argument of RCPT TO (RFC 5321 §4.1.1.3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, which each server must accept.
    Postmaster,
    /// An address.
    Address(Address),
}

impl fmt::Display for ForwardPath {
    /// With angle brackets, as on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// Reads a path at the start of `text`, with its angle brackets; answers it and what follows the `>`.
///
/// A source route (`@a,@b:`) is accepted and ignored (RFC 5321 §3.6.1, appendix C).
///
/// # Errors
/// [`AddressError::Syntax`] for a path that is not closed, else what is wrong with the address.
pub fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    let inner = text.strip_prefix('<').ok_or(AddressError::Syntax)?;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => {
                let (path, rest) = inner.split_at_checked(at).ok_or(AddressError::Syntax)?;
                return Ok((without_source_route(path), rest.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(AddressError::Syntax)
}

fn without_source_route(path: &str) -> &str {
    if path.starts_with('@') { path.split_once(':').map_or(path, |(_, address)| address) } else { path }
}

macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}
debug_as_display!(Address, Domain, LocalPart);

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                $name::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Address, Domain);

impl serde::Serialize for ReversePath {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_str(""),
            Self::Address(address) => to.collect_str(address),
        }
    }
}

impl<'de> serde::Deserialize<'de> for ReversePath {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        if text.is_empty() {
            return Ok(Self::Null);
        }
        Address::parse(&text).map(Self::Address).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse() {
        for text in [
            "a@example.org",
            "\"a b\"@example.org",
            "\"@\\\\\\\"\"@x.test",
            "u+tag@[192.0.2.1]",
            "u@[IPv6:2001:db8::1]",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn needless_quotes_go_away() {
        assert_eq!(Address::parse("\"a\"@x.test").unwrap(), Address::parse("a@x.test").unwrap());
    }

    #[test]
    fn u_labels_become_a_labels() {
        assert_eq!(Domain::parse("BÜCHER.example").unwrap().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn illegal_addresses_are_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a..b@c",
            ".a@c",
            "a b@c",
            "a@b..c",
            "a@-b",
            "a@[1.2.3]",
            "\"a@b",
            "a\u{1}@b",
            "\"\u{7}\"@b",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_path_ends_at_the_first_unquoted_bracket() {
        assert_eq!(split_path("<a@b> SIZE=1").unwrap(), ("a@b", " SIZE=1"));
        assert_eq!(split_path("<\"x>y\"@b>").unwrap(), ("\"x>y\"@b", ""));
        assert_eq!(split_path("<@r,@s:a@b>").unwrap(), ("a@b", ""));
        assert!(split_path("a@b").is_err());
        assert!(split_path("<a@b").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_parses_prints_the_same_address(text in "\\PC{0,40}") {
            if let Ok(address) = Address::parse(&text) {
                proptest::prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
            }
            let _ = split_path(&text); // only that it does not panic
        }
    }
}
