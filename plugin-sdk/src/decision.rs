//! What a hook answers.

/// What one hook answers: a verdict, and what shall change.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What shall happen.
    pub verdict: Verdict,
    /// What shall change, in order.
    pub edits: Vec<Edit>,
}

/// What shall happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// No opinion: the next plugin is asked.
    Next,
    /// Fine at this stage; later plugins are skipped.
    Accept,
    /// 5xx.
    Reject(Refusal),
    /// 4xx: the sender tries again.
    Tempfail(Refusal),
    /// Taken into Junk, with the reason.
    Quarantine(String),
    /// Taken and dropped, with the reason.
    Discard(String),
    /// Refused, and the connection closed.
    Disconnect(Refusal),
}

/// Why mail is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// class, subject, detail (RFC 3463); `None`: chosen by the host.
    pub enhanced: Option<(u8, u16, u16)>,
    /// One printable line.
    pub text: String,
}

/// A recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where it goes.
    pub address: String,
    /// As first given by the client, when it was changed.
    pub original: Option<String>,
}

/// Where a header field goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Above all others.
    First,
    /// Below all others.
    Last,
    /// Above the nth, from 0.
    At(u32),
}

/// A change.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Adds a header field: name, unfolded value, where. Line ends in the value become blanks.
    AddHeader(String, Vec<u8>, Position),
    /// Changes the nth field of that name.
    ChangeHeader(String, u32, Vec<u8>),
    /// Removes the nth field of that name.
    RemoveHeader(String, u32),
    /// Removes every field of that name.
    RemoveAllHeaders(String),
    /// A new body.
    ReplaceBody(Vec<u8>),
    /// A new reverse-path; `""` is `<>`.
    SetSender(String),
    /// One more recipient.
    AddRecipient(Recipient),
    /// One less.
    RemoveRecipient(String),
    /// Others instead of one.
    ChangeRecipient(String, Vec<Recipient>),
    /// A weighted finding: name, score, detail.
    Symbol(String, f32, String),
    /// Visible to later plugins and in logs: name, value.
    Tag(String, String),
    /// Another mailbox than INBOX, with flags.
    Place(String, Vec<String>),
    /// A flag for the delivered message.
    AddFlag(String),
    /// Delay the reply, milliseconds.
    Delay(u32),
}

impl Decision {
    /// No opinion.
    pub fn next() -> Self {
        Verdict::Next.into()
    }

    /// Fine; later plugins are skipped.
    pub fn accept() -> Self {
        Verdict::Accept.into()
    }

    /// Refused for good, in these words.
    pub fn reject(text: impl Into<String>) -> Self {
        Verdict::Reject(Refusal { enhanced: None, text: text.into() }).into()
    }

    /// Refused for now, in these words.
    pub fn tempfail(text: impl Into<String>) -> Self {
        Verdict::Tempfail(Refusal { enhanced: None, text: text.into() }).into()
    }

    /// The same with one more change.
    #[must_use]
    pub fn with(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    /// The same with one more header field on top.
    #[must_use]
    pub fn with_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(Edit::AddHeader(name.into(), value.into().into_bytes(), Position::First))
    }
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, edits: Vec::new() }
    }
}
