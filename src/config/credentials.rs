//! Reads an AWS shared-credentials file: the INI that `aws`, `mc`, `rclone` and systemd credentials
//! already use, section `[default]`. One format, one file, so that key and secret cannot be mismatched.
//!
//! Pure. No error shows anything of the file but a line number.

use crate::grant::Secret;

/// Keys to write to a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Access key id.
    pub access_key: String,
    /// Secret key.
    pub secret_key: Secret,
    /// Session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// Reads the section `[default]` (lines before any section count as it).
///
/// # Errors
/// What is wrong, without the file's contents.
pub fn parse(text: &str) -> Result<Credentials, String> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut ours = true;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            ours = section.trim_end_matches(']').trim() == "default";
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {} is not `name = value`", number + 1))?;
        let value = value.trim();
        if !ours || value.is_empty() {
            continue;
        }
        if !value.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "line {} has a space or an odd character in its value",
                number + 1
            ));
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => id = Some(value.to_owned()),
            "aws_secret_access_key" => secret = Some(Secret(value.to_owned())),
            "aws_session_token" => token = Some(Secret(value.to_owned())),
            _ => {}
        }
    }
    let missing = |name| format!("there is no `{name}` in section `[default]`");
    Ok(Credentials {
        access_key: id.ok_or_else(|| missing("aws_access_key_id"))?,
        secret_key: secret.ok_or_else(|| missing("aws_secret_access_key"))?,
        session_token: token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_section_counts() {
        let text = "[other]\naws_access_key_id = no\n[default]\n# mine\naws_access_key_id=AK\n\
                    aws_secret_access_key = s/k+=\nregion = x\n\n[last]\naws_secret_access_key=no\n";
        let keys = parse(text).unwrap();
        assert_eq!((keys.access_key.as_str(), keys.secret_key.0.as_str()), ("AK", "s/k+="));
        assert_eq!(keys.session_token, None);
        assert!(!format!("{keys:?}").contains("s/k"));
    }

    #[test]
    fn errors_never_show_the_contents() {
        for (text, says) in [
            ("AKIAEXAMPLE:sEcReT", "line 1 is not"),
            ("aws_access_key_id = sE cReT", "line 1 has a space"),
            ("aws_access_key_id = x", "aws_secret_access_key"),
            ("", "aws_access_key_id"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("cReT"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
            parse(&text).ok();
        }
    }
}
