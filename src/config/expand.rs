//! `${device}` and `${site}` in values, so that one file serves a fleet. Pure.
//!
//! `$${` stands for a plain `${`. A name that is not known is an error: an empty word in a bucket's
//! name or a path would do harm far from here.

use std::borrow::Cow;
use std::ops::Range;

/// What the names stand for; `None` where there is no value on this device.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Device id.
    pub device: Option<String>,
    /// Site.
    pub site: Option<String>,
}

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The `${…}` in question, as a range of the text.
    pub place: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: String,
}

/// Replaces every `${name}` in `text`.
///
/// # Errors
/// The first name that is unknown or has no value, or a `${` that is never closed.
pub fn expand<'t>(text: &'t str, variables: &Variables) -> Result<Cow<'t, str>, Unknown> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("${") {
        let start = text.len() - after.len() - 2;
        rest = after;
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            return Err(Unknown {
                place: start..text.len(),
                what: "`${` is not closed".into(),
                help: "write `${device}` or `${site}`, or `$${` for a plain `${`".into(),
            });
        };
        let place = start..start + name.len() + 3;
        out.push_str(value(name, variables).map_err(|(what, help)| Unknown {
            place,
            what,
            help,
        })?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn value<'v>(name: &str, variables: &'v Variables) -> Result<&'v str, (String, String)> {
    let found = match name {
        "device" => &variables.device,
        "site" => &variables.site,
        _ => {
            let what = format!("there is no `${{{name}}}`");
            return Err((what, "use `${device}` or `${site}`, or `$${` for a plain `${`".into()));
        }
    };
    found.as_deref().ok_or_else(|| {
        (format!("`${{{name}}}` has no value here"), format!("set `{name}` in `[device]`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Variables {
        Variables { device: Some("cam-7".into()), site: None }
    }

    #[test]
    fn names_are_replaced_and_the_escape_is_kept() {
        assert_eq!(expand("a-${device}-b", &vars()).unwrap(), "a-cam-7-b");
        assert_eq!(expand("$${device} ${device}", &vars()).unwrap(), "${device} cam-7");
        assert_eq!(expand("plain $5", &vars()).unwrap(), "plain $5");
    }

    #[test]
    fn unknown_empty_and_open_names_are_told_apart() {
        let error = |t| expand(t, &vars()).unwrap_err();
        assert!(error("é${host}").what.contains("no `${host}`"));
        assert_eq!(error("é${host}").place, 2..9);
        assert!(error("${site}").help.contains("set `site`"));
        assert!(error("x${device").what.contains("not closed"));
    }
}
