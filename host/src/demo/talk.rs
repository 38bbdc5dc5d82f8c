//! A plain mail client for the demo: it says a line, hears the answer, and shows both. Loopback only.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use maitred_tls::{Client, Trust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::story::Story;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// One connection of a client.
pub(super) struct Talk {
    wire: Box<dyn Wire>,
    held: Vec<u8>,
    who: &'static str,
    story: Arc<Story>,
    tags: u32,
}

/// How long an answer may take: generous, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer texts are cut when they are shown.
const SHOWN_LINES_MAX: usize = 14;

impl Talk {
    /// Connects to a port of this machine.
    pub(super) async fn to(port: u16, who: &'static str, story: &Arc<Story>) -> anyhow::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(("127.0.0.1", port))).await??;
        stream.set_nodelay(true)?;
        Ok(Self { wire: Box::new(stream), held: Vec::new(), who, story: Arc::clone(story), tags: 0 })
    }

    /// Shakes hands over what is open; the demo's certificates are self-signed.
    pub(super) async fn secure(&mut self, tls: &Client, name: &str) -> anyhow::Result<()> {
        ensure!(self.held.is_empty(), "the server spoke before TLS");
        let plain = std::mem::replace(&mut self.wire, Box::new(tokio::io::empty()));
        let (stream, established) = timeout(PATIENCE, tls.connect(plain, name, Trust::Any)).await??;
        self.wire = Box::new(stream);
        self.story.note(&format!("TLS is up: {} {}", established.version, established.cipher));
        Ok(())
    }

    /// Says a line.
    pub(super) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.story.client(self.who, line);
        self.wire.write_all(format!("{line}\r\n").as_bytes()).await?;
        Ok(self.wire.flush().await?)
    }

    /// Says a line that holds a secret: it is shown without.
    pub(super) async fn say_secretly(&mut self, line: &str, shown: &str) -> anyhow::Result<()> {
        self.story.client(self.who, shown);
        self.wire.write_all(format!("{line}\r\n").as_bytes()).await?;
        Ok(self.wire.flush().await?)
    }

    /// Sends octets as they are; of long texts only the beginning is shown.
    pub(super) async fn send(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        self.show(octets, |story, who, line| story.client(who, line));
        self.wire.write_all(octets).await?;
        Ok(self.wire.flush().await?)
    }

    /// Hears one line, with its CRLF taken off.
    pub(super) async fn hear(&mut self) -> anyhow::Result<String> {
        let line = self.line().await?;
        self.story.server(self.who, &line);
        Ok(line)
    }

    /// Hears an SMTP reply to its last line, which must begin with this code.
    pub(super) async fn reply(&mut self, code: &str) -> anyhow::Result<String> {
        loop {
            let line = self.hear().await?;
            if line.get(3..4) != Some("-") {
                ensure!(line.starts_with(code), "expected {code}, heard {line:?}");
                return Ok(line);
            }
        }
    }

    /// Says an IMAP command and hears everything up to its tagged response, which must be OK.
    pub(super) async fn command(&mut self, command: &str) -> anyhow::Result<Vec<String>> {
        self.tags += 1;
        let tag = format!("a{}", self.tags);
        match command.split_once(' ') {
            Some(("LOGIN", rest)) => {
                let name = rest.split(' ').next().unwrap_or_default();
                let shown = format!("{tag} LOGIN {name} ********");
                self.say_secretly(&format!("{tag} {command}"), &shown).await?;
            }
            _ => self.say(&format!("{tag} {command}")).await?,
        }
        let mut heard = Vec::new();
        loop {
            let line = self.hear().await?;
            if let Some(octets) = literal(&line) {
                heard.push(line);
                let content = self.octets(octets).await?;
                self.show(&content, |story, who, line| story.server(who, line));
                heard.push(String::from_utf8_lossy(&content).into_owned());
                continue;
            }
            if let Some(rest) = line.strip_prefix(&tag) {
                ensure!(rest.starts_with(" OK"), "{command} was answered {line:?}");
                return Ok(heard);
            }
            heard.push(line);
        }
    }

    /// Hears lines until one contains this.
    pub(super) async fn until(&mut self, wanted: &str) -> anyhow::Result<String> {
        loop {
            let line = self.hear().await?;
            if line.contains(wanted) {
                return Ok(line);
            }
        }
    }

    /// Hears a POP3 multi-line response: the octets between the first line and the end mark, dots undone.
    pub(super) async fn multiline(&mut self) -> anyhow::Result<Vec<u8>> {
        let first = self.hear().await?;
        ensure!(first.starts_with('+'), "heard {first:?}");
        let mut content = Vec::new();
        loop {
            let line = self.raw_line().await?;
            match line.as_slice() {
                b".\r\n" => break,
                [b'.', rest @ ..] => content.extend_from_slice(rest),
                all => content.extend_from_slice(all),
            }
        }
        self.show(&content, |story, who, line| story.server(who, line));
        Ok(content)
    }

    fn show(&self, octets: &[u8], each: impl Fn(&Story, &str, &str)) {
        let text = String::from_utf8_lossy(octets);
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(SHOWN_LINES_MAX) {
            each(&self.story, self.who, line);
        }
        if let Some(more @ 1..) = lines.len().checked_sub(SHOWN_LINES_MAX) {
            each(&self.story, self.who, &format!("… {more} more lines"));
        }
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = self.raw_line().await?;
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    async fn raw_line(&mut self) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.held.iter().position(|octet| *octet == b'\n') {
                let rest = self.held.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.held, rest));
            }
            self.fill().await?;
        }
    }

    async fn octets(&mut self, octets: usize) -> anyhow::Result<Vec<u8>> {
        while self.held.len() < octets {
            self.fill().await?;
        }
        let rest = self.held.split_off(octets);
        Ok(std::mem::replace(&mut self.held, rest))
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let mut piece = [0; 4096];
        let count = timeout(PATIENCE, self.wire.read(&mut piece)).await.context("no answer in time")??;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            bail!("the server closed the connection");
        };
        self.held.extend_from_slice(read);
        Ok(())
    }
}

/// The length of the literal that a line announces at its end (RFC 3501 §4.3).
fn literal(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
