//! Commands: parsed from a line by the server, printed by the client.
//!
//! RFC 5321 §4.1.1, with RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 4954 (AUTH), RFC 3207 (STARTTLS)
//! and RFC 2033 (LHLO). A command that exists is legal in itself; whether it is legal now, the session says.

use std::fmt;

use maitred_mail::address::split_path;
use maitred_mail::{Address, AddressError, BodyType, ForwardPath, MailParameters, ReversePath};

/// One command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name.
    Ehlo(String),
    /// HELO with the client's name.
    Helo(String),
    /// LHLO with the client's name (LMTP).
    Lhlo(String),
    /// MAIL FROM:
    Mail {
        /// Who is told of failures.
        reverse_path: ReversePath,
        /// What follows the path.
        parameters: MailParameters,
    },
    /// RCPT TO:
    Rcpt(ForwardPath),
    /// DATA
    Data,
    /// RSET
    Rset,
    /// VRFY, its argument is of no interest.
    Vrfy,
    /// EXPN, likewise.
    Expn,
    /// HELP
    Help,
    /// NOOP
    Noop,
    /// QUIT
    Quit,
    /// STARTTLS (RFC 3207)
    StartTls,
    /// AUTH (RFC 4954)
    Auth {
        /// As the client spelt it.
        mechanism: String,
        /// The initial response, base64.
        initial: Option<InitialResponse>,
    },
}

/// Base64 that may hold a password: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct InitialResponse(pub String);

impl fmt::Debug for InitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(…)")
    }
}

/// Why a line is no command. The reply to each is in [`crate::reply`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such verb.
    #[error("unknown command")]
    Unknown,
    /// The line is not UTF-8, or has control octets.
    #[error("illegal octets in command")]
    Octets,
    /// An argument is missing, malformed, or too much.
    #[error("bad arguments")]
    Arguments,
    /// The name in EHLO, HELO or LHLO is no domain and no address literal.
    #[error("bad client name")]
    Name,
    /// MAIL's path.
    #[error("bad reverse-path: {0}")]
    ReversePath(AddressError),
    /// RCPT's path.
    #[error("bad forward-path: {0}")]
    ForwardPath(AddressError),
    /// An address outside ASCII without the SMTPUTF8 parameter (RFC 6531 §3.4).
    #[error("internationalized address without SMTPUTF8")]
    NeedsSmtpUtf8,
    /// A parameter that was not offered.
    #[error("parameter not recognized")]
    Parameter,
}

impl Command {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        // Trailing white space is tolerated (RFC 5321 §4.1.1).
        let line = line.trim_end_matches([' ', '\t']);
        if line.chars().any(char::is_control) {
            return Err(CommandError::Octets);
        }
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.trim_start_matches(' ');
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        match () {
            () if is("EHLO") => client_name(argument).map(Self::Ehlo),
            () if is("HELO") => client_name(argument).map(Self::Helo),
            () if is("LHLO") => client_name(argument).map(Self::Lhlo),
            () if is("MAIL") => mail(argument),
            () if is("RCPT") => rcpt(argument),
            () if is("DATA") => without_argument(argument, Self::Data),
            () if is("RSET") => without_argument(argument, Self::Rset),
            () if is("VRFY") => with_argument(argument, Self::Vrfy),
            () if is("EXPN") => with_argument(argument, Self::Expn),
            () if is("HELP") => Ok(Self::Help),
            () if is("NOOP") => Ok(Self::Noop),
            () if is("QUIT") => without_argument(argument, Self::Quit),
            () if is("STARTTLS") => without_argument(argument, Self::StartTls),
            () if is("AUTH") => auth(argument),
            () => Err(CommandError::Unknown),
        }
    }
}

