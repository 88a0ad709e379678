//! Destinations: from tables to a bucket with its keys, or a directory.

use std::io;
use std::path::{Path as FilePath, PathBuf};

use url::Url;

use super::Check;
use crate::config::place::Path;
use crate::config::{credentials, raw, source, store};
use crate::grant::{AddressStyle, S3Settings, Secret};
use crate::upload;
use crate::upload::{DestinationSettings, DirSettings};

/// Largest file of keys, and of CA certificates (a system's whole bundle has 220 KB): a file that
/// the configuration names by mistake must not fill the memory.
const MOST_KEYS: u64 = 64 << 10;
const MOST_CERTIFICATES: u64 = 4 << 20;

impl Check<'_> {
    /// Where pictures go; `None` when an error that was told leaves it without a place. Without the table
    /// they wait on the device.
    pub(super) fn upload(
        &mut self,
        destination: Option<&raw::Destination>,
        path: &Path,
    ) -> Option<upload::Settings> {
        let Some(destination) = destination else {
            return Some(upload::Settings {
                destination: DestinationSettings::Nowhere,
                concurrency: 1,
                wait_for_clock: raw::Destination::WAIT_FOR_CLOCK.0,
                reliable_notices: false,
            });
        };
        let settings = match (&destination.s3, &destination.dir) {
            (Some(s3), _) => DestinationSettings::S3(Box::new(self.s3(s3, &path.key("s3"))?)),
            (None, Some(dir)) => DestinationSettings::Dir(DirSettings {
                path: self.absolute(&dir.path, &path.key("dir").key("path")),
                announce: self.announce(dir, &path.key("dir").key("announce")),
            }),
            (None, None) => return None,
        };
        Some(upload::Settings {
            destination: settings,
            concurrency: destination.concurrency,
            wait_for_clock: destination.wait_for_clock.0,
            reliable_notices: false, // decided by `[mqtt]`
        })
    }

    fn announce(&mut self, dir: &raw::Dir, path: &Path) -> Option<Url> {
        let text = dir.announce.as_deref()?;
        let url = Url::parse(text).ok().filter(is_http);
        if url.is_none() {
            self.error(
                path,
                "this is not an http URL",
                "write for example `http://localhost:8080/`",
            );
        }
        url
    }

    fn s3(&mut self, s3: &raw::S3, path: &Path) -> Option<S3Settings> {
        if !store::is_bucket(&s3.bucket) {
            let what = format!("`{}` is not a bucket name", s3.bucket);
            self.error(
                &path.key("bucket"),
                what,
                "3 to 63 of `a-z`, `0-9`, `.` and `-`, as the store shows it",
            );
        }
        let keys = self.credentials(&s3.credentials_file, &path.key("credentials_file"));
        let ca_file = s3.ca_file.as_ref().map(|ca| self.ca_file(ca, &path.key("ca_file")));
        let endpoint = self.endpoint(s3, path)?;
        let host = endpoint.host_str().unwrap_or_default().to_owned();
        let provider = s3.provider.map_or_else(|| store::provider(&host), Into::into);
        let style = s3.style.map_or_else(|| store::style(provider), Into::into);
        if style == AddressStyle::VirtualHost && endpoint.domain().is_none() {
            let what = format!("a bucket cannot stand before the address `{host}`");
            self.error(
                &path.key("style"),
                what,
                "write `style = \"path\"`, or give the endpoint by name",
            );
        }
        let region = s3.region.clone().or_else(|| store::region(&host));
        Some(S3Settings {
            endpoint,
            bucket: s3.bucket.clone(),
            region: region.unwrap_or_else(|| "us-east-1".into()),
            style,
            provider,
            access_key: keys.access_key,
            secret_key: keys.secret_key,
            session_token: keys.session_token,
            ca_file,
        })
    }

    fn endpoint(&mut self, s3: &raw::S3, path: &Path) -> Option<Url> {
        let place = path.key("endpoint");
        let text = s3.endpoint.as_str();
        if text.contains('@') {
            let what = "the endpoint holds a user or a password";
            self.error(&place, what, "put keys into `credentials_file`");
            return None;
        }
        let Some(url) = Url::parse(text).ok().filter(is_http) else {
            let help = if text.contains("://") {
                "write `https://` or `http://` and the store's host".into()
            } else {
                format!("write the scheme too: `https://{text}`")
            };
            self.error(&place, format!("`{text}` is not the URL of a store"), help);
            return None;
        };
        let host = url.host_str().unwrap_or_default();
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            let origin = url.origin().ascii_serialization();
            self.error(
                &place,
                "the endpoint has a path",
                format!("write `{origin}`, and the bucket in `bucket`"),
            );
        } else if let Some(bare) = store::without_bucket(host, &s3.bucket) {
            let what = "the endpoint already holds the bucket's name";
            self.error(&place, what, format!("write `{}://{bare}`", url.scheme()));
        }
        Some(url)
    }

    fn credentials(&mut self, file: &FilePath, path: &Path) -> credentials::Credentials {
        let file = self.secret_path(file, path);
        let read = text_of(&file).map_err(|e| format!("cannot read {}: {e}", file.display()));
        let keys = read.and_then(|text| {
            credentials::parse(&text).map_err(|what| format!("{}: {what}", file.display()))
        });
        keys.unwrap_or_else(|what| {
            let help = "give a file that vedette may read, with `[default]`, `aws_access_key_id = …` and \
                        `aws_secret_access_key = …`";
            self.file_error(path, what, help);
            // Uploads are parked and ask for them, nothing is lost, capture goes on.
            credentials::Credentials {
                access_key: String::new(),
                secret_key: Secret(String::new()),
                session_token: None,
            }
        })
    }

    pub(super) fn ca_file(&mut self, file: &FilePath, path: &Path) -> PathBuf {
        let file = self.absolute(file, path);
        let wrong = match source::bytes(&file, MOST_CERTIFICATES) {
            Ok(Some(bytes)) if bytes.windows(27).any(|w| w == b"-----BEGIN CERTIFICATE-----") => {
                None
            }
            Ok(_) => Some(format!("{} holds no certificate", file.display())),
            Err(error) => Some(format!("cannot read {}: {error}", file.display())),
        };
        if let Some(what) = wrong {
            self.file_error(path, what, "give the CA's certificate as a readable PEM file");
        }
        file
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|h| !h.is_empty())
}

fn text_of(file: &FilePath) -> io::Result<String> {
    let bytes = source::bytes(file, MOST_KEYS)?;
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is too large, or not text"))
}
