//! The plugins that come with the binary, compiled to components by this crate's build.

/// A plugin as a component.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// The name it is loaded under.
    pub name: &'static str,
    /// A server loads it without being told to.
    pub is_default: bool,
    /// The component.
    pub octets: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/components.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_component() {
        assert!(!PLUGINS.is_empty());
        for component in PLUGINS.iter().chain(DEMO) {
            // The preamble of a component: version 13, layer 1.
            assert_eq!(component.octets.get(..8), Some(&b"\0asm\x0d\0\x01\0"[..]), "{}", component.name);
        }
    }
}