impl fmt::Display for Command {
    /// The line without its CRLF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ehlo(name) => write!(f, "EHLO {name}"),
            Self::Helo(name) => write!(f, "HELO {name}"),
            Self::Lhlo(name) => write!(f, "LHLO {name}"),
            Self::Mail { reverse_path, parameters } => {
                write!(f, "MAIL FROM:{reverse_path}")?;
                if let Some(size) = parameters.size {
                    write!(f, " SIZE={size}")?;
                }
                if parameters.body == BodyType::EightBitMime {
                    f.write_str(" BODY=8BITMIME")?;
                }
                if parameters.is_smtputf8 { f.write_str(" SMTPUTF8") } else { Ok(()) }
            }
            Self::Rcpt(forward_path) => write!(f, "RCPT TO:{forward_path}"),
            Self::Data => f.write_str("DATA"),
            Self::Rset => f.write_str("RSET"),
            Self::Vrfy => f.write_str("VRFY postmaster"),
            Self::Expn => f.write_str("EXPN postmaster"),
            Self::Help => f.write_str("HELP"),
            Self::Noop => f.write_str("NOOP"),
            Self::Quit => f.write_str("QUIT"),
            Self::StartTls => f.write_str("STARTTLS"),
            Self::Auth { mechanism, initial } => {
                write!(f, "AUTH {mechanism}")?;
                initial.as_ref().map_or(Ok(()), |response| write!(f, " {}", response.0))
            }
        }
    }
}

fn without_argument(argument: &str, command: Command) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Arguments) }
}

fn with_argument(argument: &str, command: Command) -> Result<Command, CommandError> {
    if argument.is_empty() { Err(CommandError::Arguments) } else { Ok(command) }
}

/// RFC 5321 §4.1.4 lets no server refuse mail for a name that is only wrong; but what goes into Received fields has to
/// be printable and without white space.
fn client_name(argument: &str) -> Result<String, CommandError> {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    // RFC 5321 §4.5.3.1.2: 255 octets.
    if argument.is_empty() || argument.len() > 255 || !argument.bytes().all(is_legal) {
        Err(CommandError::Name)
    } else {
        Ok(argument.to_owned())
    }
}

/// `FROM:` or `TO:`, any case; white space behind the colon is a common fault and harmless.
fn after_word<'a>(argument: &'a str, word: &str) -> Result<&'a str, CommandError> {
    let (start, rest) = argument.split_at_checked(word.len()).ok_or(CommandError::Arguments)?;
    if start.eq_ignore_ascii_case(word) { Ok(rest.trim_start()) } else { Err(CommandError::Arguments) }
}

fn mail(argument: &str) -> Result<Command, CommandError> {
    let (path, rest) = split_path(after_word(argument, "FROM:")?).map_err(CommandError::ReversePath)?;
    let parameters = mail_parameters(rest)?;
    let reverse_path = if path.is_empty() {
        ReversePath::Null
    } else {
        ReversePath::Address(Address::parse(path).map_err(CommandError::ReversePath)?)
    };
    let needs_utf8 = reverse_path.address().is_some_and(Address::is_internationalized);
    if needs_utf8 && !parameters.is_smtputf8 {
        return Err(CommandError::NeedsSmtpUtf8);
    }
    Ok(Command::Mail { reverse_path, parameters })
}

fn mail_parameters(rest: &str) -> Result<MailParameters, CommandError> {
    let mut parameters = MailParameters::default();
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(CommandError::Arguments);
    }
    for parameter in rest.split(' ').filter(|p| !p.is_empty()) {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        match (keyword.to_ascii_uppercase().as_str(), value) {
            // RFC 1870 §3: up to 20 digits.
            ("SIZE", Some(digits))
                if (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                let size = digits.parse().unwrap_or(u64::MAX);
                parameters.size = Some(size);
            }
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") => parameters.body = BodyType::SevenBit,
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("8BITMIME") => {
                parameters.body = BodyType::EightBitMime;
            }
            ("SMTPUTF8", None) => parameters.is_smtputf8 = true,
            // RFC 4954 §5: who submitted it first. Nobody here trusts a peer that far: accepted and left out.
            ("AUTH", Some(xtext)) if !xtext.is_empty() => {}
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH", _) => return Err(CommandError::Arguments),
            _ => return Err(CommandError::Parameter),
        }
    }
    Ok(parameters)
}

