//! Policy: the points at which plugins are asked, what they may answer, and how several answers become one.
//!
//! No Wasm in here: `plugin-host` implements [`Plugin`], `flow` asks through [`Chain`], tests use fakes.
#![deny(clippy::indexing_slicing)]

pub mod chain;
pub mod decision;
pub mod facts;
pub mod registry;
pub mod table;

pub use chain::{Chain, Chains, Outcome};
pub use decision::{Decision, Edit, HeaderPosition, Refusal, Verdict};
pub use facts::{Direction, Hook, HookCall, LoginFacts, MessageFacts, Peer, SessionFacts, TlsFacts};
pub use registry::{Fault, OnError, Plugin, PluginFacts, Registry, RegistryError};
pub use table::{Change, Space, Table, TableAnswer, TableError, TableOp};
