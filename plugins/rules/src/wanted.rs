//! What a text must be like: a pattern with stars, or a regular expression.

use maitred_plugin_sdk::config::Pattern;
use serde::Deserialize;

use crate::expression::{Expression, Room};

/// Made once, when the plugin is loaded. Compared with lowered texts: case does not matter to either.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub enum Wanted {
    /// The whole text is like this.
    Pattern(Pattern),
    /// Some part of the text is.
    Expression(Box<Expression>),
}

/// What makes it a regular expression.
const PREFIX: &str = "regex:";

impl Wanted {
    /// Whether a lowered text is as wanted. Linear in the text.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(text),
            Self::Expression(expression) => expression.is_in(text),
        }
    }

    /// Makes an expression quick, as far as there is room. To be called once all is read: what is made here takes long.
    pub fn prepare(&mut self, room: &mut Room) {
        if let Self::Expression(expression) = self {
            expression.make_table(room);
        }
    }
}

impl TryFrom<String> for Wanted {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(expression) = text.strip_prefix(PREFIX) else { return Ok(Self::Pattern(text.into())) };
        Expression::read(expression)
            .map(|read| Self::Expression(Box::new(read)))
            // What is wrong comes first: a long line is cut.
            .map_err(|error| format!("{error}: the regular expression {expression:?}"))
    }
}

#[cfg(test)]
mod tests {
    use maitred_plugin_sdk::config::lowered;

    use super::*;

    fn is(wanted: &str, text: &str) -> bool {
        let slow = Wanted::try_from(wanted.to_owned()).unwrap();
        let mut quick = Wanted::try_from(wanted.to_owned()).unwrap();
        quick.prepare(&mut Room::default());
        let text = lowered(text.to_owned());
        let is = quick.matches(&text);
        assert_eq!(slow.matches(&text), is, "{wanted}");
        is
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
            [("regex:(", "unclosed"), ("regex:(a{1000}){1000}", "too large"), (r"regex:(a)\1", "backref")]
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
