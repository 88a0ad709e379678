//! One attempt to store one picture, wherever the destination is.
//!
//! Called by the worker, which knows the spool; here nobody does. An attempt may send more than one
//! request: a wrong clock is corrected and signed again once, and a kept-alive connection that died
//! while idle is replaced once; neither counts as a failure. Everything else is one [`Verdict`].

use std::sync::Arc;

use url::Url;

use super::classify::{Answer, Verdict, classify, retry_after};
use super::http::{Http, Limits, TransportError};
use super::{DestinationSettings, DirSettings, Item, announce, dir};
use crate::clock::{BootTime, ServerTime, Timekeeper, WallTime};
use crate::grant::{Grant, GrantError, Intent, S3Settings, s3::S3};
use crate::tls::{self, TlsError};

/// Why there is nothing to send with. A person must mend it; it is tried again now and then.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Nobody to believe.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The bucket cannot be addressed.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The keys could not be read.
    #[error("the store's keys cannot be read: put the credentials file there, then reload")]
    Keys,
    /// There is no destination.
    #[error("no destination is configured")]
    Nowhere,
}

enum Target {
    Http { grant: Box<Grant>, endpoint: Url },
    Dir(Arc<DirSettings>),
}

/// Stores pictures at one destination.
pub struct Courier {
    target: Target,
    http: Http,
    timekeeper: Timekeeper,
}

impl Courier {
    /// Reads certificates and builds the client; sends nothing.
    ///
    /// # Errors
    /// [`SetupError`] when certificates or bucket cannot be used.
    pub fn new(
        destination: &DestinationSettings,
        limits: Limits,
        timekeeper: Timekeeper,
    ) -> Result<Self, SetupError> {
        let (target, secure, ca_file) = match destination {
            DestinationSettings::S3(settings) if !settings.has_keys() => {
                return Err(SetupError::Keys);
            }
            DestinationSettings::S3(settings) => {
                let S3Settings { endpoint, ca_file, .. } = settings.as_ref();
                let grant = Box::new(Grant::S3(S3::new(settings)?));
                let target = Target::Http { grant, endpoint: endpoint.clone() };
                (target, endpoint.scheme() == "https", ca_file.as_deref())
            }
            DestinationSettings::Dir(settings) => {
                let secure = settings.announce.as_ref().is_some_and(|u| u.scheme() == "https");
                (Target::Dir(Arc::new(settings.clone())), secure, None)
            }
            DestinationSettings::Nowhere => return Err(SetupError::Nowhere),
        };
        let tls = match secure {
            true => tls::client_config(ca_file, None, &timekeeper)?,
            false => tls::no_roots(&timekeeper)?,
        };
        let http = Http::new(tls, limits, timekeeper.clone())?;
        Ok(Self { target, http, timekeeper })
    }

    /// One attempt. Dropping it leaves the outcome unknown, which the next attempt resolves.
    pub async fn attempt(&self, item: &Item) -> Verdict {
        match &self.target {
            Target::Http { grant, endpoint } => self.put(grant, endpoint, &item.intent()).await,
            Target::Dir(settings) => self.store(settings, item).await,
        }
    }

    /// One attempt to store something that is no picture; `None` where the destination is a directory.
    pub async fn attempt_other(&self, intent: &Intent) -> Option<Verdict> {
        match &self.target {
            Target::Http { grant, endpoint } => Some(self.put(grant, endpoint, intent).await),
            Target::Dir(_) => None,
        }
    }

    /// Asks the endpoint for its time. True when the clock became trusted by the answer; false also
    /// where there is nobody to ask.
    pub async fn ask_time(&self) -> bool {
        let Target::Http { endpoint, .. } = &self.target else { return false };
        match self.http.ask_time(endpoint).await {
            Ok(answer) => self.observe(&answer, endpoint),
            Err(error) => {
                tracing::debug!(%error, "The store did not tell its time.");
                false
            }
        }
    }

