//! The hooks by name.

/// When a plugin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// [`Plugin::on_connect`](crate::Plugin::on_connect)
    Connect,
    /// [`Plugin::on_helo`](crate::Plugin::on_helo)
    Helo,
    /// [`Plugin::on_auth`](crate::Plugin::on_auth)
    Auth,
    /// [`Plugin::on_mail`](crate::Plugin::on_mail)
    Mail,
    /// [`Plugin::on_rcpt`](crate::Plugin::on_rcpt)
    Rcpt,
    /// [`Plugin::on_headers`](crate::Plugin::on_headers)
    Headers,
    /// [`Plugin::on_message`](crate::Plugin::on_message)
    Message,
    /// [`Plugin::on_disconnect`](crate::Plugin::on_disconnect)
    Disconnect,
    /// [`Plugin::on_resolve`](crate::Plugin::on_resolve)
    Resolve,
    /// [`Plugin::on_route`](crate::Plugin::on_route)
    Route,
    /// [`Plugin::on_deliver`](crate::Plugin::on_deliver)
    Deliver,
    /// [`Plugin::on_outcomes`](crate::Plugin::on_outcomes)
    Outcome,
    /// [`Plugin::on_login`](crate::Plugin::on_login)
    Login,
    /// [`Plugin::on_mailbox_events`](crate::Plugin::on_mailbox_events)
    Mailbox,
    /// [`Plugin::on_tick`](crate::Plugin::on_tick)
    Tick,
}

impl Hook {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Helo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Headers,
        Self::Message,
        Self::Disconnect,
        Self::Resolve,
        Self::Route,
        Self::Deliver,
        Self::Outcome,
        Self::Login,
        Self::Mailbox,
        Self::Tick,
    ];

    /// As fixtures and the server spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Headers => "headers",
            Self::Message => "message",
            Self::Disconnect => "disconnect",
            Self::Resolve => "resolve",
            Self::Route => "route",
            Self::Deliver => "deliver",
            Self::Outcome => "outcome",
            Self::Login => "login",
            Self::Mailbox => "mailbox",
            Self::Tick => "tick",
        }
    }
}
