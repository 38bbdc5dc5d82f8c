//! Plugins that the suite tries on the host.

include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));
