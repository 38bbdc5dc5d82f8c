//! The tokens of RFC 3501 §9.

use std::borrow::Cow;

use super::{Limits, ParseError};
use crate::command::{MailboxName, Tag};
use crate::name;
use crate::set::SequenceSet;

pub(super) type Parsed<T> = Result<T, ParseError>;

/// What is left of a command.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    pub(super) limits: &'a Limits,
    elements_left: usize,
    texts_left: usize,
}

/// `{octets}` or `{octets+}` (RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiteralHead {
    pub(super) octets: u64,
    pub(super) is_synchronizing: bool,
}

impl LiteralHead {
    /// The head that these octets are.
    fn parse(octets: &[u8]) -> Option<Self> {
        let inner = octets.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let (digits, is_synchronizing) = match inner.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (inner, true),
        };
        Some(Self { octets: decimal(digits)?, is_synchronizing })
    }

    /// The head that a line ends with.
    pub(super) fn at_end(line: &[u8]) -> Option<Self> {
        let at = memchr::memrchr(b'{', line.strip_suffix(b"}").map(|_| line)?)?;
        Self::parse(line.get(at..)?)
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8], limits: &'a Limits) -> Self {
        Self { rest, limits, elements_left: limits.elements_max, texts_left: limits.texts_max }
    }

    /// One more of what a command can have many of.
    pub(super) fn count(&mut self, what: &'static str) -> Parsed<()> {
        self.elements_left = self.elements_left.checked_sub(1).ok_or(ParseError::Limit(what))?;
        Ok(())
    }

    /// One more text that is searched for in contents.
    pub(super) fn count_text(&mut self) -> Parsed<()> {
        self.texts_left = self.texts_left.checked_sub(1).ok_or(ParseError::Limit("texts"))?;
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next octets, if there are so many.
    pub(super) fn ahead(&self, octets: usize) -> Option<&'a [u8]> {
        self.rest.get(..octets)
    }

    /// Takes these octets if they are next.
    pub(super) fn eat(&mut self, octets: &[u8]) -> bool {
        let after = self.rest.strip_prefix(octets);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    pub(super) fn expect(&mut self, octets: &[u8], what: &'static str) -> Parsed<()> {
        if self.eat(octets) { Ok(()) } else { Err(ParseError::Syntax(what)) }
    }

    /// At least one space; several are a common fault and harmless.
    pub(super) fn space(&mut self, what: &'static str) -> Parsed<()> {
        self.expect(b" ", what)?;
        self.skip_spaces();
        Ok(())
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.eat(b" ") {}
    }

    /// Nothing more; spaces are a common fault and harmless.
    pub(super) fn end(&mut self) -> Parsed<()> {
        self.skip_spaces();
        if self.rest.is_empty() { Ok(()) } else { Err(ParseError::Syntax("the end of the command")) }
    }

    pub(super) fn take_while(&mut self, is_in: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !is_in(*octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    /// RFC 3501 §9: `tag`, ASTRING-CHAR without `+`.
    pub(super) fn tag(&mut self) -> Parsed<Tag> {
        let tag = self.take_while(|octet| is_astring_char(octet) && octet.is_ascii() && octet != b'+');
        let text = std::str::from_utf8(tag).map_err(|_| ParseError::Tag)?;
        if text.is_empty() || !matches!(self.peek(), Some(b' ') | None) {
            return Err(ParseError::Tag);
        }
        Ok(Tag(text.into()))
    }

    /// The name of a command, an item or an option, in capitals.
    pub(super) fn word(&mut self) -> Vec<u8> {
        self.take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'+'))
            .to_ascii_uppercase()
    }

    pub(super) fn atom(&mut self, what: &'static str) -> Parsed<&'a str> {
        let atom = self.take_while(|octet| is_astring_char(octet) && octet.is_ascii() && octet != b']');
        match std::str::from_utf8(atom) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(ParseError::Syntax(what)),
        }
    }

    pub(super) fn number(&mut self, what: &'static str) -> Parsed<u64> {
        decimal(self.take_while(|octet| octet.is_ascii_digit())).ok_or(ParseError::Syntax(what))
    }

    pub(super) fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        let set = self.take_while(|octet| octet.is_ascii_digit() || matches!(octet, b'*' | b':' | b','));
        if set.iter().filter(|octet| **octet == b',').count() >= self.limits.set_elements_max {
            return Err(ParseError::Limit("numbers in a set"));
        }
        SequenceSet::parse(set, self.limits.set_elements_max).ok_or(ParseError::Syntax("a sequence set"))
    }

    /// An atom (`]` and what is not ASCII are allowed), a quoted string or a literal.
    pub(super) fn astring(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(what),
            _ => {
                let atom = self.take_while(is_astring_char);
                if atom.is_empty() { Err(ParseError::Syntax(what)) } else { Ok(Cow::Borrowed(atom)) }
            }
        }
    }

    /// An `astring` that is UTF-8.
    pub(super) fn text(&mut self, what: &'static str) -> Parsed<Box<str>> {
        let octets = self.astring(what)?;
        std::str::from_utf8(&octets).map(Into::into).map_err(|_| ParseError::Syntax(what))
    }

    /// A quoted string or a literal.
    pub(super) fn string(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(what),
            Some(b'{') => self.literal(what),
            _ => Err(ParseError::Syntax(what)),
        }
    }

    fn quoted(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b"\"", what)?;
        let mut text = Cow::Borrowed(self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n')));
        loop {
            match self.rest {
                [b'"', after @ ..] => {
                    self.rest = after;
                    return Ok(text);
                }
                [b'\\', octet @ (b'"' | b'\\'), after @ ..] => {
                    self.rest = after;
                    text.to_mut().push(*octet);
                    let more = self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n'));
                    text.to_mut().extend_from_slice(more);
                }
                _ => return Err(ParseError::Syntax("the end of a quoted string")),
            }
        }
    }

    fn literal(&mut self, what: &'static str) -> Parsed<Cow<'a, [u8]>> {
        let end = memchr::memchr(b'}', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (head, after) = self.rest.split_at_checked(end).ok_or(ParseError::Syntax(what))?;
        let head = LiteralHead::parse(head).ok_or(ParseError::Syntax(what))?;
        if after.is_empty() {
            return Err(ParseError::LiteralMissing);
        }
        let after = after.strip_prefix(b"\r\n").ok_or(ParseError::Syntax(what))?;
        let octets = usize::try_from(head.octets).unwrap_or(usize::MAX);
        let (content, rest) = after.split_at_checked(octets).ok_or(ParseError::LiteralMissing)?;
        self.rest = rest;
        Ok(Cow::Borrowed(content))
    }

    /// The `{octets}` that the command ends with, its content not being there.
    pub(super) fn open_literal(&mut self) -> Parsed<LiteralHead> {
        let head = LiteralHead::parse(self.rest).ok_or(ParseError::Syntax("a message literal"))?;
        self.rest = &[];
        Ok(head)
    }

    pub(super) fn mailbox(&mut self) -> Parsed<MailboxName> {
        let octets = self.astring("a mailbox name")?;
        let name = name::decode(&octets).ok_or(ParseError::Name)?;
        // RFC 3501 §5.1: INBOX in any case.
        let is_inbox = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("INBOX"));
        match name.get(5..) {
            Some(rest) if is_inbox && (rest.is_empty() || rest.starts_with('/')) => {
                Ok(format!("INBOX{rest}").into())
            }
            _ => Ok(name.into()),
        }
    }

    /// RFC 3501 §9: `list-mailbox`; what is no modified UTF-7 stays as it is, and matches nothing.
    pub(super) fn pattern(&mut self) -> Parsed<Box<str>> {
        let what = "a mailbox pattern";
        let octets = match self.peek() {
            Some(b'"' | b'{') => self.string(what)?,
            _ => {
                Cow::Borrowed(self.take_while(|octet| is_astring_char(octet) || matches!(octet, b'%' | b'*')))
            }
        };
        let text = name::decode(&octets).unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned());
        Ok(text.into())
    }

    /// `(element element …)`, perhaps empty. `element` parses one.
    pub(super) fn list(
        &mut self,
        what: &'static str,
        mut element: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<()> {
        self.expect(b"(", what)?;
        self.skip_spaces();
        while !self.eat(b")") {
            self.count(what)?;
            element(self)?;
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return Err(ParseError::Syntax(what));
            }
            self.skip_spaces();
        }
        Ok(())
    }
}

/// RFC 3501 §9: ATOM-CHAR and `]`; octets outside of ASCII are let through.
pub(crate) fn is_astring_char(octet: u8) -> bool {
    octet > b' ' && octet != 0x7f && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// Digits alone; `None` when they do not fit.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}
