//! The octets between 354 and the end mark.
//!
//! RFC 5321 §4.5.2 (transparency), §4.5.3.1.6 (text lines), §2.3.8 (only CRLF ends a line). What is refused is read
//! away to its true end mark, so that nothing of it is taken for a command.

use maitred_wire::dot::{Progress, Unstuffer};

use super::config::Limits;

/// Why a message is refused while it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// More octets than allowed.
    TooBig,
    /// A CR or LF came alone.
    BareLineEnd,
    /// A line is longer than allowed.
    LongLine,
}

/// Takes a message apart into chunks.
#[derive(Debug, Default)]
pub(super) struct DataReader {
    unstuffer: Unstuffer,
    chunk: Vec<u8>,
    /// Octets of the message so far.
    octets: u64,
    /// Octets read away since the fault.
    drained: u64,
    /// Octets of the line that the last chunk ended in.
    line_octets: usize,
    /// Octets since [`DataReader::has_progressed`] last said yes.
    fresh: u64,
    fault: Option<Fault>,
    is_complete: bool,
}

impl DataReader {
    /// Takes what it has room for; answers how much.
    pub(super) fn input(&mut self, octets: &[u8], limits: &Limits) -> usize {
        let room = self.room(limits);
        if self.is_complete || room == 0 {
            return 0;
        }
        let piece = octets.get(..room).unwrap_or(octets);
        let before = self.chunk.len();
        self.chunk.reserve(piece.len());
        let taken = match self.unstuffer.unstuff(piece, &mut self.chunk) {
            Progress::More => piece.len(),
            Progress::End(taken) => {
                self.is_complete = true;
                taken
            }
        };
        let taken_octets = taken as u64;
        self.fresh += taken_octets;
        self.octets += (self.chunk.len() - before) as u64;
        if self.fault.is_none() {
            self.fault = self.find_fault(before, limits);
        }
        if self.fault.is_some() {
            self.drained += taken_octets;
            self.chunk = Vec::new();
        }
        taken
    }

    /// What came since the last call.
    pub(super) fn take_chunk(&mut self) -> Option<Vec<u8>> {
        (!self.chunk.is_empty()).then(|| std::mem::take(&mut self.chunk))
    }

    /// True when the end mark was read.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Why the message is refused, if it is.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Octets of the message so far.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// True when no more is read away.
    pub(super) fn is_hopeless(&self, limits: &Limits) -> bool {
        self.drained > limits.drain_octets_max
    }

    /// True when enough arrived to wait anew.
    pub(super) fn has_progressed(&mut self, limits: &Limits) -> bool {
        let has = self.fresh >= limits.data_octets_min;
        if has {
            self.fresh = 0;
        }
        has
    }

    fn room(&self, limits: &Limits) -> usize {
        // Lines that lie within one chunk are then never too long, and need not be measured.
        limits.chunk_octets_max.min(limits.text_line_octets_max).max(1).saturating_sub(self.chunk.len())
    }

    fn find_fault(&mut self, before: usize, limits: &Limits) -> Option<Fault> {
        if self.unstuffer.has_bare() {
            return Some(Fault::BareLineEnd);
        }
        if self.octets > limits.message_octets_max {
            return Some(Fault::TooBig);
        }
        let fresh = self.chunk.get(before..).unwrap_or_default();
        let first = memchr::memchr(b'\n', fresh).map_or(fresh.len(), |at| at + 1);
        let longest = self.line_octets + first;
        self.line_octets = match memchr::memrchr(b'\n', fresh) {
            Some(last) => fresh.len() - last - 1,
            None => longest,
        };
        (longest > limits.text_line_octets_max).then_some(Fault::LongLine)
    }
}
