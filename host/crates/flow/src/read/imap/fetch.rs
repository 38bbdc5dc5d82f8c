//! FETCH: RFC 3501 §6.4.5. Records are read a page of messages at a time, contents piece by piece; what goes out is made a
//! page of octets at a time, so a session holds little whatever is fetched.

use std::ops::Range;
use std::sync::Arc;
use std::vec;

use bytes::Bytes;
use maitred_imap::command::{FetchItem, Numbers};
use maitred_imap::fetch::{MessageFacts, Plan, Progress, Step};
use maitred_imap::response;
use maitred_imap::view::Messages;
use maitred_imap::{Refusal, Session};
use maitred_mail::{Body, Entry, Flags, MailboxId, Seq, Timestamp, Uid};
use maitred_store::{Changed, FlagChange, FlagOp, Intent, MessageRecord, Urgency};
use maitred_wire::Ticket;

use super::{Imap, Running};

/// A FETCH under way.
pub(super) struct Fetching {
    plan: Plan,
    messages: Messages,
    numbers: Numbers,
    /// UIDs that are recent in this session.
    recent: Vec<Range<u32>>,
    may_set_seen: bool,
    /// Those whose records were read, and what comes next of them.
    page: vec::IntoIter<Wanted>,
    current: Option<Current>,
    /// Some messages were taken out meanwhile.
    is_incomplete: bool,
}

/// A message of the page.
struct Wanted {
    seq: Seq,
    entry: Entry,
    /// `\Seen` has just been set.
    tells_flags: bool,
    /// As far as the plan needs it.
    record: Option<MessageRecord>,
}

/// A message whose response is under way.
struct Current {
    wanted: Wanted,
    progress: Progress,
    content: Arc<dyn Body>,
    /// What of the content was announced and not said.
    left: Range<u64>,
}

/// Why a FETCH does not go on.
enum Stop {
    /// The command is refused.
    Refused(Refusal),
    /// Octets that were announced cannot be read: the connection is of no use.
    Broken,
}

/// Messages whose records are read at once: more where nothing else is read of them.
const PAGE_OF_RECORDS: usize = 256;
const PAGE_OF_CONTENTS: usize = 64;

impl Fetching {
    pub(super) fn new(
        messages: Messages,
        numbers: Numbers,
        recent: Vec<Range<u32>>,
        items: &[FetchItem],
        may_set_seen: bool,
    ) -> Self {
        Self {
            plan: Plan::new(items),
            messages,
            numbers,
            recent,
            may_set_seen,
            page: Vec::new().into_iter(),
            current: None,
            is_incomplete: false,
        }
    }
}

