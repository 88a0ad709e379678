//! The HTTP client: sends one request, gives back one [`Answer`] or one [`TransportError`].
//!
//! Called by the uploader. It never retries, never follows a redirect, never uses a proxy from the
//! environment, and speaks HTTP/1.1 only. The body goes out with its exact `Content-Length`, never
//! chunked. An answer that comes before the body is out (an early 403) is an answer.
//!
//! Time: a connection must stand within `connect`; the peer must acknowledge bytes within `stall` (the
//! kernel watches, TCP_USER_TIMEOUT, so a slow but living link is no error); and the whole exchange has
//! `stall` plus what the body takes at 2 KiB/s. Cancelling a request is safe: its outcome is unknown,
//! as it is after any transport error, and unknown is answered by the same PUT again.
//!
//! Invariant: no error text holds a URL, because a presigned URL is a secret.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request};
use url::Url;

use super::classify::{Answer, BODY_LIMIT, Headers};
use crate::clock::Timekeeper;
use crate::grant::PutRequest;
use crate::tls::TlsError;

/// The slowest link that an upload is expected to get through, bytes per second.
const SLOWEST: u64 = 2048;
/// Connections that stores and middle-boxes have forgotten are worse than none.
const IDLE: Duration = Duration::from_secs(30);

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For name, connection and TLS.
    pub connect: Duration,
    /// For the peer to acknowledge, and for its answer once the body is out.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(20), stall: Duration::from_secs(60) }
    }
}

/// Why there is no answer. All of them mean: the outcome is unknown, try the same again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nobody there: name, route or port.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Somebody there, but not whom the certificates say.
    #[error("tls: {0}")]
    Tls(String),
    /// No answer in time.
    #[error("no answer within {}s", .0.as_secs())]
    Silent(Duration),
    /// The connection ended.
    #[error("the connection broke: {words}")]
    Broken {
        /// What the system said.
        words: String,
        /// It had been idle before and may have been dead: worth trying again at once.
        was_idle: bool,
    },
}

/// One client for one destination.
#[derive(Debug)]
pub struct Http {
    client: Client,
    limits: Limits,
    timekeeper: Timekeeper,
    /// An earlier exchange left a connection for reuse, as far as is known.
    warm: AtomicBool,
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// [`TlsError::Library`] when the TLS configuration is refused.
    pub fn new(
        tls: rustls::ClientConfig,
        limits: Limits,
        timekeeper: Timekeeper,
    ) -> Result<Self, TlsError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .no_proxy()
            .referer(false)
            .connect_timeout(limits.connect)
            .tcp_user_timeout(limits.stall)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("vedette/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| TlsError::Library(rustls::Error::General(words(&e.without_url()))))?;
        Ok(Self { client, limits, timekeeper, warm: AtomicBool::new(false) })
    }

    /// Sends a signed PUT.
    ///
    /// # Errors
    /// [`TransportError`]: the outcome is unknown.
    pub async fn put(&self, put: PutRequest, body: Bytes) -> Result<Answer, TransportError> {
        self.send(Method::PUT, put.url, &put.headers, body).await
    }

    /// Announces something.
    ///
    /// # Errors
    /// [`TransportError`]: the outcome is unknown.
    pub async fn post(
        &self,
        url: Url,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Answer, TransportError> {
        self.send(Method::POST, url, headers, body).await
    }

    /// Asks for the server's time: `OPTIONS /` without credentials; any status will do.
    ///
    /// # Errors
    /// [`TransportError`]: nothing was learned.
    pub async fn ask_time(&self, endpoint: &Url) -> Result<Answer, TransportError> {
        let mut url = endpoint.clone();
        url.set_path("/");
        url.set_query(None);
        self.send(Method::OPTIONS, url, &[], Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        headers: &[(String, String)],
        body: Bytes,
    ) -> Result<Answer, TransportError> {
        let len = body.len() as u64;
        let time = self.limits.stall.saturating_add(Duration::from_secs(len / SLOWEST));
        let request = build(method, url, headers, body)?;
        let was_idle = self.warm.load(Ordering::Relaxed);
        let exchange = tokio::time::timeout(time, self.exchange(request)).await;
        let result = match exchange {
            Err(_) => Err(TransportError::Silent(time)),
            Ok(Err(e)) => Err(transport_error(&e.without_url(), time, was_idle)),
            Ok(Ok(answer)) => Ok(answer),
        };
        self.warm.store(result.is_ok(), Ordering::Relaxed);
        result
    }

    async fn exchange(&self, request: Request) -> Result<Answer, reqwest::Error> {
        let sent = self.timekeeper.boottime();
        let mut response = self.client.execute(request).await?;
        let received = self.timekeeper.boottime();
        let status = response.status().as_u16();
        let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let pairs: Vec<_> = response.headers().iter().map(|(k, v)| (k.clone(), text(v))).collect();
        let headers = Headers::read(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        // The head decides; a body that breaks off takes nothing back.
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = BODY_LIMIT - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() == BODY_LIMIT {
                break;
            }
        }
        Ok(Answer { status, headers, body, sent, received })
    }
}

fn build(
    method: Method,
    url: Url,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<Request, TransportError> {
    let unsendable =
        |name: &str| TransportError::Connect(format!("header {name:?} cannot be sent"));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let key = HeaderName::try_from(name.as_str()).map_err(|_| unsendable(name))?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|_| unsendable(name))?;
        map.append(key, value);
    }
    if method != Method::OPTIONS {
        map.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let mut request = Request::new(method, url);
    *request.headers_mut() = map;
    if !body.is_empty() {
        *request.body_mut() = Some(body.into());
    }
    Ok(request)
}

fn transport_error(e: &reqwest::Error, time: Duration, was_idle: bool) -> TransportError {
    let tls = causes(e).find_map(|cause| tls_error(cause.downcast_ref()?));
    match tls {
        Some(tls) => TransportError::Tls(tls),
        None if e.is_connect() => TransportError::Connect(words(e)),
        None if e.is_timeout() => TransportError::Silent(time),
        None => TransportError::Broken { words: words(e), was_idle },
    }
}

/// TLS errors come wrapped into one or two I/O errors.
fn tls_error(io: &std::io::Error) -> Option<String> {
    let inner = io.get_ref()?;
    match inner.downcast_ref::<rustls::Error>() {
        Some(tls) => Some(tls.to_string()),
        None => tls_error(inner.downcast_ref()?),
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes(e: &reqwest::Error) -> impl Iterator<Item = Cause<'_>> {
    std::iter::successors(e.source(), |cause: &Cause<'_>| (*cause).source())
}

/// The innermost cause: the outer ones only say "error sending request".
fn words(e: &reqwest::Error) -> String {
    causes(e).last().map_or_else(|| e.to_string(), ToString::to_string)
}
