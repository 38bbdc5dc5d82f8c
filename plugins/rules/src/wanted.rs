//! What a text must be like: a pattern with stars, or a regular expression.

use maitred_plugin_sdk::config::Pattern;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

/// Made once, when the plugin is loaded. Compared with lowered texts: case does not matter to either.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Wanted {
    /// The whole text is like this.
    Pattern(Pattern),
    /// Some part of the text is.
    Regex(Regex),
}

/// What makes it a regular expression.
const PREFIX: &str = "regex:";

/// Octets that a compiled expression may take: it lies in the memory of each call.
const REGEX_OCTETS_MAX: usize = 512 << 10;

impl Wanted {
    /// Whether a lowered text is as wanted. Linear in the text.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

impl TryFrom<String> for Wanted {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(expression) = text.strip_prefix(PREFIX) else { return Ok(Self::Pattern(text.into())) };
        let mut builder = RegexBuilder::new(expression);
        builder.case_insensitive(true).size_limit(REGEX_OCTETS_MAX).dfa_size_limit(REGEX_OCTETS_MAX);
        builder
            .build()
            .map(Self::Regex)
            .map_err(|error| format!("the regular expression {expression:?}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::config::lowered;

    use super::*;

    fn is(wanted: &str, text: &str) -> bool {
        Wanted::try_from(wanted.to_owned()).unwrap().matches(&lowered(text.to_owned()))
    }

    #[test]
    fn a_pattern_is_about_the_whole_and_an_expression_about_a_part() {
        assert!(is("casino", "Casino") && !is("casino", "the casino") && is("*casino*", "the casino"));
        assert!(is("regex:casino", "the Casino") && !is("regex:^casino", "the casino"));
    }

    #[test]
    fn case_does_not_matter_to_an_expression() {
        for text in ["GROSSE GEWINNE", "große gewinne", "GROẞE GEWINNE"] {
            assert!(is("regex:GRO(SS|ß)E +Gewinne", text), "{text}");
        }
        assert!(is(r"regex:\bWIN \d{3,}\S", "win 1000€") && !is(r"regex:\bwin \d{3,}\S", "twin 1000€"));
    }

    #[test]
    fn an_expression_that_is_none_is_named() {
        for (wanted, told) in
            [("regex:(", "unclosed"), ("regex:(a{1000}){1000}", "size limit"), (r"regex:(a)\1", "backref")]
        {
            let error = Wanted::try_from(wanted.to_owned()).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn an_expression_takes_no_more_time_than_its_text_is_long() {
        assert!(!is("regex:(a+)+$", &format!("{}b", "a".repeat(50_000))));
    }
}
