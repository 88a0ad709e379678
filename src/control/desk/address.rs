//! Where a requester is told: the command's own status topic, and the response topic it asked for.
//!
//! A response topic is a requester's word, and the device publishes there. So that nobody can make it
//! answer its own answers or speak in its own name, one is honoured only if it is a plain topic below the
//! device's own prefix, and its first level below that is none of those that mean something there.

use crate::spool::Address;

/// First levels below the device's own prefix that are commands, or what the device itself says.
const OURS: [&str; 8] = ["cmd", "online", "caps", "status", "health", "event", "alarm", "config"];

/// Longest response topic.
const TOPIC: usize = 256;

/// Longest correlation data.
const CORRELATION: usize = 1024;

/// Where the command of `id` is told of. The status topic is always among them, and first.
pub(super) fn addresses(
    prefix: &str,
    id: &str,
    response_topic: Option<&str>,
    correlation: Option<Vec<u8>>,
) -> Vec<Address> {
    let status = format!("cmd/{id}/status");
    let wanted = response_topic
        .filter(|_| correlation.as_ref().is_none_or(|data| data.len() <= CORRELATION))
        .and_then(|topic| topic.strip_prefix(prefix)?.strip_prefix('/'));
    match wanted {
        Some(topic) if topic == status => vec![Address { topic: status, correlation }],
        Some(topic) if is_honoured(topic) => vec![
            Address { topic: status, correlation: None },
            Address { topic: topic.to_owned(), correlation },
        ],
        _ => vec![Address { topic: status, correlation: None }],
    }
}

fn is_honoured(topic: &str) -> bool {
    let plain = |level: &str| !level.is_empty() && !level.contains(['+', '#', '\0']);
    let first = topic.split('/').next().unwrap_or_default();
    topic.len() <= TOPIC
        && topic.split('/').all(plain)
        && !topic.chars().any(char::is_control)
        && !OURS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PREFIX: &str = "vedette/v1/porch-1";

    fn topics(response_topic: &str) -> Vec<String> {
        let all = addresses(PREFIX, "a-1", Some(response_topic), Some(vec![7]));
        all.into_iter().map(|address| address.topic).collect()
    }

    #[test]
    fn a_response_topic_below_our_own_is_honoured_with_its_correlation() {
        let all = addresses(PREFIX, "a-1", Some("vedette/v1/porch-1/reply/me"), Some(vec![7]));
        let of = |topic: &str, correlation| Address { topic: topic.into(), correlation };
        assert_eq!(all, [of("cmd/a-1/status", None), of("reply/me", Some(vec![7]))]);
        let own = Some("vedette/v1/porch-1/cmd/a-1/status");
        let all = addresses(PREFIX, "a-1", own, Some(vec![7]));
        assert_eq!(all, [of("cmd/a-1/status", Some(vec![7]))]);
    }

    #[test]
    fn a_response_topic_that_is_foreign_a_command_or_in_our_name_is_not() {
        for topic in [
            "elsewhere",
            "vedette/v1/porch-10/reply",
            "vedette/v1/porch-1",
            "vedette/v1/porch-1/",
            "vedette/v1/porch-1/cmd",
            "vedette/v1/porch-1/cmd/a-1",
            "vedette/v1/porch-1/cmd/b",
            "vedette/v1/porch-1/cmd/b/status",
            "vedette/v1/porch-1/online",
            "vedette/v1/porch-1/event/front/stored",
            "vedette/v1/porch-1/reply/#",
            "vedette/v1/porch-1/+",
            "vedette/v1/porch-1//cmd/b",
            "vedette/v1/porch-1/reply/",
            "vedette/v1/porch-1/a\nb",
            "$share/x/vedette/v1/porch-1/cmd/b",
        ] {
            assert_eq!(topics(topic), ["cmd/a-1/status"], "{topic}");
        }
        let long = format!("{PREFIX}/{}", "a".repeat(257));
        assert_eq!(topics(&long), ["cmd/a-1/status"]);
        let heavy = addresses(PREFIX, "a-1", Some("vedette/v1/porch-1/reply"), Some(vec![0; 1025]));
        assert_eq!(heavy.len(), 1);
    }

    proptest! {
        #[test]
        fn no_answer_is_ever_a_command(
            topic in prop_oneof![
                any::<String>(),
                "vedette/v1/porch-1/(cmd|reply|)(/[a-z/+#]{0,9}|)",
            ],
        ) {
            for topic in topics(&topic) {
                let a_command = topic.strip_prefix("cmd/").is_some_and(|id| !id.contains('/'));
                prop_assert!(!a_command, "{}", topic);
                prop_assert!(!topic.is_empty() && !topic.starts_with('/'));
            }
        }
    }
}
