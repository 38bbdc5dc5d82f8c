//! What tests of several rooms share: scripted sessions. A dev-dependency only.

pub mod transcript;
