//! What Linux has for it.

mod files;
mod syscalls;
mod user;

pub(crate) use files::{is_alone, restrict as restrict_files};
pub(crate) use syscalls::restrict as restrict_syscalls;
pub use user::{User, is_root};
