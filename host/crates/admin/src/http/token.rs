//! What shows that a request comes from the operator: a secret that both know (RFC 6750).

/// A secret of at least [`Token::CHARACTERS_MIN`] characters.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl Token {
    /// 256 bits in hexadecimal have twice as many; in base64, 43.
    pub const CHARACTERS_MIN: usize = 32;
    /// A request's head has to hold it.
    pub const CHARACTERS_MAX: usize = 1_024;

    /// Reads a secret as it stands in a file's first line.
    ///
    /// # Errors
    /// One line that says what was expected; the secret is not in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let line = text.lines().next().unwrap_or_default().trim_end();
        let is_legal = (Self::CHARACTERS_MIN..=Self::CHARACTERS_MAX).contains(&line.len())
            && line.bytes().all(|octet| octet.is_ascii_graphic());
        if is_legal {
            return Ok(Self(line.as_bytes().into()));
        }
        Err(format!(
            "holds no token: expected a line of {} to {} characters without blanks, such as `openssl rand -hex 32` makes",
            Self::CHARACTERS_MIN,
            Self::CHARACTERS_MAX
        ))
    }

    /// Whether this is the secret. How long that takes depends on its length alone.
    pub fn is(&self, said: &[u8]) -> bool {
        let differing = self.0.iter().zip(said).fold(0, |so_far, (own, other)| so_far | (own ^ other));
        self.0.len() == said.len() && differing == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_is_the_first_line_and_is_itself_alone() {
        let token = Token::parse(&format!("{SECRET}\r\nnot read\n")).unwrap();
        assert!(token.is(SECRET.as_bytes()));
        for other in ["", &SECRET[1..], &format!("{SECRET}0"), &SECRET.to_uppercase()] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn what_could_be_guessed_or_not_be_sent_is_no_token() {
        let long = "x".repeat(Token::CHARACTERS_MAX + 1);
        for wrong in ["", "short", &SECRET[1..], &format!("{SECRET} a"), &format!("{SECRET}é"), &long] {
            let told = Token::parse(wrong).unwrap_err();
            assert!(told.contains("openssl") && !told.contains("0123"), "{told}");
        }
    }
}
