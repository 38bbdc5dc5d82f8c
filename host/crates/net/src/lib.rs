//! Sockets and timers: listeners, one driver for every protocol engine, dialling, and the courier of the queue.
//!
//! Protocol knowledge in here is a bug, and so is I/O in an engine.

mod clock;
mod connection;
mod courier;
mod dialer;
mod driver;
mod gate;
mod listener;
mod network;
pub mod proxy;
mod stop;
mod web;

pub use clock::SystemClock;
pub use connection::Connection;
pub use courier::Courier;
pub use dialer::TcpDialer;
pub use driver::{DriveError, Patience, Side, drive};
pub use gate::{Admission, Gate, Limits, LimitsError};
pub use listener::{Accepted, BindError, Entrance, Listener};
pub use network::Network;
pub use stop::{Stop, Stopper, stop};
pub use web::WebClient;
