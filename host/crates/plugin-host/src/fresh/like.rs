//! Texts that are like a pattern, as plugins write it: `*` is any text, case does not matter, and it is about the whole text.

use memchr::memmem::Finder;

/// A pattern.
#[derive(Debug, Clone)]
pub(crate) struct Like {
    /// Before the first `*`.
    first: String,
    /// Between them, made ready to be looked for.
    middle: Vec<Finder<'static>>,
    /// After the last; `None` when there is no `*`.
    last: Option<String>,
}

impl Like {
    pub(super) fn new(text: &str) -> Self {
        let text = lowered(text.to_owned());
        let Some((first, rest)) = text.split_once('*') else {
            return Self { first: text, middle: Vec::new(), last: None };
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let pieces = middle.split('*').filter(|piece| !piece.is_empty());
        Self {
            first: first.to_owned(),
            middle: pieces.map(|piece| Finder::new(piece).into_owned()).collect(),
            last: Some(last.to_owned()),
        }
    }

    /// Whether a [`lowered`] text is like this. Linear in the text.
    pub(super) fn is(&self, text: &str) -> bool {
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else { return false };
        let Some(last) = &self.last else { return rest.is_empty() };
        for piece in &self.middle {
            let found = piece.find(rest.as_bytes());
            match found.and_then(|at| rest.get(at + piece.needle().len()..)) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// What patterns are compared with.
pub(super) fn lowered(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_lowercase();
        text
    } else {
        text.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        let is = |pattern: &str, text: &str| Like::new(pattern).is(&lowered(text.to_owned()));
        for (pattern, text) in [
            ("*", ""),
            ("", ""),
            ("a*c", "abc"),
            ("A*C", "ac"),
            ("*b*", "abc"),
            ("abc", "ABC"),
            ("a**c", "abc"),
            ("*a*b*", "xxaxxbxx"),
            ("*größe*", "Die GRÖSSE und die GRÖßE"),
        ] {
            assert!(is(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a*c", "abcd"),
            ("ab", "abc"),
            ("a*a", "a"),
            ("*ab*b", "ab"),
            ("*b*a*", "ab"),
            ("*é", "e"),
        ] {
            assert!(!is(pattern, text), "{pattern} {text}");
        }
    }
}
