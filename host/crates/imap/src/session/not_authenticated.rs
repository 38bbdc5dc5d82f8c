//! Commands of every state, and those before the login: RFC 3501 §6.1, §6.2; RFC 2971 (ID), RFC 4959 (SASL-IR).

use maitred_wire::sasl::Credentials;

use super::state::{About, Place, State};
use super::{Event, Session};
use crate::command::{Body, Secret, Tag};
use crate::response::status::{self as status, Bye, Completion, Misuse};

impl Session {
    /// One command: the old place goes in, the new state comes out.
    pub(super) fn obey(&mut self, tag: Tag, body: Body, place: Place) -> State {
        match (body, place) {
            (Body::Capability, place) => {
                let capabilities = self.capabilities(&place);
                status::capability(&mut self.out, &capabilities);
                self.complete(&tag, place, &Completion::done("CAPABILITY"))
            }
            (Body::Logout, place) => self.log_out(&tag, place),
            (Body::Id(_), place) => {
                status::id(&mut self.out);
                self.complete(&tag, place, &Completion::done("ID"))
            }
            (Body::Noop, place @ (Place::NotAuthenticated | Place::Authenticated)) => {
                self.complete(&tag, place, &Completion::done("NOOP"))
            }
            (body, Place::NotAuthenticated) => self.obey_unauthenticated(tag, body),
            (Body::StartTls | Body::Authenticate { .. } | Body::Login { .. }, place) => {
                self.bad(&tag, place, Misuse::LoggedIn)
            }
            (body, place) => self.obey_authenticated(tag, body, place),
        }
    }

    fn obey_unauthenticated(&mut self, tag: Tag, body: Body) -> State {
        match body {
            Body::StartTls => self.start_tls(&tag),
            Body::Authenticate { mechanism, initial } => self.start_authenticate(tag, &mechanism, initial),
            Body::Login { user, password } => self.log_in(tag, user, password),
            Body::Append(_) => {
                self.reader.refuse_message();
                self.bad(&tag, Place::NotAuthenticated, Misuse::NotLoggedIn)
            }
            _ => self.bad(&tag, Place::NotAuthenticated, Misuse::NotLoggedIn),
        }
    }

    /// RFC 3501 §6.2.1.
    fn start_tls(&mut self, tag: &Tag) -> State {
        let place = Place::NotAuthenticated;
        if self.tls.is_some() {
            return self.bad(tag, place, Misuse::TlsIsUp);
        }
        if !self.config.has_starttls {
            return self.bad(tag, place, Misuse::NoTls);
        }
        if self.has_more || !self.reader.is_empty() {
            status::bye(&mut self.out, Bye::Injected);
            return State::Closing;
        }
        Completion::begin_tls().print(tag, &mut self.out);
        State::StartingTls
    }

    /// RFC 3501 §6.2.3.
    fn log_in(&mut self, tag: Tag, user: Box<str>, Secret(password): Secret) -> State {
        if !self.is_private() {
            return self.complete(&tag, Place::NotAuthenticated, &Completion::private_only());
        }
        let credentials = Credentials {
            authorization: String::new(),
            authentication: user.into(),
            password: password.into(),
        };
        self.ask(tag, Place::NotAuthenticated, About::Login, |ticket| Event::Authenticate {
            ticket,
            mechanism: None,
            credentials,
        })
    }

    /// RFC 3501 §7.2.1: what works now.
    pub(super) fn capabilities(&self, place: &Place) -> String {
        let mut words = vec!["IMAP4rev1", "LITERAL+", "ID"];
        match place {
            Place::NotAuthenticated => {
                words.push("SASL-IR");
                if self.may_start_tls() {
                    words.push("STARTTLS");
                }
                if self.is_private() {
                    words.extend(["AUTH=PLAIN", "AUTH=LOGIN"]);
                } else {
                    words.push("LOGINDISABLED");
                }
            }
            Place::Authenticated | Place::Selected(_) => words.extend([
                "CHILDREN",
                "ENABLE",
                "IDLE",
                "MOVE",
                "NAMESPACE",
                "SPECIAL-USE",
                "UIDPLUS",
                "UNSELECT",
            ]),
        }
        words.join(" ")
    }
}
