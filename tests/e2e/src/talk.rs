//! A plain client over a socket: says lines, hears lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, ensure};

/// One connection.
pub struct Talk {
    reader: BufReader<TcpStream>,
    tags: u32,
}

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Talk {
    /// Connects to a port of this machine and hears the greeting.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn to(port: u16) -> Result<(Self, String)> {
        Self::connect(port, "")
    }

    /// The same as a client of this IPv4 address, as a proxy tells of it: for a listener with `proxy_protocol`.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn from(client: &str, port: u16) -> Result<(Self, String)> {
        Self::connect(port, &format!("PROXY TCP4 {client} 127.0.0.1 40000 25\r\n"))
    }

    fn connect(port: u16, opening: &str) -> Result<(Self, String)> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut talk = Self { reader: BufReader::new(stream), tags: 0 };
        talk.send(opening.as_bytes())?;
        let greeting = talk.hear()?;
        Ok((talk, greeting))
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.reader.get_mut().write_all(octets)?)
    }

    /// Hears a line, without its CRLF.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn hear(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        ensure!(line.ends_with(b"\n"), "the connection is gone");
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Says an SMTP command and hears the last line of its reply.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn smtp(&mut self, line: &str) -> Result<String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Hears the last line of an SMTP reply.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn reply(&mut self) -> Result<String> {
        loop {
            let line = self.hear()?;
            if line.get(3..4) != Some("-") {
                return Ok(line);
            }
        }
    }

    /// One transaction over this connection: the reply to the end of data, or to the command that was refused.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn deliver(&mut self, from: &str, to: &[&str], message: &str) -> Result<String> {
        let mut replies = vec![self.smtp(&format!("MAIL FROM:<{from}>"))?];
        for recipient in to {
            replies.push(self.smtp(&format!("RCPT TO:<{recipient}>"))?);
        }
        if let Some(refused) = replies.into_iter().find(|reply| !reply.starts_with('2')) {
            self.smtp("RSET")?;
            return Ok(refused);
        }
        let go = self.smtp("DATA")?;
        if !go.starts_with("354") {
            return Ok(go);
        }
        self.send(format!("{message}\r\n.\r\n").as_bytes())?;
        self.reply()
    }

    /// The same with one recipient, and MAIL, RCPT and DATA at once (RFC 2920).
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn pipeline(&mut self, from: &str, to: &str, message: &str) -> Result<String> {
        self.send(format!("MAIL FROM:<{from}>\r\nRCPT TO:<{to}>\r\nDATA\r\n").as_bytes())?;
        let replies = [self.reply()?, self.reply()?, self.reply()?];
        if let Some(refused) = replies.into_iter().find(|reply| !reply.starts_with(['2', '3'])) {
            self.smtp("RSET")?;
            return Ok(refused);
        }
        self.send(format!("{message}\r\n.\r\n").as_bytes())?;
        self.reply()
    }

    /// Says an IMAP command and hears everything up to its tagged response; literals are taken as lines.
    ///
    /// # Errors
    /// When the connection is gone or the response is not OK.
    pub fn imap(&mut self, command: &str) -> Result<Vec<String>> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.send(format!("{tag} {command}\r\n").as_bytes())?;
        let mut heard = Vec::new();
        loop {
            let line = self.hear()?;
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                ensure!(rest.starts_with("OK"), "{command}: {rest}");
                return Ok(heard);
            }
            let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse().ok());
            heard.push(line);
            if let Some(octets) = literal {
                let mut content = vec![0; octets];
                self.reader.read_exact(&mut content)?;
                heard.push(String::from_utf8_lossy(&content).into_owned());
            }
        }
    }

    /// Logs in to an IMAP server that allows it without TLS.
    ///
    /// # Errors
    /// When it does not.
    pub fn login(port: u16, account: &str) -> Result<Self> {
        let (mut talk, _) = Self::to(port)?;
        talk.imap(&format!("LOGIN {account} secret"))?;
        Ok(talk)
    }

    /// How many messages a mailbox has.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn select(&mut self, mailbox: &str) -> Result<u32> {
        let heard = self.imap(&format!("SELECT {mailbox}"))?;
        let count =
            heard.iter().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok());
        Ok(count.unwrap_or(0))
    }
}
