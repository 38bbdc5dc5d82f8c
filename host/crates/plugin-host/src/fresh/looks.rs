//! What a message is like, found for all facts of a call together: each text is taken out and lowered once.

use maitred_mail::header::Fields;
use maitred_mail::mime::Part;
use maitred_policy::facts::plain;
use maitred_policy::{HookCall, MessageFacts, SessionFacts};

use super::like::{Like, lowered};
use super::{Fact, head, recipients, sender};
use crate::capability::text;
use crate::parts::{self, Source};
use crate::state::Budget;

/// Text that is looked at; nobody pays for it, so it is little.
const TEXT_OCTETS_MAX: usize = 64 << 10;
/// A header section that is looked at, for each fact about it anew.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Parts of it, of which a plugin looks at no more either.
const TEXTS_MAX: usize = 20;

/// What was found by now; `None` inside where it cannot be known.
#[derive(Default)]
pub(super) struct Looks {
    /// Names of files, lowered.
    names: Option<Option<Vec<String>>>,
    /// Subject fields and text parts, lowered, where they are neither too many nor too long.
    contents: Option<Option<Vec<String>>>,
}

impl Looks {
    /// Whether it is as the fact asks; `None` inside of a fact that does not ask so, `None` of one that cannot be known.
    pub(super) async fn is_like(
        &mut self,
        fact: &Fact,
        session: &SessionFacts,
        call: HookCall<'_>,
    ) -> Option<Option<bool>> {
        let is_like = match fact {
            Fact::SenderLike(like) => {
                let sender = sender(session, call).map(plain).unwrap_or_default();
                like.is(&lowered(sender))
            }
            Fact::RecipientLike(like) => {
                recipients(call).iter().any(|recipient| like.is(&lowered(recipient.address.to_string())))
            }
            Fact::HeaderLike(name, like) => any_field(short(head(call))?, name, like),
            Fact::ContentLike(like) => {
                let contents = self.contents(whole(call)?).await?;
                contents.iter().any(|text| like.is(text))
            }
            Fact::FileLike(like) => {
                let message = whole(call)?;
                let names = self.names.get_or_insert_with(|| names(message)).as_ref()?;
                names.iter().any(|name| like.is(name))
            }
            Fact::Larger(octets) => {
                let message = whole(call)?;
                message.head.len() as u64 + 2 + message.body.octets() > *octets
            }
            _ => return Some(None),
        };
        Some(Some(is_like))
    }

    async fn contents(&mut self, message: &MessageFacts) -> Option<&[String]> {
        if self.contents.is_none() {
            self.contents = Some(contents(message).await);
        }
        self.contents.as_ref()?.as_deref()
    }
}

/// All parts. Where nobody has taken the message apart yet, that would be work that nobody pays for.
fn all_parts(message: &MessageFacts) -> Option<Vec<&Part>> {
    let mut all = Vec::new();
    parts::all(&message.structure.as_ref()?.root, &mut all);
    Some(all)
}

fn names(message: &MessageFacts) -> Option<Vec<String>> {
    let names = all_parts(message)?.into_iter().filter_map(|part| part.fields.file_name());
    Some(names.map(lowered).collect())
}

async fn contents(message: &MessageFacts) -> Option<Vec<String>> {
    let subjects = Fields::new(short(&message.head)?).filter(|field| field.is("Subject"));
    let mut contents: Vec<String> = subjects.map(|field| lowered(text(&field))).collect();
    let mut budget = Budget::of_octets(2 * TEXT_OCTETS_MAX as u64);
    let all = all_parts(message)?;
    let texts = all.into_iter().filter(|part| part.fields.media_type.eq_ignore_ascii_case(b"text"));
    let mut octets = 0;
    for (number, part) in texts.enumerate() {
        let text = Source::of(part).text(message, &mut budget, TEXT_OCTETS_MAX + 1).await.ok()?;
        octets += text.len();
        if number >= TEXTS_MAX || octets > TEXT_OCTETS_MAX {
            return None;
        }
        contents.push(lowered(text));
    }
    Some(contents)
}

/// The message, where all of it is there.
fn whole<'a>(call: HookCall<'a>) -> Option<&'a MessageFacts> {
    if let HookCall::Message(message) = call { Some(message) } else { None }
}

fn short(head: &[u8]) -> Option<&[u8]> {
    (head.len() <= HEAD_OCTETS_MAX).then_some(head)
}

fn any_field(head: &[u8], name: &str, like: &Like) -> bool {
    Fields::new(head).filter(|field| field.is(name)).any(|field| like.is(&lowered(text(&field))))
}
