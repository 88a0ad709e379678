//! Grants: from what is to be stored to one presigned request.
//!
//! `Intent -> PutRequest`. Where the signature comes from is all that varies between stores; the
//! uploader sees only a URL and headers. A presigned URL is a secret: [`PutRequest`] does not show it.

pub mod s3;

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::clock::WallTime;

/// Why no request can be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Endpoint and bucket do not fit together: a person must change the settings.
    #[error("the bucket cannot be addressed: {0}")]
    Settings(String),
    /// This one can never be stored; set it aside.
    #[error("cannot be stored: {0}")]
    Unsignable(String),
}

/// Where signatures come from.
#[derive(Clone, Debug)]
pub enum Grant {
    /// S3 keys on the device.
    S3(s3::S3),
}

impl Grant {
    /// One signed PUT as of `now`, the store's time as well as it is known.
    ///
    /// # Errors
    /// [`GrantError::Unsignable`] when this intent can never be signed.
    pub fn put(&self, intent: &Intent, now: WallTime) -> Result<PutRequest, GrantError> {
        match self {
            Self::S3(s3) => s3.sign(intent, now),
        }
    }
}

/// What is to be stored.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Object key.
    pub key: String,
    /// The bytes.
    pub body: Bytes,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
    /// MIME type.
    pub content_type: String,
    /// User metadata, names without the provider's prefix.
    pub meta: Vec<(String, String)>,
}

/// One signed request, ready to send.
pub struct PutRequest {
    /// Presigned URL: a secret.
    pub url: url::Url,
    /// Headers that were signed and must be sent, lower case.
    pub headers: Vec<(String, String)>,
    /// When the signature ends.
    pub expires: WallTime,
}

impl fmt::Debug for PutRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutRequest")
            .field("host", &self.url.host_str())
            .field("headers", &self.headers.iter().map(|(k, _)| k).collect::<Vec<_>>())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Whose object store it is: decides which digest is sent and how create-only is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3.
    Aws,
    /// MinIO.
    Minio,
    /// SeaweedFS.
    Seaweedfs,
    /// Ceph RADOS gateway.
    Rgw,
    /// Tencent COS by its S3 face.
    Cos,
    /// Alibaba OSS by its S3 face.
    Oss,
    /// Huawei OBS by its S3 face.
    Obs,
    /// Anything else that speaks S3.
    Generic,
}

/// How the bucket is named in the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressStyle {
    /// `https://endpoint/bucket/key`
    Path,
    /// `https://bucket.endpoint/key`
    VirtualHost,
}

/// A string that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An S3 bucket and the keys to write to it.
#[derive(Clone, Debug, PartialEq)]
pub struct S3Settings {
    /// `https://host[:port]` of the store.
    pub endpoint: url::Url,
    /// Bucket.
    pub bucket: String,
    /// Region, as signed.
    pub region: String,
    /// Path or virtual host.
    pub style: AddressStyle,
    /// Whose store.
    pub provider: Provider,
    /// Access key id.
    pub access_key: String,
    /// Secret key.
    pub secret_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// PEM file with the CA to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl S3Settings {
    /// Without keys nothing can be signed: their file could not be read.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.access_key.is_empty()
    }
}

/// Keys of the contract's alphabet survive every URL and event encoding unchanged; `.` and `..` as
/// segments would name another object.
///
/// # Errors
/// [`GrantError::Unsignable`] when no store could hold this key as it is.
pub fn check_key(key: &str) -> Result<(), GrantError> {
    let alphabet = |b: u8| b.is_ascii_alphanumeric() || b"/_.-".contains(&b);
    let segments = key.split('/').all(|s| !matches!(s, "" | "." | ".."));
    if key.len() <= 1024 && segments && key.bytes().all(alphabet) {
        return Ok(());
    }
    let start: String = key.chars().take(80).collect();
    Err(GrantError::Unsignable(format!("{start:?} cannot be an object key")))
}
