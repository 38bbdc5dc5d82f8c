//! The journey of a message, stage by stage: what is asked of whom, in which order.
//!
//! Async without a runtime: time comes from a `Clock`, octets and timers are the drivers' matter.

mod bounce;
pub mod content;
pub mod deliver;
pub mod dialer;
pub mod explain;
mod filing;
pub mod head;
pub mod house;
pub mod judge;
pub mod login;
pub mod maildrop;
mod news;
pub mod outside;
mod quota;
pub mod read;
pub mod receive;
pub mod relay;
pub mod resolve;
mod submission;
pub mod trace;
pub mod traces;

pub use dialer::{Call, DialError, Dialer};
pub use house::{Config, House, Limits};
pub use login::{LoginError, Logins};
pub use outside::{Web, World};
pub use receive::{Arrival, Receive};
pub use relay::{Conversation, Relay};
