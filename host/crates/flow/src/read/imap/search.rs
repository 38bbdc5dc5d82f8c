//! SEARCH: RFC 3501 §6.4.4. What flags and numbers decide is decided from them; of the other messages records are read, a page
//! at a time, and contents only where nothing else decides.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use maitred_imap::command::{Numbers, SearchKey};
use maitred_imap::response;
use maitred_imap::search::{Facts, HEADER_OCTETS_MAX, Hits, Search, Stage, Verdict};
use maitred_imap::view::{Messages, View};
use maitred_imap::{Refusal, Session};
use maitred_mail::mime::Structure;
use maitred_mail::{Body, Entry, MailboxId, Seq, Snapshot, Uid};
use maitred_store::MessageRecord;
use maitred_wire::Ticket;

use super::{Imap, PIECE_OCTETS, Running};

/// A SEARCH under way.
pub(super) struct Searching {
    search: Search,
    messages: Messages,
    /// UIDs that are recent in this session.
    recent: Vec<Range<u32>>,
    numbers: Numbers,
    is_begun: bool,
}

/// Messages that are looked at together.
const PAGE: usize = 512;
/// Messages whose records are read at once: between two such pages other sessions have their turn.
const PAGE_OF_RECORDS: usize = 64;

impl Searching {
    pub(super) fn new(
        told: Arc<Snapshot>,
        recent: Vec<Range<u32>>,
        key: &SearchKey,
        numbers: Numbers,
    ) -> Self {
        let search = Search::new(key, &told);
        let messages = View::new(told, 0..0).all();
        Self { search, messages, recent, numbers, is_begun: false }
    }

    fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().any(|range| range.contains(&uid.0))
    }

    fn number(&self, seq: Seq, entry: &Entry) -> u32 {
        match self.numbers {
            Numbers::Seq => seq.0,
            Numbers::Uid => entry.uid.0,
        }
    }
}

impl Imap {
    /// Makes the next page of the answer, or ends it.
    pub(super) async fn go_on_searching(
        &mut self,
        session: &mut Session,
        ticket: Ticket,
        mut searching: Box<Searching>,
    ) {
        let octets_max = session.config().limits.page_octets;
        let mut out = Vec::new();
        if !std::mem::replace(&mut searching.is_begun, true) {
            response::search_begin(&mut out);
        }
        let mailbox = searching.messages.snapshot().mailbox;
        while !searching.messages.is_empty() {
            if out.len() >= octets_max {
                self.running = Some(Running::Search(searching));
                return session.page(ticket, out.into());
            }
            let page = searching.messages.next_page(PAGE);
            give_way().await;
            if let Err(refusal) = self.search_page(mailbox, &searching, page, &mut out).await {
                // The response has begun: it is ended, and what it lacks is said.
                response::search_end(&mut out);
                session.print(&out);
                return self.refuse(session, ticket, refusal);
            }
        }
        response::search_end(&mut out);
        session.print(&out);
        self.done(session, ticket);
    }

    async fn search_page(
        &self,
        mailbox: MailboxId,
        searching: &Searching,
        page: Vec<(Seq, Entry)>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        // Found or not, where flags and numbers say it.
        let mut decided = Vec::with_capacity(page.len());
        let mut open: Vec<Uid> = Vec::new();
        for (seq, entry) in page {
            let facts = Facts::new(seq, entry, searching.is_recent(entry.uid));
            let verdict = searching.search.verdict(&facts);
            if matches!(verdict, Verdict::Needs(_)) {
                open.push(entry.uid);
            }
            if verdict != Verdict::Fails {
                decided.push((seq, entry, verdict));
            }
        }
        let mut rest = decided.into_iter();
        for uids in open.chunks(PAGE_OF_RECORDS) {
            let last = uids.last().copied().unwrap_or_default();
            let found = self.house.store.records(mailbox, uids).await.map_err(self.refusal())?;
            let mut records = found.into_iter().peekable();
            for (seq, entry, verdict) in rest.by_ref() {
                let is_found = match records.next_if(|record| record.uid == entry.uid) {
                    Some(record) => self.is_found(searching, seq, entry, &record).await?,
                    None => verdict == Verdict::Matches,
                };
                if is_found {
                    response::search_number(searching.number(seq, &entry), out);
                }
                if entry.uid == last {
                    break;
                }
            }
        }
        for (seq, entry, _) in rest.filter(|(_, _, verdict)| *verdict == Verdict::Matches) {
            response::search_number(searching.number(seq, &entry), out);
        }
        Ok(())
    }

    /// Reads what it takes to decide.
    async fn is_found(
        &self,
        searching: &Searching,
        seq: Seq,
        entry: Entry,
        record: &MessageRecord,
    ) -> Result<bool, Refusal> {
        let content = self.house.store.body(&record.body);
        let (mut structure, mut header, mut hits) = (None::<Structure>, None::<bytes::Bytes>, None::<Hits>);
        loop {
            let facts = Facts {
                record: Some((record.internal_date, record.octets)),
                structure: structure.as_ref(),
                header: header.as_deref(),
                hits: hits.as_ref(),
                ..Facts::new(seq, entry, searching.is_recent(entry.uid))
            };
            let stage = match searching.search.verdict(&facts) {
                Verdict::Matches => return Ok(true),
                Verdict::Fails => return Ok(false),
                Verdict::Needs(stage) => stage,
            };
            let Some(known) = &structure else {
                structure = Some(self.structure(record).await?);
                continue;
            };
            match stage {
                Stage::Header if header.is_none() => {
                    header = Some(self.header(&*content, known).await?);
                }
                Stage::Text if hits.is_none() => {
                    hits = Some(self.hits(&*content, &searching.search, known).await?);
                }
                _ => return Err(Refusal::Broken),
            }
        }
    }

    async fn header(&self, content: &dyn Body, structure: &Structure) -> Result<bytes::Bytes, Refusal> {
        let section = &structure.root.header;
        let octets = usize::try_from(section.end.saturating_sub(section.start)).unwrap_or(usize::MAX);
        self.read(content, section.start, octets.min(HEADER_OCTETS_MAX)).await
    }

    /// Looks for texts in the content, piece by piece.
    async fn hits(
        &self,
        content: &dyn Body,
        search: &Search,
        structure: &Structure,
    ) -> Result<Hits, Refusal> {
        let mut scan = search.scan(structure);
        while let Some(Range { start, end }) = scan.wanted() {
            let octets = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            let piece = self.read(content, start, octets.min(PIECE_OCTETS)).await?;
            scan.push(&piece);
        }
        Ok(scan.into_hits())
    }
}

/// Lets others have the thread: thousands of keys may be asked of each message, and nothing is waited for where flags
/// decide.
async fn give_way() {
    let mut is_given = false;
    let once = |context: &mut Context<'_>| {
        if std::mem::replace(&mut is_given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    };
    std::future::poll_fn(once).await;
}