impl Imap {
    /// Makes the next page of the answer, or ends it.
    pub(super) async fn go_on_fetching(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        mut fetching: Box<Fetching>,
    ) {
        let octets_max = session.config().limits.page_octets;
        let mut out = Vec::new();
        loop {
            if out.len() >= octets_max {
                self.running = Some(Running::Fetch(fetching));
                return session.page(ticket, out.into());
            }
            match self.fetch_some(session, &mut fetching, &mut out, octets_max).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(Stop::Refused(refusal)) => {
                    session.print(&out);
                    return self.refuse(session, ticket, refusal);
                }
                Err(Stop::Broken) => return session.abort(ticket),
            }
        }
        session.print(&out);
        // RFC 2180 §4.1.2: what is there was answered; a UID that is not is no error (RFC 3501 §6.4.8).
        if fetching.is_incomplete && fetching.numbers == Numbers::Seq {
            self.refuse(session, ticket, Refusal::Expunged);
        } else {
            self.done(session, ticket);
        }
    }

    /// Goes one step on; false when there is nothing left.
    async fn fetch_some(
        &self,
        session: &mut Session,
        fetching: &mut Fetching,
        out: &mut Vec<u8>,
        octets_max: usize,
    ) -> Result<bool, Stop> {
        if fetching.current.is_some() {
            return self.go_on_printing(fetching, out, octets_max).await.map(|()| true);
        }
        if let Some(wanted) = fetching.page.next() {
            return self.begin_message(fetching, wanted, out).await.map(|()| true);
        }
        if fetching.messages.is_empty() {
            return Ok(false);
        }
        self.load_page(session, fetching).await.map(|()| true)
    }

    /// Reads the records of the next messages, and sets `\Seen`.
    async fn load_page(&self, session: &mut Session, fetching: &mut Fetching) -> Result<(), Stop> {
        let size = if fetching.plan.needs_content() { PAGE_OF_CONTENTS } else { PAGE_OF_RECORDS };
        let mailbox = fetching.messages.snapshot().mailbox;
        let mut page = fetching.messages.next_page(size);
        let mut seen = Vec::new();
        if fetching.plan.sets_seen() && fetching.may_set_seen {
            seen = self.set_seen(mailbox, &page).await;
            session.note(&seen);
            for (_, entry) in &mut page {
                if let Ok(at) = seen.binary_search_by_key(&entry.uid, |seen| seen.uid)
                    && let Some(seen) = seen.get(at)
                {
                    *entry = *seen;
                }
            }
        }
        let mut records = Vec::new();
        if fetching.plan.needs_record() {
            let uids: Vec<Uid> = page.iter().map(|(_, entry)| entry.uid).collect();
            let found = self.house.store.records(mailbox, &uids).await;
            records = found.map_err(|error| Stop::Refused(self.refusal()(error)))?;
        }
        let mut records = records.into_iter().peekable();
        let mut wanted = Vec::with_capacity(page.len());
        for (seq, entry) in page {
            let record = records.next_if(|record| record.uid == entry.uid);
            if record.is_none() && fetching.plan.needs_record() {
                fetching.is_incomplete = true;
                continue;
            }
            let tells_flags = seen.binary_search_by_key(&entry.uid, |seen| seen.uid).is_ok();
            wanted.push(Wanted { seq, entry, tells_flags, record });
        }
        fetching.page = wanted.into_iter();
        Ok(())
    }

    /// Sets `\Seen` where it is not; answers those messages as they are now. That this fails does not stop anybody from
    /// reading.
    async fn set_seen(&self, mailbox: MailboxId, page: &[(Seq, Entry)]) -> Vec<Entry> {
        let unseen = page.iter().filter(|(_, entry)| !entry.flags.has(Flags::SEEN));
        let uids: Vec<Uid> = unseen.map(|(_, entry)| entry.uid).collect();
        if uids.is_empty() {
            return Vec::new();
        }
        let change = FlagChange {
            mailbox,
            uids,
            op: FlagOp::Add,
            flags: Flags::SEEN,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        match self.commit_when(Intent::Flags(change), Urgency::Soon).await {
            Ok(Changed::Flags { entries, .. }) => entries.to_vec(),
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(session = self.session, protocol = "imap", %error, "\\Seen not set");
                Vec::new()
            }
        }
    }

    /// The response of a message begins; most often it also ends here.
    async fn begin_message(
        &self,
        fetching: &mut Fetching,
        mut wanted: Wanted,
        out: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        let facts = facts_of(&wanted, &fetching.messages, &fetching.recent);
        let begun = match fetching.plan.begin(&facts, out) {
            Ok(progress) => Ok(progress),
            Err(_) => {
                let Some(record) = &mut wanted.record else { return Err(Stop::Broken) };
                let structure = self.structure(record).await.map_err(Stop::Refused)?;
                record.summary = structure.encode().into();
                fetching.plan.begin(&facts_of(&wanted, &fetching.messages, &fetching.recent), out)
            }
        };
        let mut progress = begun.map_err(|_| Stop::Refused(Refusal::Broken))?;
        if !fetching.plan.needs_content() {
            let facts = facts_of(&wanted, &fetching.messages, &fetching.recent);
            fetching.plan.step(&mut progress, &facts, out);
            return Ok(());
        }
        let Some(record) = &wanted.record else { return Err(Stop::Broken) };
        let content = self.house.store.body(&record.body);
        fetching.current = Some(Current { wanted, progress, content, left: 0..0 });
        Ok(())
    }

    /// Some more of a message with content.
    async fn go_on_printing(
        &self,
        fetching: &mut Fetching,
        out: &mut Vec<u8>,
        octets_max: usize,
    ) -> Result<(), Stop> {
        let Some(current) = &mut fetching.current else { return Ok(()) };
        if current.left.start < current.left.end {
            let left = usize::try_from(current.left.end - current.left.start).unwrap_or(usize::MAX);
            let octets = self.read_announced(current, current.left.start, left.min(octets_max)).await?;
            current.left.start += octets.len() as u64;
            response::literal_content(&octets, out);
            return Ok(());
        }
        let facts = facts_of(&current.wanted, &fetching.messages, &fetching.recent);
        match fetching.plan.step(&mut current.progress, &facts, out) {
            Step::Content(range) => current.left = range,
            Step::Fields(range) => {
                let octets = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                let section = match octets {
                    0 => Bytes::new(),
                    _ => self.read_announced(current, range.start, octets).await?,
                };
                fetching.plan.fields(&mut current.progress, &section, out);
            }
            Step::Done => fetching.current = None,
        }
        Ok(())
    }

    /// Reads some of a content that the client waits for: nothing is an error.
    async fn read_announced(&self, current: &Current, offset: u64, max: usize) -> Result<Bytes, Stop> {
        let octets = self.read(&*current.content, offset, max).await.map_err(|_| Stop::Broken)?;
        if octets.is_empty() {
            let uid = current.wanted.entry.uid.0;
            tracing::error!(session = self.session, protocol = "imap", uid, "content is too short");
            return Err(Stop::Broken);
        }
        Ok(octets)
    }
}

fn facts_of<'a>(wanted: &'a Wanted, messages: &'a Messages, recent: &[Range<u32>]) -> MessageFacts<'a> {
    let record = wanted.record.as_ref();
    MessageFacts {
        seq: wanted.seq,
        entry: wanted.entry,
        keyword_names: &messages.snapshot().keyword_names,
        is_recent: recent.iter().any(|range| range.contains(&wanted.entry.uid.0)),
        tells_flags: wanted.tells_flags,
        internal_date: record.map_or(Timestamp(0), |record| record.internal_date),
        octets: record.map_or(0, |record| record.octets),
        structure: record.map_or(&[], |record| &record.summary),
    }
}
