//! AUTH: RFC 4954. The mechanisms themselves are in `wire::sasl`.

use maitred_wire::sasl::{Exchange, Mechanism, Sasl, SaslError};
use maitred_wire::{Line, LineReader};

use super::{Event, Session};
use crate::command::InitialResponse;
use crate::reply::Reply;
use crate::server::state::{Question, State};

impl Session {
    pub(super) fn start_auth(&mut self, mechanism: &str, initial: Option<&InitialResponse>) -> State {
        if !self.config.has_auth {
            return self.fail(&Reply::not_implemented(), State::Ready);
        }
        if self.login.is_some() {
            return self.fail(&Reply::out_of_sequence("Authenticated already"), State::Ready);
        }
        if !self.is_private() {
            return self.fail(&Reply::encryption_required(), State::Ready);
        }
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            return self.fail(&Reply::unknown_mechanism(), State::Ready);
        };
        match Sasl::start(mechanism, initial.map(|response| response.0.as_str())) {
            Ok((sasl, step)) => self.follow_auth(mechanism, sasl, step),
            Err(error) => self.fail_auth(error),
        }
    }

    pub(super) fn continue_auth(&mut self, mut sasl: Sasl, line: &Line) -> State {
        self.reader = LineReader::new(self.config.limits.command_octets_max);
        let text = match line {
            Line::Whole(octets) => std::str::from_utf8(octets).ok(),
            _ => None,
        };
        let mechanism = sasl.mechanism();
        match text.map_or(Err(SaslError::Malformed), |text| sasl.response(text)) {
            Ok(step) => self.follow_auth(mechanism, sasl, step),
            Err(error) => self.fail_auth(error),
        }
    }

    fn follow_auth(&mut self, mechanism: Mechanism, sasl: Sasl, step: Exchange) -> State {
        match step {
            Exchange::Challenge(base64) => {
                self.say(&Reply::challenge(base64));
                self.reader = LineReader::new(self.config.limits.auth_octets_max);
                State::Authenticating(sasl)
            }
            Exchange::Complete(credentials) => self
                .ask(Question::Authenticate, |ticket| Event::Authenticate { ticket, mechanism, credentials }),
        }
    }

    fn fail_auth(&mut self, error: SaslError) -> State {
        let reply = match error {
            SaslError::Cancelled => Reply::authentication_cancelled(),
            SaslError::Malformed => Reply::authentication_malformed(),
        };
        self.fail(&reply, State::Ready)
    }
}
