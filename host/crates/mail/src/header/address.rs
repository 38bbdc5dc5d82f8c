//! Address lists for IMAP's ENVELOPE: RFC 5322 §3.4 with the obsolete syntax of §4.4, and whatever else arrives.
//!
//! These are words of a letter, not addresses that mail goes to: nothing is refused, and [`crate::Address`] is
//! another thing.

use memchr::memchr2;

use super::date::behind_comment;
use super::unfold;

/// One element of ENVELOPE's address lists (RFC 3501 §7.4.2), as raw octets without CR, LF and NUL.
///
/// A group begins with an element that has a mailbox (its name) and no host, and ends with one that has neither.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListedAddress {
    /// Display name, quotes undone, encoded words as they are.
    pub name: Option<Vec<u8>>,
    /// The obsolete source route, such as `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// The local-part, quotes undone; or the name of the group that begins.
    pub mailbox: Option<Vec<u8>>,
    /// The domain; empty when it is missing.
    pub host: Option<Vec<u8>>,
}

impl ListedAddress {
    /// True when a group begins here.
    pub fn is_group_start(&self) -> bool {
        self.host.is_none() && self.mailbox.is_some()
    }

    /// True when a group ends here.
    pub fn is_group_end(&self) -> bool {
        self.host.is_none() && self.mailbox.is_none()
    }
}

/// Reads an address list from a field's raw value; elements beyond `elements_max` are not listed.
pub fn parse_list(value: &[u8], elements_max: usize) -> Vec<ListedAddress> {
    let value = unfold(value);
    let mut parser = Parser { rest: &value, comment: &[] };
    let mut list = Vec::new();
    let mut is_in_group = false;
    // One place is kept for the end of the last group.
    while list.len() + 2 <= elements_max {
        let (phrase, stop) = parser.phrase();
        match stop {
            Some(b'<') => list.push(parser.angle(&phrase)),
            Some(b'@') => list.push(parser.bare(&phrase)),
            // A colon in a group is a mistake for a comma.
            Some(b':') if !is_in_group => {
                is_in_group = true;
                list.push(ListedAddress { mailbox: Some(phrase.text), ..Default::default() });
            }
            _ => {
                if !phrase.text.is_empty() {
                    list.push(address(&phrase.joined, b""));
                }
                if stop == Some(b';') && is_in_group {
                    is_in_group = false;
                    list.push(ListedAddress::default());
                }
            }
        }
        if stop.is_none() {
            break;
        }
    }
    if is_in_group {
        list.push(ListedAddress::default());
    }
    list
}

fn address(mailbox: &[u8], host: &[u8]) -> ListedAddress {
    ListedAddress { mailbox: Some(mailbox.to_vec()), host: Some(host.to_vec()), ..Default::default() }
}

/// Words in a row, read in both ways they can be meant.
#[derive(Default)]
struct Phrase {
    /// As a display name: one space where there was white space.
    text: Vec<u8>,
    /// As a local-part: none.
    joined: Vec<u8>,
}

struct Parser<'a> {
    rest: &'a [u8],
    /// The content of the last comment seen.
    comment: &'a [u8],
}

impl<'a> Parser<'a> {
    /// Words up to a character that no word contains, which is taken too.
    fn phrase(&mut self) -> (Phrase, Option<u8>) {
        let mut phrase = Phrase::default();
        loop {
            let is_apart = self.skip_blanks();
            let Some((first, after)) = self.rest.split_first() else { return (phrase, None) };
            if matches!(first, b'<' | b'@' | b':' | b',' | b';') {
                self.rest = after;
                return (phrase, Some(*first));
            }
            if is_apart && !phrase.text.is_empty() {
                phrase.text.push(b' ');
            }
            let from = phrase.joined.len();
            self.word(&mut phrase.joined);
            phrase.text.extend_from_slice(phrase.joined.get(from..).unwrap_or_default());
        }
    }

    /// `route local-part@domain>`; the `<` is taken.
    fn angle(&mut self, name: &Phrase) -> ListedAddress {
        let mut route = Vec::new();
        self.skip_blanks();
        // RFC 5322 §4.4: obs-route.
        while let Some(rest) = self.rest.strip_prefix(b"@") {
            self.rest = rest;
            route.extend_from_slice(if route.is_empty() { b"@" } else { b",@" });
            let domain = self.domain();
            route.extend_from_slice(&domain);
            while matches!(self.rest.first(), Some(b',')) {
                self.rest = self.rest.get(1..).unwrap_or_default();
                self.skip_blanks();
            }
        }
        self.rest = self.rest.strip_prefix(b":").unwrap_or(self.rest);
        let mut mailbox = Vec::new();
        let mut host = Vec::new();
        loop {
            self.skip_blanks();
            match self.rest.first() {
                None => break,
                Some(b'>') => {
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    break;
                }
                Some(b'@') => {
                    self.rest = self.rest.get(1..).unwrap_or_default();
                    host = self.domain();
                }
                Some(_) if host.is_empty() => self.word(&mut mailbox),
                Some(_) => self.word(&mut host),
            }
        }
        self.skip_to_separator();
        let name = Some(name.text.clone()).filter(|name| !name.is_empty());
        let route = Some(route).filter(|route| !route.is_empty());
        ListedAddress { name, route, mailbox: Some(mailbox), host: Some(host) }
    }