    /// Whether there is a server whose time can be asked for.
    #[must_use]
    pub fn has_endpoint(&self) -> bool {
        matches!(self.target, Target::Http { .. })
    }

    async fn put(&self, grant: &Grant, endpoint: &Url, intent: &Intent) -> Verdict {
        let (mut may_correct, mut may_reconnect) = (true, true);
        loop {
            let (start, signed_as) = (self.timekeeper.boottime(), self.timekeeper.signing_time());
            let request = match grant.put(intent, signed_as) {
                Ok(request) => request,
                Err(e) => return Verdict::Quarantine { why: e.to_string() },
            };
            let answer = match self.http.put(request, intent.body.clone()).await {
                Ok(answer) => answer,
                Err(TransportError::Broken { was_idle: true, .. }) if may_reconnect => {
                    may_reconnect = false;
                    continue;
                }
                Err(e) => return Verdict::Retry { after: None, why: e.to_string() },
            };
            let verdict = classify(&answer, at(signed_as, start, answer.received));
            match verdict {
                Verdict::FixClock { server, ref why } if may_correct => {
                    tracing::info!(
                        why,
                        "Our clock differs from the store's; corrected, signing again."
                    );
                    self.timekeeper.correct(&server_time(&answer, endpoint, server));
                    may_correct = false;
                }
                verdict => {
                    if verdict == Verdict::Stored {
                        self.observe(&answer, endpoint);
                    }
                    return verdict;
                }
            }
        }
    }

    async fn store(&self, settings: &Arc<DirSettings>, item: &Item) -> Verdict {
        let (dir, to_store) = (Arc::clone(settings), item.clone());
        let stored = tokio::task::spawn_blocking(move || dir::store(&dir.path, &to_store)).await;
        let verdict = stored.unwrap_or_else(|e| Verdict::Retry {
            after: None,
            why: format!("writing failed: {e}"),
        });
        match &settings.announce {
            Some(url) if verdict == Verdict::Stored => self.announce(settings, url, item).await,
            _ => verdict,
        }
    }

    /// A function that was not told is an object not stored: the whole attempt is tried again.
    async fn announce(&self, settings: &DirSettings, url: &Url, item: &Item) -> Verdict {
        let now = self.timekeeper.wall_at(self.timekeeper.boottime());
        let event = announce::event(&settings.path, item, now);
        match self.http.post(url.clone(), &event.headers, event.body).await {
            Ok(answer) if (200..300).contains(&answer.status) => Verdict::Stored,
            Ok(answer) => Verdict::Retry {
                after: retry_after(&answer, self.timekeeper.signing_time()),
                why: format!("the announcement was answered {}", answer.status),
            },
            Err(e) => Verdict::Retry { after: None, why: format!("the announcement failed: {e}") },
        }
    }

    fn observe(&self, answer: &Answer, endpoint: &Url) -> bool {
        let Some(date) = answer.headers.date else { return false };
        self.timekeeper.observe(&server_time(answer, endpoint, date))
    }
}

/// Our clock's reading at `then`, had it gone on from what was signed.
fn at(signed_as: WallTime, start: BootTime, then: BootTime) -> WallTime {
    let passed = i64::try_from(then.since(start).as_millis()).unwrap_or(i64::MAX);
    WallTime(signed_as.0.saturating_add(passed))
}

fn server_time(answer: &Answer, endpoint: &Url, date: WallTime) -> ServerTime {
    ServerTime {
        date,
        sent: answer.sent,
        received: answer.received,
        verified: endpoint.scheme() == "https",
        has_age: answer.headers.has_age,
    }
}

impl Item {
    fn intent(&self) -> Intent {
        Intent {
            key: self.key.clone(),
            body: self.body.clone(),
            sha256: self.facts.sha256.clone(),
            content_type: self.facts.content_type.clone(),
            meta: self.meta.clone(),
        }
    }
}
