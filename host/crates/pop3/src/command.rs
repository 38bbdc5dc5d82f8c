//! Commands: RFC 1939 §9, RFC 2449 §5 (CAPA), RFC 2595 §4 (STLS), RFC 5034 §4 (AUTH).

use maitred_mail::Seq;

/// What a client can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Auth { mechanism: String, initial: Option<Secret> },
    Capa,
    Dele(Seq),
    List(Option<Seq>),
    Noop,
    Pass(Secret),
    Quit,
    Retr(Seq),
    Rset,
    Stat,
    Stls,
    Top(Seq, u32),
    Uidl(Option<Seq>),
    User(String),
}

/// What no log may show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandError {
    /// Neither ASCII nor UTF-8.
    NotText,
    /// No such keyword.
    Unknown,
    /// Its arguments are not what this says.
    Usage(&'static str),
}

impl Command {
    /// Reads a line without its CRLF. Keywords in any case; more or trailing spaces are overlooked, but for those of
    /// USER and PASS, where they may be meant (RFC 1939 §7).
    pub(crate) fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let text = std::str::from_utf8(line).map_err(|_| CommandError::NotText)?;
        let (keyword, rest) = text.split_once(' ').unwrap_or((text, ""));
        let usage = CommandError::Usage;
        let alone = |command, text| if rest.trim().is_empty() { Ok(command) } else { Err(usage(text)) };
        match keyword.to_ascii_uppercase().as_str() {
            "AUTH" => auth(rest).ok_or(usage("AUTH mechanism [initial-response]")),
            "CAPA" => alone(Self::Capa, "CAPA"),
            "DELE" => one(rest).map(Self::Dele).ok_or(usage("DELE message")),
            "LIST" => one_or_none(rest).map(Self::List).ok_or(usage("LIST [message]")),
            "NOOP" => alone(Self::Noop, "NOOP"),
            "PASS" if rest.is_empty() => Err(usage("PASS password")),
            "PASS" => Ok(Self::Pass(Secret(rest.to_owned()))),
            "QUIT" => alone(Self::Quit, "QUIT"),
            "RETR" => one(rest).map(Self::Retr).ok_or(usage("RETR message")),
            "RSET" => alone(Self::Rset, "RSET"),
            "STAT" => alone(Self::Stat, "STAT"),
            "STLS" => alone(Self::Stls, "STLS"),
            "TOP" => two(rest)
                .map(|(message, lines)| Self::Top(Seq(message), lines))
                .ok_or(usage("TOP message lines")),
            "UIDL" => one_or_none(rest).map(Self::Uidl).ok_or(usage("UIDL [message]")),
            "USER" if rest.trim().is_empty() => Err(usage("USER name")),
            "USER" => Ok(Self::User(rest.to_owned())),
            _ => Err(CommandError::Unknown),
        }
    }
}

fn auth(rest: &str) -> Option<Command> {
    let mut words = words(rest);
    let mechanism = words.next()?.to_owned();
    let initial = words.next().map(|word| Secret(word.to_owned()));
    words.next().is_none().then_some(Command::Auth { mechanism, initial })
}

fn one(rest: &str) -> Option<Seq> {
    one_or_none(rest)?
}

fn one_or_none(rest: &str) -> Option<Option<Seq>> {
    let mut words = words(rest);
    let Some(first) = words.next() else { return Some(None) };
    let found = number(first)?;
    words.next().is_none().then_some(Some(Seq(found)))
}

fn two(rest: &str) -> Option<(u32, u32)> {
    let mut words = words(rest);
    let both = (number(words.next()?)?, number(words.next()?)?);
    words.next().is_none().then_some(both)
}

fn words(rest: &str) -> impl Iterator<Item = &str> {
    rest.split(' ').filter(|word| !word.is_empty())
}

/// Digits; more than there can be messages or lines counts as the most.
fn number(word: &str) -> Option<u32> {
    word.bytes().all(|octet| octet.is_ascii_digit()).then(|| word.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    #[test]
    fn keywords_in_any_case_with_their_arguments() {
        assert_eq!(parse("stat"), Ok(Command::Stat));
        assert_eq!(parse("LIST"), Ok(Command::List(None)));
        assert_eq!(parse("List  17 "), Ok(Command::List(Some(Seq(17)))));
        assert_eq!(parse("uidl 0"), Ok(Command::Uidl(Some(Seq(0)))));
        assert_eq!(parse("TOP 1 0"), Ok(Command::Top(Seq(1), 0)));
        assert_eq!(parse("RETR 99999999999999999999"), Ok(Command::Retr(Seq(u32::MAX))));
        let auth = |initial: Option<&str>| Command::Auth {
            mechanism: "PLAIN".to_owned(),
            initial: initial.map(|text| Secret(text.to_owned())),
        };
        assert_eq!(parse("AUTH PLAIN"), Ok(auth(None)));
        assert_eq!(parse("auth PLAIN ="), Ok(auth(Some("="))));
    }

    #[test]
    fn spaces_of_a_password_are_part_of_it() {
        assert_eq!(parse("PASS  a b "), Ok(Command::Pass(Secret(" a b ".to_owned()))));
        assert_eq!(parse("PASS"), Err(CommandError::Usage("PASS password")));
    }

    #[test]
    fn nonsense_is_told_apart() {
        for (line, error) in [
            ("", CommandError::Unknown),
            (" STAT", CommandError::Unknown),
            ("APOP a b", CommandError::Unknown),
            ("STAT 1", CommandError::Usage("STAT")),
            ("RETR", CommandError::Usage("RETR message")),
            ("RETR -1", CommandError::Usage("RETR message")),
            ("RETR 1 2", CommandError::Usage("RETR message")),
            ("DELE ١", CommandError::Usage("DELE message")),
            ("TOP 1", CommandError::Usage("TOP message lines")),
            ("TOP 1 2 3", CommandError::Usage("TOP message lines")),
            ("AUTH", CommandError::Usage("AUTH mechanism [initial-response]")),
            ("USER  ", CommandError::Usage("USER name")),
        ] {
            assert_eq!(parse(line), Err(error), "{line:?}");
        }
        assert_eq!(Command::parse(b"USER \xff"), Err(CommandError::NotText));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?} {:?}", parse("PASS sesame"), parse("AUTH PLAIN sesame")).contains("sesame"));
    }
}
