//! The host's side of each version of the contract.
//!
//! Made from the maximal world; a component need not export all of it: each hook is looked up by itself.

/// `maitred:plugin@0.1.1`.
pub(crate) mod v0_1 {
    #![allow(missing_docs, clippy::all, reason = "generated from wit/, where everything has its words")]

    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "maitred:plugin/host-message.message": crate::capability::MessageHandle,
            "maitred:plugin/host-session.session": crate::capability::SessionHandle,
        },
    });
}
