//! What an endpoint's host tells: whose store it is, its region, and where it wants the bucket. Pure.

use crate::grant::{AddressStyle, Provider};

/// Hosts by which a public store is known, and the label after which its region stands.
const STORES: [(&str, Provider, &str); 5] = [
    (".amazonaws.com", Provider::Aws, "s3"),
    (".amazonaws.com.cn", Provider::Aws, "s3"),
    (".myqcloud.com", Provider::Cos, "cos"),
    (".aliyuncs.com", Provider::Oss, "oss-"),
    (".myhuaweicloud.com", Provider::Obs, "obs"),
];

/// Whose store answers at `host`; [`Provider::Generic`] when the host does not tell.
#[must_use]
pub fn provider(host: &str) -> Provider {
    let known = STORES.iter().find(|(suffix, ..)| host.ends_with(suffix));
    known.map_or(Provider::Generic, |(_, provider, _)| *provider)
}

/// Where this provider wants the bucket's name.
#[must_use]
pub fn style(provider: Provider) -> AddressStyle {
    match provider {
        Provider::Aws | Provider::Cos | Provider::Oss | Provider::Obs => AddressStyle::VirtualHost,
        Provider::Minio | Provider::Seaweedfs | Provider::Rgw | Provider::Generic => {
            AddressStyle::Path
        }
    }
}

/// The region that a public store's host names: `s3.REGION.`, `cos.REGION.`, `oss-REGION.`,
/// `obs.REGION.`; `None` for every other host.
#[must_use]
pub fn region(host: &str) -> Option<String> {
    let (suffix, _, mark) = STORES.iter().find(|(suffix, ..)| host.ends_with(suffix))?;
    let mut labels = host.strip_suffix(suffix)?.split('.');
    let region = if mark.ends_with('-') {
        labels.find_map(|l| l.strip_prefix(mark)).map(|r| r.trim_end_matches("-internal"))
    } else {
        labels.find(|l| l == mark)?;
        labels.find(|l| *l != "dualstack")
    };
    region.filter(|r| !r.is_empty()).map(str::to_owned)
}

/// The endpoint without a bucket that was pasted into it: `bucket.cos.REGION.…` → `cos.REGION.…`.
#[must_use]
pub fn without_bucket<'h>(host: &'h str, bucket: &str) -> Option<&'h str> {
    host.strip_prefix(bucket)?.strip_prefix('.')
}

/// Is this a bucket name that every S3 store takes: 3 to 63 of `a-z 0-9 . -`, ends alphanumeric?
#[must_use]
pub fn is_bucket(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && end(bytes.first())
        && end(bytes.last())
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_stores_are_known_by_their_hosts() {
        for (host, who, where_) in [
            ("s3.eu-central-1.amazonaws.com", Provider::Aws, Some("eu-central-1")),
            ("s3.dualstack.us-west-2.amazonaws.com", Provider::Aws, Some("us-west-2")),
            ("s3.amazonaws.com", Provider::Aws, None),
            ("s3.cn-north-1.amazonaws.com.cn", Provider::Aws, Some("cn-north-1")),
            ("cos.ap-guangzhou.myqcloud.com", Provider::Cos, Some("ap-guangzhou")),
            ("oss-cn-hangzhou.aliyuncs.com", Provider::Oss, Some("cn-hangzhou")),
            ("oss-cn-hangzhou-internal.aliyuncs.com", Provider::Oss, Some("cn-hangzhou")),
            ("obs.cn-north-4.myhuaweicloud.com", Provider::Obs, Some("cn-north-4")),
            ("minio.example", Provider::Generic, None),
            ("amazonaws.com.evil.example", Provider::Generic, None),
        ] {
            assert_eq!((provider(host), region(host).as_deref()), (who, where_), "{host}");
        }
    }

    #[test]
    fn bucket_names_are_the_ones_every_store_takes() {
        assert!(is_bucket("pictures") && is_bucket("pictures-1250000000") && is_bucket("a.b-c"));
        for bad in ["ab", "Pictures", "-ab", "ab-", "a..b", "a_b", "a/b", ""] {
            assert!(!is_bucket(bad), "{bad}");
        }
        assert_eq!(without_bucket("b-1.cos.x.myqcloud.com", "b-1"), Some("cos.x.myqcloud.com"));
        assert_eq!(without_bucket("b-12.cos.x.myqcloud.com", "b-1"), None);
    }
}
