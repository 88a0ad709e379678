//! Presigned PUTs for anything that speaks S3, with keys that are on the device.
//!
//! Called by the uploader through [`super::Grant`]. Pure: the signing time is passed in, nothing is
//! sent. Everything that makes the upload safe is a *signed header*, so that nobody between us and the
//! store can change it: `content-type`, the digest, `if-none-match: *` and the metadata. (Measured: two
//! independent stores answer 412 to a second PUT, 400 to a wrong body, 403 to a changed header.)
//!
//! `if-none-match: *` is sent to every provider. Whether COS, OSS and OBS honour it at their S3 face is
//! not known; a store that ignores it overwrites the object with the same bytes, because the key holds
//! their digest.
//!
//! Failure: what cannot be signed (a key or a header value outside the portable alphabet) can never be
//! stored anywhere, and is an error that names it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};

use super::{AddressStyle, GrantError, Intent, Provider, PutRequest, S3Settings, check_key};
use crate::clock::WallTime;

/// Signatures begin this long before the store's time, as well as we know it.
pub const BEFORE: Duration = Duration::from_secs(10 * 60);
/// And are valid this long.
pub const VALID: Duration = Duration::from_secs(30 * 60);

/// Signs for one bucket.
#[derive(Clone)]
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    provider: Provider,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.bucket.name())
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

