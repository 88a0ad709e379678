//! An HTTP server that does what a test tells it, also what no real server would: answer early, reset,
//! say nothing. Blocking, a thread a connection; it remembers every request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// It came over a connection that had answered before.
    pub(crate) reused: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url: url::Url = format!("http://x{}", self.target).parse().unwrap();
        url.query_pairs().find(|(k, _)| k == name).map(|(_, v)| v.into_owned())
    }
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Read the body, answer with this status line and headers and body, keep the connection.
    Answer(String, String),
    /// Answer without having read the body, then close. Only for requests that carry
    /// `x-amz-meta-label-early`, because the script must be asked before the body is read.
    Early(String, String),
    /// Read the body, then reset the connection.
    Reset,
    /// Read the body and say nothing until the client goes.
    Silence,
    /// Read the body, send half a status line, close.
    Cut,
}

type Script = Box<dyn FnMut(&Seen) -> Step + Send>;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(script: impl FnMut(&Seen) -> Step + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (all, end) = (Arc::clone(&seen), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let (all, script) = (Arc::clone(&all), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &all, &script));
            }
        });
        Self { addr, seen, stop }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|s| s.method == method).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        TcpStream::connect(self.addr).ok();
    }
}

/// One connection, until either side has had enough; errors only mean that the client went.
fn serve(stream: &TcpStream, seen: &Mutex<Vec<Seen>>, script: &Mutex<Script>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut reused = false;
    loop {
        let mut request = read_head(&mut reader)?;
        request.reused = reused;
        let early = request.header("x-amz-meta-label-early").is_some();
        if !early {
            let len = request.header("content-length").map_or(0, |v| v.parse().unwrap());
            request.body = vec![0; len];
            reader.read_exact(&mut request.body).ok()?;
        }
        seen.lock().unwrap().push(request.clone());
        let step = (script.lock().unwrap())(&request);
        match step {
            Step::Answer(head, body) => answer(stream, &head, &body)?,
            Step::Early(head, body) => {
                answer(stream, &head, &body)?;
                // Reads on, as a real store does for a while, so that the answer is not lost to a reset.
                reader.read_to_end(&mut Vec::new()).ok();
                return None;
            }
            Step::Reset => {
                rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
                return None;
            }
            Step::Silence => {
                reader.read_to_end(&mut Vec::new()).ok();
                return None;
            }
            Step::Cut => return (&mut &*stream).write_all(b"HTTP/1.1 2").ok(),
        }
        reused = true;
    }
}

fn read_head(reader: &mut BufReader<&TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    (reader.read_line(&mut line).ok()? > 0).then_some(())?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(Seen { method, target, headers, ..Seen::default() });
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn answer(mut stream: &TcpStream, head: &str, body: &str) -> Option<()> {
    let bodiless = head.starts_with("304") || head.starts_with("204");
    let head = head.trim_end().replace('\n', "\r\n");
    let length =
        if bodiless { String::new() } else { format!("\r\nContent-Length: {}", body.len()) };
    let body = if bodiless { "" } else { body };
    stream.write_all(format!("HTTP/1.1 {head}{length}\r\n\r\n{body}").as_bytes()).ok()
}
