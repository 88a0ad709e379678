//! The store: one small object, PUT with the device's own credentials, as every picture is.
//!
//! Never a HEAD and never a GET: the credentials may write below the device's prefix, and nothing else.
//! So the object stands below that prefix, in the folder `doctor`, and neither its name nor its type is
//! a picture's (docs/object-contract.md, "What is no picture").

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::agent::Agent;
use super::network::Server;
use super::report::{Check, Finding};
use crate::clock::{ServerTime, SystemClock, Timekeeper, WallTime};
use crate::config::Config;
use crate::grant::{AddressStyle, Intent, S3Settings};
use crate::upload::attempt::Courier;
use crate::upload::classify::{Parked, Verdict};
use crate::upload::http::{Http, Limits};
use crate::upload::{DestinationSettings, DirSettings};

/// For a PUT of some hundred bytes, twice where the clock is corrected in between.
const PUT: Duration = Duration::from_secs(15);
const LIMITS: Limits = Limits { connect: Duration::from_secs(5), stall: Duration::from_secs(8) };
/// For the store to tell its time.
const DATE: Duration = Duration::from_secs(6);

/// Where the store is; `None` for a directory that nobody is told of.
pub(super) fn server(destination: &DestinationSettings) -> Option<Server> {
    match destination {
        DestinationSettings::S3(s3) => Some(bucket_server(s3)),
        DestinationSettings::Dir(DirSettings { announce: Some(url), .. }) => Some(Server {
            who: "store",
            key: "announce",
            host: bare(url.host_str().unwrap_or_default()).to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            secure: url.scheme() == "https",
            ca_file: None,
            own: None,
        }),
        DestinationSettings::Dir(_) | DestinationSettings::Nowhere => None,
    }
}

