//! Administration: what an operator asks of the server, the socket that is asked through, and the HTTP pages.
//!
//! A [`Command`] is a value; [`execute()`] does it at a [`Desk`]. [`socket`] carries commands to a running server; without one
//! the command line does them on the store itself. [`http`] shows health and figures, and takes commands about plugins from whoever has the token.
#![deny(clippy::indexing_slicing)]

pub mod command;
pub mod desk;
pub mod execute;
pub mod http;
pub mod problem;
pub mod size;
pub mod socket;

pub use command::{AccountEntry, Alias, Command, PluginCommand, Selection};
pub use desk::{Desk, QueueDesk, ServerDesk};
pub use execute::execute;
pub use problem::{Kind, Problem};
