//! SASL exchanges, server side: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), as AUTH and AUTHENTICATE carry
//! them: base64 with an optional initial response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The mechanisms that work here. Both send the password: they are offered over TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Two questions; for old clients.
    Login,
}

impl Mechanism {
    /// Every mechanism with its registered name, best first.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Plain, "PLAIN"), (Self::Login, "LOGIN")];

    /// By its registered name, any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(mechanism, _)| *mechanism)
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What the client says it is. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whom to act as; empty: the same as `authentication`.
    pub authorization: String,
    /// Who it is.
    pub authentication: String,
    /// The secret.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("authentication", &self.authentication).finish_non_exhaustive()
    }
}

/// Why an exchange ended without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// Not base64, not UTF-8, or not what the mechanism says.
    #[error("malformed authentication exchange")]
    Malformed,
}

/// One step of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Send this challenge (base64, may be empty), give the answer to [`Sasl::response`].
    Challenge(&'static str),
    /// The client has said all.
    Complete(Credentials),
}

/// A running exchange.
#[derive(Debug)]
pub struct Sasl {
    mechanism: Mechanism,
    user: Option<String>,
}

impl Sasl {
    /// Begins; `initial` is the initial response as it came (`=` stands for an empty one, RFC 4954 §4).
    ///
    /// # Errors
    /// When the initial response is malformed.
    pub fn start(mechanism: Mechanism, initial: Option<&str>) -> Result<(Self, Exchange), SaslError> {
        let mut sasl = Self { mechanism, user: None };
        let step = match (initial, mechanism) {
            (Some(response), _) => sasl.response(if response == "=" { "" } else { response })?,
            (None, Mechanism::Plain) => Exchange::Challenge(""),
            (None, Mechanism::Login) => Exchange::Challenge("VXNlcm5hbWU6"),
        };
        Ok((sasl, step))
    }

    /// Which mechanism runs.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The client's next line.
    ///
    /// # Errors
    /// When it cancels or sends nonsense; the exchange is over then.
    pub fn response(&mut self, line: &str) -> Result<Exchange, SaslError> {
        if line == "*" {
            return Err(SaslError::Cancelled);
        }
        let octets = STANDARD.decode(line).map_err(|_| SaslError::Malformed)?;
        let text = String::from_utf8(octets).map_err(|_| SaslError::Malformed)?;
        match (self.mechanism, self.user.take()) {
            (Mechanism::Plain, _) => plain(&text).map(Exchange::Complete),
            (Mechanism::Login, None) => {
                self.user = Some(text);
                Ok(Exchange::Challenge("UGFzc3dvcmQ6"))
            }
            (Mechanism::Login, Some(user)) => Ok(Exchange::Complete(Credentials {
                authorization: String::new(),
                authentication: user,
                password: text,
            })),
        }
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`.
fn plain(text: &str) -> Result<Credentials, SaslError> {
    let mut parts = text.split('\0');
    let (Some(authorization), Some(authentication), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if authentication.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed);
    }
    Ok(Credentials {
        authorization: authorization.to_owned(),
        authentication: authentication.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(authorization: &str) -> Exchange {
        Exchange::Complete(Credentials {
            authorization: authorization.into(),
            authentication: "user".into(),
            password: "pass".into(),
        })
    }

    #[test]
    fn plain_with_and_without_initial_response() {
        let (_, step) = Sasl::start(Mechanism::Plain, Some("AHVzZXIAcGFzcw==")).unwrap();
        assert_eq!(step, credentials(""));
        let (mut sasl, step) = Sasl::start(Mechanism::Plain, None).unwrap();
        assert_eq!(step, Exchange::Challenge(""));
        assert_eq!(sasl.response("ZgB1c2VyAHBhc3M=").unwrap(), credentials("f"));
    }

    #[test]
    fn login_asks_twice() {
        let (mut sasl, step) = Sasl::start(Mechanism::Login, None).unwrap();
        assert_eq!(step, Exchange::Challenge("VXNlcm5hbWU6"));
        assert_eq!(sasl.response("dXNlcg==").unwrap(), Exchange::Challenge("UGFzc3dvcmQ6"));
        assert_eq!(sasl.response("cGFzcw==").unwrap(), credentials(""));
    }

    #[test]
    fn cancel_and_nonsense_end_it() {
        let (mut sasl, _) = Sasl::start(Mechanism::Plain, None).unwrap();
        assert_eq!(sasl.response("*"), Err(SaslError::Cancelled));
        assert_eq!(sasl.response("!!"), Err(SaslError::Malformed));
        assert_eq!(sasl.response("dXNlcg=="), Err(SaslError::Malformed));
    }
}
