//! Policy: the points at which plugins are asked, what they may answer, and how several answers become one.
//!
//! No Wasm in here: `plugin-host` implements [`Plugin`], `flow` asks through [`Chain`], tests use fakes.
#![deny(clippy::indexing_slicing)]

pub mod answer;
pub mod authentication;
pub mod chain;
pub mod decision;
pub mod facts;
pub mod outside;
pub mod registry;
pub mod table;

pub use answer::{
    Answer, Delivery, DeliveryDecision, Hop, HopHost, HopTls, LoginDecision, Placement, Resolution,
    RouteDecision,
};
pub use authentication::{
    AuthResult, Findings, MethodResult, Original, SenderAuth, SpfIdentity, SpfQuestion, Subject,
};
pub use chain::{Chain, Chains, Outcome, Said};
pub use decision::{Decision, Edit, HeaderPosition, Refusal, Verdict};
pub use facts::{
    Direction, Hook, HookCall, LoginAttempt, LoginFacts, LoginProtocol, MailboxChange, MailboxFacts,
    MessageFacts, OutcomeFacts, OutcomeKind, Peer, Question, SessionFacts, TlsFacts, TransactionFacts,
};
pub use outside::{Ask, Asker, Capability, Outside, Reply};
pub use registry::{
    Budget, Called, Difference, Fault, Herald, HookStats, OnError, Plugin, PluginFacts, Registry,
    RegistryError, Share, Silence, Trial, TrialFacts, VersionFacts,
};
pub use table::{Change, Space, Table, TableAnswer, TableError, TableOp};
