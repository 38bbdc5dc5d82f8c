//! AUTHENTICATE: RFC 3501 §6.2.2, RFC 4959 (initial response). The mechanisms themselves are in `wire::sasl`.

use maitred_wire::sasl::{Exchange, Mechanism, Sasl, SaslError};

use super::state::{About, Authenticating, Place, State};
use super::{Event, Session};
use crate::command::{Secret, Tag};
use crate::response::status::{self as status, Completion, Misuse};

impl Session {
    pub(super) fn start_authenticate(&mut self, tag: Tag, mechanism: &str, initial: Option<Secret>) -> State {
        if !self.is_private() {
            return self.complete(&tag, Place::NotAuthenticated, &Completion::private_only());
        }
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            let completion = Completion::no_mechanism();
            return self.complete(&tag, Place::NotAuthenticated, &completion);
        };
        match Sasl::start(mechanism, initial.as_ref().map(|Secret(response)| &**response)) {
            Ok((sasl, step)) => self.follow(Authenticating { tag, sasl }, step),
            Err(error) => self.fail(&tag, error),
        }
    }

    /// A line of the exchange.
    pub(super) fn continue_authenticate(&mut self, mut running: Authenticating, line: &[u8]) -> State {
        let step = std::str::from_utf8(line)
            .map_err(|_| SaslError::Malformed)
            .and_then(|line| running.sasl.response(line));
        match step {
            Ok(step) => self.follow(running, step),
            Err(error) => self.fail(&running.tag, error),
        }
    }

    fn follow(&mut self, running: Authenticating, step: Exchange) -> State {
        match step {
            Exchange::Challenge(base64) => {
                status::challenge(&mut self.out, base64);
                self.reader.expect_line();
                State::Authenticating(Box::new(running))
            }
            Exchange::Complete(credentials) => {
                let mechanism = Some(running.sasl.mechanism());
                self.ask(running.tag, Place::NotAuthenticated, About::Login, |ticket| Event::Authenticate {
                    ticket,
                    mechanism,
                    credentials,
                })
            }
        }
    }

    fn fail(&mut self, tag: &Tag, error: SaslError) -> State {
        let misuse = match error {
            SaslError::Cancelled => Misuse::Cancelled,
            SaslError::Malformed => Misuse::Malformed,
        };
        self.bad(tag, Place::NotAuthenticated, misuse)
    }
}
