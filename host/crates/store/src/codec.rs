//! The values of the index, octet by octet. Each begins with a version.

pub(crate) mod cell;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use maitred_mail::{AccountId, Entry, Flags, Keywords, ModSeq, Timestamp, Uid, UidValidity};

use crate::Error;
use crate::record::{BodyRef, Extent};

const VERSION: u8 = 1;

/// What a mailbox is as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) account: AccountId,
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) modseq: ModSeq,
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) recent_from: Uid,
}

/// What never changes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) internal_date: Timestamp,
    pub(crate) octets: u64,
    pub(crate) body: BodyRef,
    pub(crate) summary: Summary,
}

/// What was computed at delivery: here, or in the log when it is large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Summary {
    Inline(Bytes),
    InLog(Extent),
}

/// Reads values; too short a value is damage.
struct Reader(Bytes);

impl Reader {
    fn new(value: Bytes) -> Result<Self, Error> {
        let mut reader = Self(value);
        match reader.u8()? {
            VERSION => Ok(reader),
            other => Err(Error::Damaged(format!("a value of version {other}"))),
        }
    }

    fn need(&self, octets: usize) -> Result<(), Error> {
        if self.0.remaining() < octets {
            Err(Error::Damaged("a value that is too short".to_owned()))
        } else {
            Ok(())
        }
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.need(8)?;
        Ok(self.0.get_u64())
    }

    fn extent(&mut self) -> Result<Extent, Error> {
        Ok(Extent { segment: self.u32()?, offset: self.u64()?, octets: self.u64()? })
    }
}

fn writer(capacity: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(capacity + 1);
    out.put_u8(VERSION);
    out
}

fn put_extent(out: &mut BytesMut, extent: Extent) {
    out.put_u32(extent.segment);
    out.put_u64(extent.offset);
    out.put_u64(extent.octets);
}

impl Head {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = writer(36);
        out.put_u64(self.account.0);
        out.put_u32(self.uid_validity.0);
        out.put_u32(self.uid_next.0);
        out.put_u64(self.modseq.0);
        out.put_u32(self.messages);
        out.put_u32(self.unseen);
        out.put_u32(self.recent_from.0);
        out.freeze()
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(value)?;
        Ok(Self {
            account: AccountId(reader.u64()?),
            uid_validity: UidValidity(reader.u32()?),
            uid_next: Uid(reader.u32()?),
            modseq: ModSeq(reader.u64()?),
            messages: reader.u32()?,
            unseen: reader.u32()?,
            recent_from: Uid(reader.u32()?),
        })
    }
}

/// Flags, keywords and mod-sequence of one message.
pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    let mut out = writer(17);
    out.put_u8(entry.flags.0);
    out.put_u64(entry.keywords.0);
    out.put_u64(entry.modseq.0);
    out.freeze()
}

pub(crate) fn decode_entry(uid: Uid, value: Bytes) -> Result<Entry, Error> {
    let mut reader = Reader::new(value)?;
    Ok(Entry {
        uid,
        flags: Flags(reader.u8()?),
        keywords: Keywords(reader.u64()?),
        modseq: ModSeq(reader.u64()?),
    })
}

pub(crate) fn put_body(out: &mut BytesMut, body: &BodyRef) {
    put_extent(out, body.head);
    put_extent(out, body.tail);
    out.put_u32(body.local_head);
}

fn read_body(reader: &mut Reader) -> Result<BodyRef, Error> {
    Ok(BodyRef { head: reader.extent()?, tail: reader.extent()?, local_head: reader.u32()? })
}

impl Message {
    pub(crate) fn encode(&self) -> Bytes {
        let summary = if let Summary::Inline(octets) = &self.summary { octets.len() } else { 20 };
        let mut out = writer(90 + summary);
        out.put_i64(self.internal_date.0);
        out.put_u64(self.octets);
        put_body(&mut out, &self.body);
        match &self.summary {
            Summary::Inline(octets) => {
                out.put_u8(0);
                out.put_slice(octets);
            }
            Summary::InLog(extent) => {
                out.put_u8(1);
                put_extent(&mut out, *extent);
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(value: Bytes) -> Result<Self, Error> {
        let mut reader = Reader::new(value)?;
        let internal_date = Timestamp(reader.u64()?.cast_signed());
        let octets = reader.u64()?;
        let body = read_body(&mut reader)?;
        let summary = match reader.u8()? {
            0 => Summary::Inline(reader.0),
            _ => Summary::InLog(reader.extent()?),
        };
        Ok(Self { internal_date, octets, body, summary })
    }
}

/// A queue entry: where its content is, then the entry as JSON.
pub(crate) fn encode_queue(entry: &maitred_queue::Entry, body: &BodyRef) -> Result<Bytes, Error> {
    let mut out = writer(512);
    put_body(&mut out, body);
    let json = serde_json::to_vec(entry).map_err(|error| Error::Unavailable(error.to_string()))?;
    out.put_slice(&json);
    Ok(out.freeze())
}

pub(crate) fn decode_queue(value: Bytes) -> Result<(maitred_queue::Entry, BodyRef), Error> {
    let mut reader = Reader::new(value)?;
    let body = read_body(&mut reader)?;
    let entry =
        serde_json::from_slice(&reader.0).map_err(|error| Error::Damaged(format!("queue entry: {error}")))?;
    Ok((entry, body))
}

/// One number.
pub(crate) fn encode_number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(crate) fn decode_number(value: &[u8]) -> Result<u64, Error> {
    value
        .try_into()
        .map(u64::from_be_bytes)
        .map_err(|_| Error::Damaged("a number of the wrong length".to_owned()))
}