fn bucket_server(s3: &S3Settings) -> Server {
    let host = bare(s3.endpoint.host_str().unwrap_or_default());
    let host = match s3.style {
        AddressStyle::VirtualHost => format!("{}.{host}", s3.bucket),
        AddressStyle::Path => host.to_owned(),
    };
    let secure = s3.endpoint.scheme() == "https";
    let port = s3.endpoint.port_or_known_default().unwrap_or(443);
    Server {
        who: "store",
        key: "endpoint",
        host,
        port,
        secure,
        ca_file: s3.ca_file.clone(),
        own: None,
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// The store's time, where it tells one; the timekeeper learns it too.
pub(super) async fn time(s3: &S3Settings, timekeeper: &Timekeeper) -> Option<WallTime> {
    let verified = s3.endpoint.scheme() == "https";
    let tls = match verified {
        true => crate::tls::client_config(s3.ca_file.as_deref(), None, timekeeper),
        false => crate::tls::no_roots(timekeeper),
    };
    let http = Http::new(tls.ok()?, LIMITS, timekeeper.clone()).ok()?;
    let answer = tokio::time::timeout(DATE, http.ask_time(&s3.endpoint)).await.ok()?.ok()?;
    let (date, has_age) = (answer.headers.date?, answer.headers.has_age);
    let (sent, received) = (answer.sent, answer.received);
    timekeeper.observe(&ServerTime { date, sent, received, verified, has_age });
    (!has_age).then_some(date)
}

/// Stores the object.
pub(super) async fn put(config: &Config, timekeeper: &Timekeeper, agent: &Agent) -> Finding {
    let destination = &config.upload.destination;
    let courier = match Courier::new(destination, LIMITS, timekeeper.clone()) {
        Ok(courier) => courier,
        Err(error) => {
            return Finding::wrong(Check::Store, error.to_string(), "Correct `[destination]`.");
        }
    };
    let now = timekeeper.signing_time();
    let text = format!(
        "Written by `vedette doctor` of {} to see that it can be written. No picture; may be deleted.\n",
        config.identity.device
    );
    let key = key(config, "doctor", now, "txt");
    let intent = intent(config, key.clone(), text.into(), "text/plain");
    let began = Instant::now();
    let Ok(Some(verdict)) = tokio::time::timeout(PUT, courier.attempt_other(&intent)).await else {
        let text = format!("{destination}: no answer within {} s", PUT.as_secs());
        return Finding::wrong(
            Check::Store,
            text,
            "The store is overloaded, or something in between swallows what is sent.",
        );
    };
    if verdict == Verdict::Stored {
        let alarm = agent.alarm("destination");
        let ms = began.elapsed().as_millis();
        return match alarm {
            Some(alarm) => Finding::warning(
                Check::Store,
                format!("{key} is stored, but the agent has it parked: {}", alarm.text),
                "It tries again by itself within five minutes; `systemctl restart vedette` at once.",
            ),
            None => {
                Finding::ok(Check::Store, format!("{key} is stored in {destination}, in {ms} ms"))
            }
        };
    }
    refused(destination, &verdict)
}

/// Stores something that is no picture below the device's own prefix; its key.
///
/// # Errors
/// Why not, and what helps.
pub(crate) async fn upload(
    config: &Config,
    folder: &str,
    suffix: &str,
    body: Bytes,
    content_type: &str,
) -> Result<String, String> {
    let keeper = Timekeeper::new(Arc::new(SystemClock::new()), config.trust);
    let destination = &config.upload.destination;
    let courier = Courier::new(destination, Limits::default(), keeper.clone());
    let courier = courier.map_err(|error| error.to_string())?;
    let key = key(config, folder, keeper.signing_time(), suffix);
    let intent = intent(config, key.clone(), body, content_type);
    match courier.attempt_other(&intent).await {
        Some(Verdict::Stored) => Ok(key),
        Some(verdict) => {
            let found = refused(destination, &verdict);
            Err([Some(found.text), found.help].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        None => Err(format!("{destination} takes pictures only: copy the file")),
    }
}

/// Something that is no picture, ready to be signed.
fn intent(config: &Config, key: String, body: Bytes, content_type: &str) -> Intent {
    let sha256 = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
    let agent = format!("vedette-{}", env!("CARGO_PKG_VERSION"));
    let meta =
        vec![("device".to_owned(), config.identity.device.clone()), ("agent".to_owned(), agent)];
    Intent { key, body, sha256, content_type: content_type.to_owned(), meta }
}

/// A key below the device's own prefix that is no picture's: `v1/porch-1/doctor/20261123T071500Z-1b6c0e9f.txt`.
fn key(config: &Config, folder: &str, now: WallTime, suffix: &str) -> String {
    let template = config.cameras.first().map_or("", |c| c.profile.key_template.as_str());
    let prefix = prefix(template, &config.identity.device);
    let when = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let when = when.strftime("%Y%m%dT%H%M%SZ");
    format!("{prefix}/{folder}/{when}-{:08x}.{suffix}", fastrand::u32(..))
}

/// The folders in front of the first field that changes from picture to picture: what credentials are
/// limited to.
fn prefix(template: &str, device: &str) -> String {
    let fixed = template.split('{').next().unwrap_or_default();
    match fixed.rsplit_once('/') {
        Some((folders, _)) if !folders.is_empty() => folders.to_owned(),
        _ => format!("v1/{device}"),
    }
}

fn refused(destination: &DestinationSettings, verdict: &Verdict) -> Finding {
    let wrong = |text: String, help: &str| {
        Finding::wrong(Check::Store, format!("{destination}: {text}"), help)
    };
    match verdict {
        Verdict::Stored => Finding::ok(Check::Store, "stored"),
        Verdict::Park(parked) => wrong(parked.to_string(), remedy(parked)),
        Verdict::FixCredentials { why } => wrong(
            format!("the store does not accept the credentials: {why}"),
            "Keys wrong, ended, or of another account: renew the credentials file, then reload (restart, where \
             systemd hands it over).",
        ),
        Verdict::FixClock { why, .. } => wrong(
            format!("the store does not accept our time: {why}"),
            "Mend this device's clock: `timedatectl`.",
        ),
        Verdict::Retry { why, .. } if why.contains("captive portal") => wrong(
            why.clone(),
            "Not the store answered: log this network in (open a web page on it), or let the store's host through.",
        ),
        Verdict::Retry { why, .. } => wrong(
            why.clone(),
            "The store is away or busy; the agent tries again by itself. If it stays so, ask its operator.",
        ),
        Verdict::CheckOwnFile { why } => {
            wrong(why.clone(), "Something on the way changes what is sent: a proxy?")
        }
        Verdict::Quarantine { why } | Verdict::Refused { why } => {
            wrong(why.clone(), "Is `endpoint` an S3 store, and `provider` the right one?")
        }
    }
}

fn remedy(parked: &Parked) -> &'static str {
    match parked {
        Parked::AccessDenied(_) => "Give the keys `PutObject` below the device's prefix.",
        Parked::Credentials(_) => "Renew the credentials file, then reload.",
        Parked::NoBucket(_) => "Create the bucket, or correct `bucket`.",
        Parked::WrongRegion { .. } => "Set `region`, or `endpoint`, to what it names.",
        Parked::Quota(_) => "The store's quota, or its bill.",
        Parked::Unsupported(_) => "It lacks create-only writes or checksums: set `provider`.",
        Parked::Refuses(_) | Parked::Setup(_) => "Is `endpoint` an S3 store?",
        Parked::Directory(_) => "Mount it, free room, correct its rights.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_credentials_are_limited_to() {
        for (template, expected) in [
            ("v1/cam1/{camera}/{yyyy}/{seq}-{sha16}.jpg", "v1/cam1"),
            ("3f/acme/cam1/{camera}-{seq}-{sha16}.jpg", "3f/acme/cam1"),
            ("pictures-{seq}-{sha16}.jpg", "v1/cam1"),
            ("", "v1/cam1"),
        ] {
            assert_eq!(prefix(template, "cam1"), expected);
        }
    }

    #[test]
    fn every_way_to_be_refused_has_a_remedy_and_the_words() {
        let why = || "403 SomeCode".to_owned();
        let dest = DestinationSettings::Dir(DirSettings { path: "/x".into(), announce: None });
        for (verdict, part) in [
            (Verdict::Park(Parked::AccessDenied(why())), "PutObject"),
            (Verdict::Park(Parked::NoBucket(why())), "Create the bucket"),
            (Verdict::Park(Parked::WrongRegion { named: why() }), "region"),
            (Verdict::FixCredentials { why: why() }, "credentials file"),
            (
                Verdict::Retry { after: None, why: why() + ": a captive portal" },
                "log this network in",
            ),
            (Verdict::Retry { after: None, why: why() }, "by itself"),
        ] {
            let found = refused(&dest, &verdict);
            assert!(found.text.contains("403 SomeCode"), "{}", found.text);
            assert!(found.help.as_deref().unwrap().contains(part), "{found:?}");
        }
    }
}