impl S3 {
    /// Checks that the bucket can be addressed.
    ///
    /// # Errors
    /// [`GrantError::Settings`] when endpoint and bucket do not make a URL.
    pub fn new(settings: &S3Settings) -> Result<Self, GrantError> {
        let style = match settings.style {
            AddressStyle::Path => UrlStyle::Path,
            AddressStyle::VirtualHost => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(
            settings.endpoint.clone(),
            style,
            settings.bucket.clone(),
            settings.region.clone(),
        )
        .map_err(|e| GrantError::Settings(e.to_string()))?;
        let credentials = match &settings.session_token {
            Some(token) => Credentials::new_with_token(
                settings.access_key.as_str(),
                settings.secret_key.0.as_str(),
                token.0.as_str(),
            ),
            None => Credentials::new(settings.access_key.as_str(), settings.secret_key.0.as_str()),
        };
        Ok(Self { bucket, credentials, provider: settings.provider })
    }

    /// The bucket's URL; not signed, no secret.
    #[must_use]
    pub fn base_url(&self) -> &url::Url {
        self.bucket.base_url()
    }

    /// Signs one PUT as of `now`, the store's time as well as it is known.
    ///
    /// # Errors
    /// [`GrantError::Unsignable`] when key or metadata can never be an object's.
    pub fn sign(&self, intent: &Intent, now: WallTime) -> Result<PutRequest, GrantError> {
        check_key(&intent.key)?;
        let headers = self.headers(intent)?;
        let from = jiff::Timestamp::from_second(now.seconds())
            .and_then(|t| t.checked_sub(jiff::SignedDuration::try_from(BEFORE)?))
            .map_err(|_| GrantError::Unsignable("the clock is outside all calendars".into()))?;
        let mut put = self.bucket.put_object(Some(&self.credentials), &intent.key);
        for (name, value) in &headers {
            put.headers_mut().insert(name.as_str(), value.as_str());
        }
        let url = put.sign_with_time(VALID, &from);
        let expires = WallTime(from.as_millisecond().saturating_add(30 * 60 * 1000));
        Ok(PutRequest { url, headers, expires })
    }

    fn headers(&self, intent: &Intent) -> Result<Vec<(String, String)>, GrantError> {
        let mut headers = vec![
            ("content-type".to_owned(), intent.content_type.clone()),
            ("if-none-match".to_owned(), "*".to_owned()),
            self.digest(intent)?,
        ];
        for (name, value) in &intent.meta {
            headers.push((format!("x-amz-meta-{}", name.to_ascii_lowercase()), value.clone()));
        }
        for (name, value) in &headers {
            check_header(name, value)?;
        }
        headers.sort();
        headers.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(headers)
    }

    /// The digest that this provider is proven to check; Content-MD5 where nothing is proven, because
    /// every one of them checks that.
    fn digest(&self, intent: &Intent) -> Result<(String, String), GrantError> {
        Ok(match self.provider {
            Provider::Aws | Provider::Minio | Provider::Seaweedfs => {
                let bytes = from_hex(&intent.sha256)
                    .ok_or_else(|| GrantError::Unsignable("sha256 is not 64 hex digits".into()))?;
                ("x-amz-checksum-sha256".into(), BASE64.encode(bytes))
            }
            Provider::Rgw | Provider::Cos | Provider::Oss | Provider::Obs | Provider::Generic => {
                ("content-md5".into(), BASE64.encode(Md5::digest(&intent.body)))
            }
        })
    }
}

/// Signing trims and folds spaces, HTTP does not: a value that either would change is refused.
fn check_header(name: &str, value: &str) -> Result<(), GrantError> {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let visible = value.bytes().all(|b| (0x20..0x7f).contains(&b));
    if name.bytes().all(token) && visible && value.trim() == value && !value.contains("  ") {
        return Ok(());
    }
    Err(GrantError::Unsignable(format!("header {name:?} cannot be signed")))
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::grant::Secret;

    const SHA: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn settings(provider: Provider) -> S3Settings {
        S3Settings {
            endpoint: "http://127.0.0.1:8333".parse().unwrap(),
            bucket: "pictures".into(),
            region: "us-east-1".into(),
            style: AddressStyle::Path,
            provider,
            access_key: "AKIDEXAMPLE".into(),
            secret_key: Secret(SECRET.into()),
            session_token: None,
            ca_file: None,
        }
    }

    fn intent(key: &str) -> Intent {
        Intent {
            key: key.into(),
            body: Bytes::from_static(b"test"),
            sha256: SHA.into(),
            content_type: "image/jpeg".into(),
            meta: vec![("device".into(), "cam-7".into())],
        }
    }

    fn query(url: &url::Url) -> std::collections::BTreeMap<String, String> {
        url.query_pairs().into_owned().collect()
    }

    /// The vectors are botocore's (the file says how they were made): another implementation, the
    /// same signature.
    #[test]
    fn signatures_are_those_of_an_independent_implementation() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/presign.json")).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let text = |name: &str| case[name].as_str().unwrap().to_owned();
            let headers = case["headers"].as_object().unwrap();
            let provider =
                if headers.contains_key("content-md5") { Provider::Generic } else { Provider::Aws };
            let s3 = S3::new(&S3Settings {
                endpoint: text("endpoint").parse().unwrap(),
                bucket: text("bucket"),
                region: text("region"),
                style: match text("style").as_str() {
                    "path" => AddressStyle::Path,
                    _ => AddressStyle::VirtualHost,
                },
                session_token: case["token"].as_str().map(|t| Secret(t.into())),
                ..settings(provider)
            })
            .unwrap();
            let meta = headers
                .iter()
                .filter_map(|(k, v)| {
                    Some((k.strip_prefix("x-amz-meta-")?.to_owned(), v.as_str()?.to_owned()))
                })
                .collect();
            let now = WallTime((case["signed_at"].as_i64().unwrap() + 600) * 1000);
            let put = s3.sign(&Intent { meta, ..intent(&text("key")) }, now).unwrap();
            let theirs: url::Url = text("url").parse().unwrap();
            assert_eq!(put.url.path(), theirs.path(), "{}", text("name"));
            assert_eq!(put.url.host_str(), theirs.host_str());
            assert_eq!(query(&put.url), query(&theirs), "{}", text("name"));
            let sent: std::collections::BTreeMap<_, _> = put.headers.into_iter().collect();
            assert_eq!(sent.len(), headers.len());
            assert!(headers.iter().all(|(k, v)| sent.get(k).map(String::as_str) == v.as_str()));
        }
    }

    #[test]
    fn each_provider_gets_the_digest_that_it_checks_and_always_create_only() {
        let sha = |p| matches!(p, Provider::Aws | Provider::Minio | Provider::Seaweedfs);
        for provider in [
            Provider::Aws,
            Provider::Minio,
            Provider::Seaweedfs,
            Provider::Rgw,
            Provider::Cos,
            Provider::Oss,
            Provider::Obs,
            Provider::Generic,
        ] {
            let put =
                S3::new(&settings(provider)).unwrap().sign(&intent("v1/a"), WallTime(0)).unwrap();
            let has = |name: &str| put.headers.iter().any(|(k, _)| k == name);
            assert_eq!((has("x-amz-checksum-sha256"), has("content-md5")), {
                let sha = sha(provider);
                (sha, !sha)
            });
            assert!(put.headers.contains(&("if-none-match".into(), "*".into())));
            let signed = &query(&put.url)["X-Amz-SignedHeaders"];
            assert!(put.headers.iter().all(|(k, _)| signed.split(';').any(|s| s == k)));
        }
    }

    #[test]
    fn what_can_never_be_an_object_is_said_so() {
        let s3 = S3::new(&settings(Provider::Generic)).unwrap();
        let refused =
            |i: Intent| matches!(s3.sign(&i, WallTime(0)).unwrap_err(), GrantError::Unsignable(_));
        for key in ["", "/a", "a//b", "a/../b", "a/./b", "a b", "ä", "a?b", "a/"] {
            assert!(refused(intent(key)), "{key:?}");
        }
        for value in ["a\r\nx: y", " a", "a  b", "ä", "\u{7f}"] {
            let meta = vec![("label".into(), value.into())];
            assert!(refused(Intent { meta, ..intent("a") }), "{value:?}");
        }
        assert!(refused(Intent { meta: vec![("a_b".into(), "x".into())], ..intent("a") }));
        assert!(s3.sign(&intent("a"), WallTime(i64::MAX)).is_err());
        let dotted = S3Settings { style: AddressStyle::VirtualHost, ..settings(Provider::Generic) };
        assert!(matches!(S3::new(&dotted), Err(GrantError::Settings(_))), "bucket.127.0.0.1");
    }

    #[test]
    fn neither_debug_nor_errors_show_a_secret() {
        let settings = settings(Provider::Aws);
        let s3 = S3::new(&settings).unwrap();
        let put = s3.sign(&intent("v1/a"), WallTime(0)).unwrap();
        let shown =
            format!("{settings:?} {s3:?} {put:?} {:?}", crate::grant::Grant::S3(s3.clone()));
        let signature = &query(&put.url)["X-Amz-Signature"];
        assert!(!shown.contains(SECRET) && !shown.contains(signature.as_str()), "{shown}");
    }
}
