//! The AUTHORIZATION state: USER, PASS, AUTH, STLS. RFC 1939 §4 and §7, RFC 2595 §4, RFC 5034.

use maitred_wire::sasl::{Credentials, Exchange, Mechanism, Sasl, SaslError};
use maitred_wire::{Line, LineReader};

use super::{Event, Question, Session, State};
use crate::command::{Command, Secret};
use crate::response::{Offer, Response, print_capabilities};

impl Session {
    /// One command; `name` is what USER said.
    pub(super) fn authorize(&mut self, name: Option<String>, command: Command) -> State {
        match command {
            Command::Quit => {
                self.say_bye();
                State::Closing
            }
            Command::Stls => self.start_tls(name),
            Command::User(_) | Command::Pass(_) | Command::Auth { .. } if !self.is_private() => {
                self.fail(&Response::EncryptionRequired, State::Authorization)
            }
            Command::User(name) => {
                self.say(&Response::GoOn);
                State::Named(name)
            }
            Command::Pass(Secret(password)) => match name {
                // RFC 1939 §7: only after USER.
                None => self.fail(&Response::UserFirst, State::Authorization),
                Some(authentication) => self
                    .ask_login(None, Credentials { authorization: String::new(), authentication, password }),
            },
            Command::Auth { mechanism, initial } => self.start_auth(&mechanism, initial.as_ref()),
            Command::Capa
            | Command::Dele(_)
            | Command::List(_)
            | Command::Noop
            | Command::Retr(_)
            | Command::Rset
            | Command::Stat
            | Command::Top(..)
            | Command::Uidl(_) => self.fail(&Response::LogInFirst, named(name)),
        }
    }

    fn start_tls(&mut self, name: Option<String>) -> State {
        if self.tls.is_some() {
            return self.fail(&Response::TlsUpAlready, named(name));
        }
        if !self.config.has_stls {
            return self.fail(&Response::NoTls, named(name));
        }
        if self.has_more {
            // Someone may have put commands behind the client's (CVE-2011-0411).
            self.say(&Response::Injected);
            return State::Closing;
        }
        self.say(&Response::StartTls);
        State::StartingTls
    }

    fn start_auth(&mut self, mechanism: &str, initial: Option<&Secret>) -> State {
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            return self.fail(&Response::UnknownMechanism, State::Authorization);
        };
        match Sasl::start(mechanism, initial.map(|response| response.0.as_str())) {
            Ok((sasl, step)) => self.follow_auth(sasl, step),
            Err(error) => self.fail_auth(error),
        }
    }

    pub(super) fn continue_auth(&mut self, mut sasl: Sasl, line: &Line) -> State {
        self.reader = LineReader::new(self.config.limits.command_octets_max);
        let text = match line {
            Line::Whole(octets) => std::str::from_utf8(octets).ok(),
            _ => None,
        };
        match text.map_or(Err(SaslError::Malformed), |text| sasl.response(text)) {
            Ok(step) => self.follow_auth(sasl, step),
            Err(error) => self.fail_auth(error),
        }
    }

    fn follow_auth(&mut self, sasl: Sasl, step: Exchange) -> State {
        match step {
            Exchange::Challenge(base64) => {
                self.say(&Response::Challenge { base64 });
                self.reader = LineReader::new(self.config.limits.auth_octets_max);
                State::Authenticating(sasl)
            }
            Exchange::Complete(credentials) => self.ask_login(Some(sasl.mechanism()), credentials),
        }
    }

    fn fail_auth(&mut self, error: SaslError) -> State {
        let response = match error {
            SaslError::Cancelled => Response::AuthenticationCancelled,
            SaslError::Malformed => Response::AuthenticationMalformed,
        };
        self.fail(&response, State::Authorization)
    }

    fn ask_login(&mut self, mechanism: Option<Mechanism>, credentials: Credentials) -> State {
        self.ask(Question::Authenticate, |ticket| Event::Authenticate { ticket, mechanism, credentials })
    }

    pub(super) fn say_capabilities(&mut self) {
        let offer = Offer {
            may_start_tls: self.config.has_stls && self.tls.is_none() && self.login.is_none(),
            may_log_in: self.is_private(),
        };
        print_capabilities(offer, &mut self.out);
    }

    /// A password may be sent.
    fn is_private(&self) -> bool {
        self.tls.is_some() || self.config.allow_plaintext
    }
}

fn named(name: Option<String>) -> State {
    name.map_or(State::Authorization, State::Named)
}
