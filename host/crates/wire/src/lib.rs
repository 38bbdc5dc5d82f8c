//! The words of the wire: the engine contract and the mechanics that line protocols share. No I/O.
#![deny(clippy::indexing_slicing)]

pub mod clock;
pub mod dot;
pub mod engine;
pub mod line;
pub mod sasl;

pub use clock::Clock;
pub use engine::{Engine, Handler, OverTls, Step, Ticket};
pub use line::{Line, LineReader};
