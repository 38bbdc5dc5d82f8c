//! Texts as operators write them in a rule: `*` is any text, case does not matter.

use std::fmt;

use serde::Deserialize;

/// A pattern, made once when the plugin is loaded: `*@a.test`, `*casino*`. It is about the whole text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Pattern {
    /// Before the first `*`.
    first: String,
    /// Between them.
    middle: Vec<String>,
    /// After the last; `None` when there is no `*`.
    last: Option<String>,
}

/// Several patterns, any of which may match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Patterns(Vec<Pattern>);

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        let text = lowered(text);
        let mut pieces = text.split('*').map(str::to_owned);
        let first = pieces.next().unwrap_or_default();
        let mut middle: Vec<String> = pieces.collect();
        let last = middle.pop();
        Self { first, middle, last }
    }
}

impl fmt::Display for Pattern {
    /// In lower case; it reads as the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        for piece in self.middle.iter().chain(&self.last) {
            write!(f, "*{piece}")?;
        }
        Ok(())
    }
}

impl Pattern {
    /// Whether the whole of a [`lowered`] text is like this. Linear in the text.
    pub fn matches(&self, text: &str) -> bool {
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else { return false };
        let Some(last) = &self.last else { return rest.is_empty() };
        for piece in &self.middle {
            match from_trace(rest, piece).and_then(|rest| rest.split_once(piece.as_str())) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

impl Patterns {
    /// Whether the whole of a [`lowered`] text is like any of them.
    pub fn match_any(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> FromIterator<T> for Patterns {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(texts.into_iter().map(|text| Pattern::from(text.into())).collect())
    }
}

/// A text from where a piece may be for the first time, by its first and last octet. Most texts have no such place, and this is many
/// times as quick as the search itself, which begins there.
fn from_trace<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    let (Some(first), Some(last)) = (piece.bytes().next(), piece.bytes().last()) else { return Some(text) };
    let ends = text.as_bytes().get(piece.len() - 1..)?;
    let begins = text.as_bytes().get(..ends.len())?;
    let is_trace = |(begin, end): (&u8, &u8)| (*begin == first) & (*end == last);
    // Without a branch in it, a run of octets is compared at once.
    let has_trace = |(begins, ends): (&[u8], &[u8])| {
        begins.iter().zip(ends).fold(false, |found, pair| found | is_trace(pair))
    };
    let before = RUN * begins.chunks(RUN).zip(ends.chunks(RUN)).position(has_trace)?;
    let within = begins.iter().zip(ends).skip(before).position(is_trace)?;
    text.get(before + within..)
}

/// Octets that are compared at once.
const RUN: usize = 64;

/// What patterns are compared with.
pub fn lowered(mut text: String) -> String {
    // Most text is ASCII, and bodies are long.
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
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abc", true),
            ("A*C", "ac", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("abc", "ABC", true),
            ("ab", "abc", false),
            ("a*a", "a", false),
            ("a**c", "abc", true),
            ("*.example", "mx.example", true),
            ("*größe*", "Die GRÖSSE und die GRÖßE", true),
        ] {
            let is = Pattern::from(pattern.to_owned()).matches(&lowered(text.to_owned()));
            assert_eq!(is, is_match, "{pattern} {text}");
            assert_eq!(Pattern::from(pattern.to_owned()).to_string(), lowered(pattern.to_owned()));
        }
    }

    #[test]
    fn a_piece_is_found_wherever_it_is() {
        for piece in ["x", "ab", "xyz", "größe"] {
            let pattern = Pattern::from(format!("*{piece}*"));
            for before in 0..150 {
                // What looks like it is passed over.
                let text = format!("{}xaz{}", "é".repeat(before / 2), "-".repeat(before));
                assert_eq!(pattern.matches(&text), piece == "x", "{piece} in {text}");
                assert!(pattern.matches(&format!("{text}{piece}")), "{piece} behind {text}");
                assert!(pattern.matches(&format!("{text}{piece}é")), "{piece} in {text}");
            }
        }
    }

    #[test]
    fn any_pattern_of_several_will_do() {
        let patterns: Patterns = ["a.test", "*.b.test"].into_iter().collect();
        assert!(patterns.match_any("a.test") && patterns.match_any("mx.b.test"));
        assert!(!patterns.match_any("b.test") && !Patterns::default().match_any(""));
    }
}
