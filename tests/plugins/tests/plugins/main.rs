//! Real components on the real host: what they may, what they may not, and what it costs the others.

mod canaries;
mod capabilities;
mod faults;
mod filters;
mod fixtures;
mod fresh;
mod frozen;
mod heralds;
mod hooks;
mod life;
mod replay;
mod senders;
mod shadows;
mod stress;
mod versions;
mod world;
