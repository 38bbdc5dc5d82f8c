//! The host's side of each version of the contract.
//!
//! Made from the maximal world; a component need not export all of it: each hook is looked up by itself.

/// `maitred:plugin@0.1.0`.
pub(crate) mod v0_1 {
    #![allow(missing_docs, clippy::all, reason = "generated from wit/, where everything has its words")]

    wasmtime::component::bindgen!({
        path: "../../../wit",
        inline: "package maitred:host; world host {
            import maitred:plugin/types@0.1.0;
            import maitred:plugin/decisions@0.1.0;
            import maitred:plugin/host-session@0.1.0;
            import maitred:plugin/host-message@0.1.0;
            import maitred:plugin/log@0.1.0;
            import maitred:plugin/config@0.1.0;
            import maitred:plugin/clock@0.1.0;
            export maitred:plugin/lifecycle@0.1.0;
            export maitred:plugin/connect-hook@0.1.0;
            export maitred:plugin/helo-hook@0.1.0;
            export maitred:plugin/auth-hook@0.1.0;
            export maitred:plugin/mail-hook@0.1.0;
            export maitred:plugin/rcpt-hook@0.1.0;
            export maitred:plugin/headers-hook@0.1.0;
            export maitred:plugin/message-hook@0.1.0;
            export maitred:plugin/disconnect-hook@0.1.0;
        }",
        world: "maitred:host/host",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "maitred:plugin/host-message.message": crate::capability::MessageHandle,
            "maitred:plugin/host-session.session": crate::capability::SessionHandle,
        },
    });
}
