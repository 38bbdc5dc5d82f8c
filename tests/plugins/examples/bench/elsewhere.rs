//! What is measured beside: a milter-shaped conversation and an HTTP hook, with servers that do nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Result, ensure};

/// A server on loopback, a thread a connection.
pub fn serve(conversation: fn(TcpStream) -> std::io::Result<()>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || conversation(stream));
        }
    });
    Ok(address)
}

/// The packets of a milter (version 6, no replies wanted to what needs none): each is a length, a letter and octets.
pub struct Milter(TcpStream);

impl Milter {
    pub fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// MAIL, RCPT, DATA, all fields, end of header, the body in pieces of 64 KiB, end: replies to MAIL, RCPT, DATA, end of header,
    /// each piece and the end.
    pub fn message(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        for letter in [b'M', b'R', b'T'] {
            self.packet(letter, b"<alice@b.test>\0")?;
            self.reply()?;
        }
        for line in head.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            self.packet(b'L', line)?;
        }
        self.packet(b'N', b"")?;
        self.reply()?;
        for piece in body.chunks(64 << 10) {
            self.packet(b'B', piece)?;
            self.reply()?;
        }
        self.packet(b'E', b"")?;
        self.reply()
    }

    fn packet(&mut self, letter: u8, octets: &[u8]) -> Result<()> {
        let length = u32::try_from(octets.len() + 1)?;
        let packet = [&length.to_be_bytes()[..], &[letter], octets].concat();
        Ok(self.0.write_all(&packet)?)
    }

    fn reply(&mut self) -> Result<()> {
        let mut reply = [0; 5];
        self.0.read_exact(&mut reply)?;
        ensure!(reply[4] == b'c', "a reply");
        Ok(())
    }
}

pub fn milter_server(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut packet = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap_or(0)];
        stream.read_exact(&mut packet)?;
        // Of single fields nobody wants a reply.
        if packet.first() != Some(&b'L') {
            stream.write_all(&[0, 0, 0, 1, b'c'])?;
        }
    }
}

/// One POST with the message as JSON, on a connection that stays.
pub struct Http(TcpStream);

impl Http {
    pub fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub fn message(&mut self, head: &[u8], body: &[u8]) -> Result<()> {
        let content = serde_json::to_vec(&serde_json::json!({
            "envelope": { "from": "alice@b.test", "to": ["bob@a.test"] },
            "headers": String::from_utf8_lossy(head),
            "contents": String::from_utf8_lossy(body),
        }))?;
        let request = format!("POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len());
        self.0.write_all(&[request.as_bytes(), &content].concat())?;
        let mut reply = [0; HTTP_REPLY.len()];
        self.0.read_exact(&mut reply)?;
        ensure!(reply == *HTTP_REPLY, "a reply");
        Ok(())
    }
}

const HTTP_REPLY: &[u8; 58] = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{\"action\":\"accept\"}";

pub fn http_server(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut octets = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            read_some(&mut stream, &mut octets)?;
        };
        let head = String::from_utf8_lossy(octets.get(..end).unwrap_or_default()).into_owned();
        let length =
            head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        while octets.len() < end + length.unwrap_or(0) {
            read_some(&mut stream, &mut octets)?;
        }
        let content: serde_json::Value = serde_json::from_slice(octets.get(end..).unwrap_or_default())?;
        std::hint::black_box(content);
        octets.clear();
        stream.write_all(HTTP_REPLY)?;
    }
}

fn read_some(stream: &mut TcpStream, octets: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 64 << 10];
    let count = stream.read(&mut piece)?;
    if count == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    octets.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(())
}
