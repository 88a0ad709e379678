//! The broker: from the table to the settings of a session.

use std::path::PathBuf;

use url::Url;

use super::Check;
use crate::config::place::Path;
use crate::config::{raw, source};
use crate::mqtt;
use crate::tls::{self, ClientCertificate};

/// Largest file that may hold a password.
const MOST_PASSWORD: u64 = 64 << 10;

impl Check<'_> {
    /// Which broker, and how; `None` when an error that was told leaves it without one.
    pub(super) fn mqtt(
        &mut self,
        table: raw::Mqtt,
        device: &str,
        path: &Path,
    ) -> Option<mqtt::Settings> {
        let broker = self.broker(&table.broker, &path.key("broker"));
        let secure = broker.as_ref().is_none_or(|b| b.scheme() == "mqtts");
        let password_file = self.password_file(&table, path);
        let ca_file = table.ca_file.as_ref().map(|ca| self.ca_file(ca, &path.key("ca_file")));
        let client_certificate = self.client_certificate(&table, path);
        let of_tls =
            [("ca_file", ca_file.is_some()), ("certificate_file", client_certificate.is_some())];
        for (key, _) in of_tls.iter().filter(|(_, set)| *set && !secure) {
            let what = "certificates are of no use without encryption";
            self.error(&path.key(key), what, "write `mqtts://` in `broker`");
        }
        Some(mqtt::Settings {
            broker: broker?,
            device: device.to_owned(),
            username: table.username,
            password_file,
            ca_file,
            client_certificate,
            keep_alive: table.keep_alive.0,
            session_expiry: table.session_expiry.0,
            reliable: table.reliable,
        })
    }

    fn broker(&mut self, text: &str, place: &Path) -> Option<Url> {
        if text.contains('@') {
            let what = "the broker's URL holds a user or a password";
            self.error(place, what, "put them into `username` and `password_file`");
            return None;
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "mqtt" | "mqtts"));
        let url = url.filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        let Some(url) = url else {
            let host = text.split_once("://").map_or(text, |(_, host)| host);
            let help = format!("write `mqtts://{host}`, or `mqtt://{host}` without encryption");
            self.error(place, format!("`{text}` is not the URL of a broker"), help);
            return None;
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            let what = "the broker's URL has a path";
            self.error(place, what, "write scheme, host and port only; topics are not configured");
            return None;
        }
        Some(url)
    }

    fn password_file(&mut self, table: &raw::Mqtt, path: &Path) -> Option<PathBuf> {
        let place = path.key("password_file");
        let file = self.secret_path(table.password_file.as_ref()?, &place);
        if table.username.is_none() {
            self.error(&place, "a password without a user", "set `username` too");
        }
        let wrong = match source::bytes(&file, MOST_PASSWORD) {
            Ok(Some(bytes)) if bytes.first().is_some_and(|b| !b"\r\n".contains(b)) => None,
            Ok(None) => Some(format!("{} is too large for a password", file.display())),
            Ok(_) => Some(format!("the first line of {} is empty", file.display())),
            Err(error) => Some(format!("cannot read {}: {error}", file.display())),
        };
        if let Some(what) = wrong {
            let help = "give a file that vedette may read, with the password as its first line";
            self.file_error(&place, what, help);
        }
        Some(file)
    }

    fn client_certificate(&mut self, table: &raw::Mqtt, path: &Path) -> Option<(PathBuf, PathBuf)> {
        let (certificate, key) = match (&table.certificate_file, &table.key_file) {
            (Some(certificate), Some(key)) => (
                self.absolute(certificate, &path.key("certificate_file")),
                self.secret_path(key, &path.key("key_file")),
            ),
            (None, None) => return None,
            (Some(_), None) => {
                let help = "set `key_file` too";
                self.error(&path.key("certificate_file"), "a certificate without its key", help);
                return None;
            }
            (None, Some(_)) => {
                let help = "set `certificate_file` too";
                self.error(&path.key("key_file"), "a key without its certificate", help);
                return None;
            }
        };
        let own = ClientCertificate { certificate: &certificate, key: &key };
        if let Err(error) = tls::check(own) {
            let wrong = if matches!(error, tls::TlsError::Key { .. }) {
                "key_file"
            } else {
                "certificate_file"
            };
            let help = "both are PEM files; the key has no passphrase, and vedette may read it";
            self.file_error(&path.key(wrong), error.to_string(), help);
        }
        Some((certificate, key))
    }
}
