//! A mail server's stand-in: real TCP, SMTP as of RFC 5321, no TLS. It keeps every letter it takes, and
//! refuses as many as it is told to. It must never know who sends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A connection that says nothing for so long is dropped.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A letter that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Whom the envelope says it is from.
    pub from: String,
    /// Whom the envelope says it is to.
    pub to: Vec<String>,
    /// Headers and text, as they came, without the dots that were stuffed.
    pub text: String,
}

/// A mail server that listens on this machine. Its thread ends with the process.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    letters: Mutex<Vec<Letter>>,
    /// Letters that are refused for now.
    refuse: AtomicU32,
}

impl MailServer {
    /// Starts one.
    ///
    /// # Errors
    /// No port is free.
    pub fn start() -> io::Result<MailServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = MailServer { address: listener.local_addr()?, shared: Arc::default() };
        let shared = server.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client that goes in the middle is no concern of others.
                std::thread::spawn(move || drop(talk(&stream, &shared)));
            }
        });
        Ok(server)
    }

    /// Every letter it took, in their order.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.shared.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses the next so many letters with 451: try again later.
    pub fn refuse(&self, letters: u32) {
        self.shared.refuse.store(letters, Ordering::SeqCst);
    }
}

fn talk(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let say = |text: &str| (&mut &*stream).write_all(format!("{text}\r\n").as_bytes());
    let mut lines = BufReader::new(stream).lines();
    say("220 localhost ready")?;
    let (mut from, mut to) = (String::new(), Vec::new());
    while let Some(line) = lines.next().transpose()? {
        let verb = line.to_ascii_uppercase();
        if verb.starts_with("EHLO") || verb.starts_with("HELO") {
            say("250-localhost\r\n250 8BITMIME")?;
        } else if verb.starts_with("MAIL FROM:") {
            (from, to) = (within(&line), Vec::new());
            say("250 ok")?;
        } else if verb.starts_with("RCPT TO:") {
            to.push(within(&line));
            say("250 ok")?;
        } else if verb == "DATA" {
            say("354 go on")?;
            let text = text(&mut lines)?;
            let is_refused =
                shared.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if is_refused {
                say("451 try again later")?;
                continue;
            }
            let letter = Letter { from: from.clone(), to: std::mem::take(&mut to), text };
            shared.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
            say("250 taken")?;
        } else if verb == "QUIT" {
            return say("221 bye");
        } else if verb == "RSET" || verb == "NOOP" {
            say("250 ok")?;
        } else {
            say("500 not known")?;
        }
    }
    Ok(())
}

/// What stands in angle brackets.
fn within(line: &str) -> String {
    let rest = line.split_once('<').map_or("", |(_, rest)| rest);
    rest.split_once('>').map_or("", |(address, _)| address).to_owned()
}

/// The lines up to a single dot.
fn text(lines: &mut impl Iterator<Item = io::Result<String>>) -> io::Result<String> {
    let mut text = String::new();
    for line in lines {
        let line = line?;
        if line == "." {
            break;
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
    Ok(text)
}
