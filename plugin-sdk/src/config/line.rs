//! What a peer or a log is told: one printable line.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

/// One printable line that is not empty, at most [`LINE_OCTETS_MAX`] long. A text that is not would be a fault in each call
/// that says it, so it is refused when the plugin is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Line(String);

/// What the host takes of a text.
pub const LINE_OCTETS_MAX: usize = 400;

impl TryFrom<String> for Line {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_line = (1..=LINE_OCTETS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_line {
            Ok(Self(text))
        } else {
            let shown: String = text.chars().take(40).collect();
            Err(format!("{shown:?} is not one printable line of 1 to {LINE_OCTETS_MAX} octets"))
        }
    }
}

impl From<&'static str> for Line {
    /// For defaults: the text is as it stands in the program.
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

impl Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_and_can_be_printed() {
        for text in ["Try later", "später", &"x".repeat(400)] {
            assert!(Line::try_from(text.to_owned()).is_ok(), "{text}");
        }
        for text in ["", "a\r\nb", "a\tb", "a\u{7f}", &"x".repeat(401)] {
            assert!(Line::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
