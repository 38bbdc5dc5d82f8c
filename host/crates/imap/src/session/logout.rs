//! LOGOUT: RFC 3501 §3.4, §6.1.3.

use super::Session;
use super::state::{Place, State};
use crate::command::Tag;
use crate::response::status::{self as status, Bye, Completion};

impl Session {
    pub(super) fn log_out(&mut self, tag: &Tag, _: Place) -> State {
        status::bye(&mut self.out, Bye::Logout);
        Completion::done("LOGOUT").print(tag, &mut self.out);
        State::Closing
    }
}
