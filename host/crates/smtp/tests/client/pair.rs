//! Our client against our server: what is handed over arrives, octet by octet.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use maitred_mail::{Address, Durable, MailParameters, MessageId, ReversePath};
use maitred_smtp::client::{self, Fate, Letter};
use maitred_smtp::server::{self, Settled};
use maitred_wire::{Engine as _, OverTls, Step};

use crate::driver::config;

/// Carries both sides' octets, `cut` at a time, until both are done. The messages that arrived, and every fate.
fn carry(messages: &[Vec<u8>], cut: usize) -> (Vec<Vec<u8>>, Vec<Fate>) {
    let mut server = server::Session::new(Arc::new(server::Config::new(server::Mode::Smtp, "mx.b.test")));
    let mut client = client::Session::new(Arc::new(config("")));
    let (mut to_server, mut to_client) = (Vec::<u8>::new(), Vec::<u8>::new());
    let (mut arrived, mut fates, mut next) = (Vec::new(), Vec::new(), 0);
    let now = Instant::now();
    let (mut is_shaking, mut is_over) = ((false, false), (false, false));
    for _ in 0..1_000_000 {
        match server.poll(now) {
            Step::Send(octets) => to_client.extend_from_slice(&octets),
            Step::Event(event) => serve(&mut server, event, &mut arrived),
            Step::StartTls => is_shaking.0 = true,
            Step::Close => is_over.0 = true,
            Step::Wait { .. } => {
                let piece = &to_server[..to_server.len().min(cut)];
                if !piece.is_empty() {
                    let taken = server.input(piece);
                    to_server.drain(..taken);
                }
            }
        }
        match client.poll(now) {
            Step::Send(octets) => to_server.extend_from_slice(&octets),
            Step::Event(client::Event::Ready { ticket }) => match messages.get(next) {
                Some(message) => client.begin(&ticket, letter(message)),
                None => client.quit(&ticket),
            },
            Step::Event(client::Event::Content { ticket, offset, .. }) => {
                let rest = &messages[next][usize::try_from(offset).unwrap()..];
                client.content(&ticket, &Bytes::copy_from_slice(&rest[..rest.len().min(7)]));
            }
            Step::Event(client::Event::Settled(settled)) => {
                fates.extend(settled);
                next += 1;
            }
            Step::Event(client::Event::Failed(failure)) => panic!("{failure:?}"),
            Step::StartTls => is_shaking.1 = true,
            Step::Close => is_over.1 = true,
            Step::Wait { .. } => {
                let piece = &to_client[..to_client.len().min(cut)];
                if !piece.is_empty() {
                    let taken = client.input(piece);
                    to_client.drain(..taken);
                }
            }
        }
        if is_shaking == (true, true) {
            let tls =
                || OverTls::after_handshake("TLSv1.3".into(), "TLS_AES_128_GCM_SHA256".into(), None, false);
            server.secured(tls());
            client.secured(tls());
            is_shaking = (false, false);
        }
        if is_over == (true, true) {
            return (arrived, fates);
        }
    }
    panic!("no end: {to_server:?} {to_client:?}");
}

fn letter(message: &[u8]) -> Letter {
    Letter {
        reverse_path: ReversePath::Null,
        parameters: MailParameters::default(),
        recipients: vec![Address::parse("x@b.test").unwrap(), Address::parse("nobody@b.test").unwrap()],
        octets: message.len() as u64,
    }
}

fn serve(server: &mut server::Session, event: server::Event, arrived: &mut Vec<Vec<u8>>) {
    use server::Event;
    match event {
        Event::Connected { ticket } | Event::Hello { ticket, .. } | Event::Mail { ticket, .. } => {
            server.accept(ticket)
        }
        Event::Rcpt { ticket, forward_path } if forward_path.to_string().contains("nobody") => {
            let status = maitred_mail::EnhancedStatus::NO_SUCH_USER;
            server.refuse(ticket, &maitred_smtp::Refusal::new(status, "nobody"));
        }
        Event::Rcpt { ticket, .. } => server.accept(ticket),
        Event::Data { ticket } => {
            arrived.push(Vec::new());
            server.accept(ticket);
        }
        Event::Chunk(octets) => arrived.last_mut().unwrap().extend_from_slice(&octets),
        Event::EndOfData { ticket, .. } => {
            let settled =
                Settled::Stored { durable: Durable::after_sync(), id: MessageId(1), refused: Vec::new() };
            server.settle(ticket, &settled);
        }
        Event::Authenticate { .. } | Event::Reset => {}
    }
}

#[test]
fn several_messages_over_one_encrypted_connection_arrive_as_they_are() {
    let messages: Vec<Vec<u8>> = ["Subject: x\r\n\r\n.\r\n..\r\nend\r\n", "a\r\n", "\r\n"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec();
    for cut in [1, 2, 3, 1000] {
        let (arrived, fates) = carry(&messages, cut);
        assert_eq!(arrived, messages, "cut {cut}");
        assert_eq!(fates.len(), 6);
        for pair in fates.chunks(2) {
            assert!(matches!(pair, [Fate::Accepted(_), Fate::Refused(_)]), "{pair:?}");
        }
    }
}

#[test]
fn what_would_end_a_message_elsewhere_arrives_as_one_message() {
    for (before, after) in ["\r\n", "\n", "\r"].iter().flat_map(|b| ["\r\n", "\n", "\r"].map(|a| (*b, a))) {
        let message = format!("a{before}.{after}MAIL FROM:<x@x>\r\n").into_bytes();
        let (arrived, _) = carry(&[message], 1000);
        assert_eq!(arrived, [b"a\r\n.\r\nMAIL FROM:<x@x>\r\n".to_vec()], "{before:?} {after:?}");
    }
}
