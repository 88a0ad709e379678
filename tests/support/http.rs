//! The smallest HTTP client that a test needs to look at a server from outside.
//!
//! Not the agent's client, so that a fault in that one cannot hide itself. HTTP/1.0: the answer ends
//! where the connection ends, and no server may chunk it.

#![cfg(test)]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use url::Url;

/// A server's answer.
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body's bytes.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Sends one request and reads the whole answer; errors are the transport's.
pub(crate) fn send(
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let address = url.socket_addrs(|| None)?;
    let mut stream = TcpStream::connect(&*address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head = format!("{method} {}", &url[url::Position::BeforePath..]);
    head += &format!(
        " HTTP/1.0\r\nhost: {}\r\n",
        &url[url::Position::BeforeHost..url::Position::AfterPort]
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    // A server may refuse by the head alone and close: its answer counts, not our broken pipe.
    stream.write_all(body).ok();

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| invalid("no head"))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    Ok(Response {
        status: status.ok_or_else(|| invalid("no status"))?,
        headers: lines
            .filter_map(|l| l.split_once(':'))
            .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
            .collect(),
        body: answer.split_off(end + 4),
    })
}
