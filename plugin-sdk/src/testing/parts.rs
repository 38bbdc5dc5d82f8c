//! What the text of a test message is made of: enough of MIME (RFC 2046 §5.1) to try a plugin on attachments.

use super::Part;

/// The whole; and where it is a multipart, the parts in it, one level deep. Transfer encodings stay as they are.
pub(super) fn parts(content_type: Option<&str>, body: &[u8]) -> Vec<(Part, Vec<u8>)> {
    let whole = part(&[("content-type", content_type.unwrap_or("text/plain"))], body);
    let boundary = content_type.and_then(|value| parameter(value, "boundary"));
    let Some(boundary) = boundary.filter(|_| whole.content_type.starts_with("multipart/")) else {
        return vec![(whole, body.to_vec())];
    };
    let text = format!("\r\n{}", String::from_utf8_lossy(body));
    let mut all = vec![(whole, Vec::new())];
    // Before the first delimiter stands nothing of interest, and the last one ends with two more hyphens.
    let delimiter = format!("\r\n--{boundary}");
    let pieces = text.split(delimiter.as_str()).skip(1);
    for piece in pieces.take_while(|piece| !piece.starts_with("--")) {
        let piece = piece.strip_prefix("\r\n").unwrap_or(piece);
        let (head, inside) = piece.split_once("\r\n\r\n").unwrap_or(("", piece.trim_start()));
        let fields: Vec<(&str, &str)> = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        let mut inner = part(&fields, inside.as_bytes());
        inner.parent = Some(0);
        all.push((inner, inside.as_bytes().to_vec()));
    }
    all
}

fn part(fields: &[(&str, &str)], body: &[u8]) -> Part {
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    };
    let word = |value: &str| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, disposition) = (field("content-type").unwrap_or("text/plain"), field("content-disposition"));
    Part {
        content_type: word(kind),
        charset: parameter(kind, "charset"),
        disposition: disposition.map(word),
        file_name: disposition
            .and_then(|value| parameter(value, "filename"))
            .or_else(|| parameter(kind, "name")),
        content_id: field("content-id").map(str::to_owned),
        size: body.len() as u64,
        ..Part::default()
    }
}

fn parameter(value: &str, wanted: &str) -> Option<String> {
    let parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut of_that_name = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    of_that_name.next().map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use crate::Message;
    use crate::testing::FakeMessage;

    #[test]
    fn a_multipart_is_taken_apart() {
        let message = FakeMessage::new(
            "Content-Type: multipart/mixed; boundary=\"b\"\n\nThis is MIME.\n--b\n\nhello\n--b\n\
             Content-Type: application/zip; name=a.zip\nContent-Disposition: Attachment; filename=\"b.zip\"\n\nUEs=\n--b--\n",
        );
        let told: Vec<_> =
            message.parts().into_iter().map(|part| (part.content_type, part.file_name, part.size)).collect();
        let [whole, text, zip] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(whole.0, "multipart/mixed");
        assert_eq!(*text, ("text/plain".to_owned(), None, 5));
        assert_eq!(*zip, ("application/zip".to_owned(), Some("b.zip".to_owned()), 4));
        assert_eq!(message.part_text(1, 100).as_deref(), Some("hello"));
        assert_eq!(message.part_text(2, 100), None);
        assert_eq!(message.parts()[2].disposition.as_deref(), Some("attachment"));
    }

    #[test]
    fn anything_else_is_one_part() {
        let message = FakeMessage::new("Subject: x\n\n--b\nhello");
        assert_eq!(message.parts().len(), 1);
        assert_eq!(message.part_text(0, 100).as_deref(), Some("--b\r\nhello"));
    }
}