    /// `@domain (Name)`; local-part and `@` are taken. The comment is how names were written before RFC 822.
    fn bare(&mut self, mailbox: &Phrase) -> ListedAddress {
        self.comment = &[];
        let host = self.domain();
        self.skip_to_separator();
        let comment = self.comment.trim_ascii();
        let name = Some(comment.to_vec()).filter(|name| !name.is_empty());
        ListedAddress { name, ..address(&mailbox.joined, &host) }
    }

    /// Atoms and dots without what stands between them, or a domain literal.
    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        loop {
            let is_apart = self.skip_blanks();
            let is_joined = domain.ends_with(b".") || self.rest.starts_with(b".");
            match self.rest.first() {
                None | Some(b'<' | b'>' | b'@' | b':' | b',' | b';') => return domain,
                Some(_) if is_apart && !domain.is_empty() && !is_joined => return domain,
                Some(_) => self.word(&mut domain),
            }
        }
    }

    /// The separator of this element is next, or the end.
    fn skip_to_separator(&mut self) {
        loop {
            self.skip_blanks();
            match self.rest.first() {
                None | Some(b',' | b';') => return,
                Some(b'<' | b'>' | b'@' | b':') => self.rest = self.rest.get(1..).unwrap_or_default(),
                Some(_) => self.word(&mut Vec::new()),
            }
        }
    }

    /// An atom, a quoted string (RFC 5322 §3.2.4) or a domain literal, to the end of `out`. Takes at least one octet.
    fn word(&mut self, out: &mut Vec<u8>) {
        match self.rest.split_first() {
            Some((b'"', after)) => {
                self.rest = after;
                self.quoted(out);
            }
            Some((b'[', _)) => {
                let end = memchr2(b']', b'>', self.rest).unwrap_or(self.rest.len());
                let end = if self.rest.get(end) == Some(&b']') { end + 1 } else { end };
                self.take(end, out);
            }
            Some((_, after)) => {
                let ends = |octet: &u8| {
                    octet.is_ascii_whitespace()
                        || matches!(octet, b'<' | b'>' | b'@' | b':' | b',' | b';' | b'(' | b'"')
                };
                let end = after.iter().position(ends).unwrap_or(after.len()) + 1;
                self.take(end, out);
            }
            None => {}
        }
    }

    fn quoted(&mut self, out: &mut Vec<u8>) {
        while let Some(at) = memchr2(b'"', b'\\', self.rest) {
            let is_end = self.rest.get(at) == Some(&b'"');
            self.take(at, out);
            self.rest = self.rest.get(1..).unwrap_or_default();
            if is_end {
                return;
            }
            self.take(1.min(self.rest.len()), out);
        }
        self.take(self.rest.len(), out);
    }

    fn take(&mut self, octets: usize, out: &mut Vec<u8>) {
        let (word, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, &[]));
        out.extend_from_slice(word);
        self.rest = rest;
    }

    /// White space and comments (RFC 5322 §3.2.2); true when there were some.
    fn skip_blanks(&mut self) -> bool {
        let before = self.rest.len();
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.first() != Some(&b'(') {
                return self.rest.len() < before;
            }
            let after = behind_comment(self.rest);
            let comment = self.rest.get(1..self.rest.len() - after.len()).unwrap_or_default();
            self.comment = comment.strip_suffix(b")").unwrap_or(comment);
            self.rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Vec<String> {
        let text = |octets: &Option<Vec<u8>>| {
            octets.as_ref().map_or("-".into(), |o| String::from_utf8_lossy(o).into_owned())
        };
        let list = parse_list(value.as_bytes(), 100);
        list.iter().map(|a| [&a.name, &a.route, &a.mailbox, &a.host].map(text).join("|")).collect()
    }

    #[test]
    fn lists_are_read_as_imap_shows_them() {
        for (value, expected) in [
            ("a@b.c", &["-|-|a|b.c"][..]),
            ("John  Q. Public <john@b.c>,\r\n <x@y>", &["John Q. Public|-|john|b.c", "-|-|x|y"]),
            ("\"Doe, \\\"J\\\"\" <j@d>, j.d@e (Jay D)", &["Doe, \"J\"|-|j|d", "Jay D|-|j.d|e"]),
            ("=?utf-8?q?=C3=A9?= x <a@[1.2.3.4]>", &["=?utf-8?q?=C3=A9?= x|-|a|[1.2.3.4]"]),
            ("G: a@b, C <c@d>; e@f", &["-|-|G|-", "-|-|a|b", "C|-|c|d", "-|-|-|-", "-|-|e|f"]),
            ("undisclosed-recipients:;", &["-|-|undisclosed-recipients|-", "-|-|-|-"]),
            ("X <@a.b, @c.d:e@f>", &["X|@a.b,@c.d|e|f"]),
            ("\"a b\"@c . d (x(y)), , e", &["x(y)|-|a b|c.d", "-|-|e|"]),
            ("a . b @ c (n) . d, g: h@i", &["n|-|a.b|c.d", "-|-|g|-", "-|-|h|i", "-|-|-|-"]),
            ("<>, <a", &["-|-||", "-|-|a|"]),
            ("", &[]),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn a_flood_of_addresses_is_cut() {
        assert_eq!(parse_list("a,".repeat(10_000).as_bytes(), 1000).len(), 999);
        assert_eq!(parse_list("g:a;".repeat(10_000).as_bytes(), 1000).len(), 999);
        assert_eq!(parse_list(b"g:a", 2).len(), 2);
        assert_eq!(parse_list("(".repeat(100_000).as_bytes(), 1000).len(), 0);
    }
}