fn rcpt(argument: &str) -> Result<Command, CommandError> {
    let (path, rest) = split_path(after_word(argument, "TO:")?).map_err(CommandError::ForwardPath)?;
    if !rest.trim_start_matches(' ').is_empty() {
        // No extension that we offer has a parameter here.
        return Err(if rest.starts_with(' ') { CommandError::Parameter } else { CommandError::Arguments });
    }
    // RFC 5321 §4.1.1.3: <Postmaster> without a domain, any case.
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(Command::Rcpt(ForwardPath::Postmaster));
    }
    Address::parse(path).map(ForwardPath::Address).map(Command::Rcpt).map_err(CommandError::ForwardPath)
}

fn auth(argument: &str) -> Result<Command, CommandError> {
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) => Ok(Command::Auth {
            mechanism: mechanism.to_owned(),
            initial: initial.map(|response| InitialResponse(response.to_owned())),
        }),
        _ => Err(CommandError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    #[test]
    fn printing_and_parsing_are_inverse() {
        for line in [
            "EHLO mx.example.org",
            "HELO [192.0.2.1]",
            "LHLO [IPv6:2001:db8::1]",
            "MAIL FROM:<>",
            "MAIL FROM:<a@b.test> SIZE=1000 BODY=8BITMIME SMTPUTF8",
            "MAIL FROM:<\"a b\"@b.test>",
            "RCPT TO:<Postmaster>",
            "RCPT TO:<a@b.test>",
            "DATA",
            "RSET",
            "NOOP",
            "HELP",
            "QUIT",
            "STARTTLS",
            "AUTH PLAIN",
            "AUTH PLAIN AGEAYg==",
        ] {
            assert_eq!(parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn case_and_white_space_at_the_common_places_do_not_matter() {
        assert_eq!(parse("mail from: <a@b.test>  size=1 "), parse("MAIL FROM:<a@b.test> SIZE=1"));
        assert_eq!(parse("rcpt  to:<POSTMASTER>"), Ok(Command::Rcpt(ForwardPath::Postmaster)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, error) in [
            ("", CommandError::Unknown),
            ("FOO", CommandError::Unknown),
            ("EHLO", CommandError::Name),
            ("EHLO a b", CommandError::Name),
            ("EHLO (x)", CommandError::Name),
            ("MAIL a@b.test", CommandError::Arguments),
            ("MAIL FROM:a@b.test", CommandError::ReversePath(AddressError::Syntax)),
            ("MAIL FROM:<a@b.test>SIZE=1", CommandError::Arguments),
            ("MAIL FROM:<a@b.test> SIZE=-1", CommandError::Arguments),
            ("MAIL FROM:<a@b.test> BODY=BINARYMIME", CommandError::Arguments),
            ("MAIL FROM:<a@b.test> RET=FULL", CommandError::Parameter),
            ("MAIL FROM:<ü@b.test>", CommandError::NeedsSmtpUtf8),
            ("RCPT TO:<>", CommandError::ForwardPath(AddressError::Syntax)),
            ("RCPT TO:<a>", CommandError::ForwardPath(AddressError::Syntax)),
            ("RCPT TO:<a@b.test> NOTIFY=NEVER", CommandError::Parameter),
            ("DATA now", CommandError::Arguments),
            ("NOOP \u{1b}[0m", CommandError::Octets),
            ("AUTH", CommandError::Arguments),
        ] {
            assert_eq!(parse(line), Err(error), "{line:?}");
        }
        assert_eq!(Command::parse(b"NOOP \xff"), Err(CommandError::Octets));
    }

    #[test]
    fn a_password_is_not_printed_for_debugging() {
        let command = parse("AUTH PLAIN AGEAYg==").unwrap();
        assert!(!format!("{command:?}").contains("AGEAYg"));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic(line in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _ = Command::parse(&line); // only that it does not panic
        }

        #[test]
        fn what_parses_prints_the_same_command(tail in "\\PC{0,40}", verb in "(MAIL FROM:|RCPT TO:|AUTH |EHLO )") {
            if let Ok(command) = parse(&format!("{verb}{tail}")) {
                proptest::prop_assert_eq!(parse(&command.to_string()), Ok(command));
            }
        }
    }
}
