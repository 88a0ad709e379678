//! What a store's answer means: by its error code first, then by its status.
//!
//! Called by the uploader with every answer. Pure: no socket, no clock. An answer is a stranger's:
//! bodies are read to a limit, as bytes, and nothing in them can panic or be believed further than a
//! word in an error text. Codes are those of AWS, MinIO, Ceph RGW, SeaweedFS, COS, OSS and OBS; real
//! bodies are in `tests/fixtures/answers`.
//!
//! Invariant: only an answer that bears an object store's mark may say that a picture is stored. A
//! captive portal answers 200 to everything, and a picture that is called stored is deleted here.

use std::time::Duration;

use crate::clock::{BootTime, WallTime};

/// A clock that differs by more than this from the store's is wrong (stores allow 15 minutes, and a
/// signature of ours lasts 10 minutes into the past and 20 into the future).
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);
/// Most bytes of a body that are looked at.
pub const BODY_LIMIT: usize = 8 * 1024;
/// A store may ask for a pause, but not for ever.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
const LONGEST_WORDS: usize = 200;

/// An answer, cut down to what decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The headers that decide.
    pub headers: Headers,
    /// The first [`BODY_LIMIT`] bytes of the body.
    pub body: Vec<u8>,
    /// When the request went out.
    pub sent: BootTime,
    /// When the answer's head came in.
    pub received: BootTime,
}

/// The headers that decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Date`, where it is one.
    pub date: Option<WallTime>,
    /// `Age` is there: a cache answered.
    pub has_age: bool,
    /// `ETag` is there.
    pub has_etag: bool,
    /// A provider's request id is there.
    pub has_request_id: bool,
    /// The answer is a web page.
    pub is_html: bool,
    /// `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// Host of `Location`; the rest may repeat a presigned URL.
    pub location_host: Option<String>,
    /// `x-amz-bucket-region`.
    pub bucket_region: Option<String>,
}

/// Headers by which object stores name a request.
const REQUEST_IDS: [&str; 6] = [
    "x-amz-request-id",
    "x-amz-id-2",
    "x-cos-request-id",
    "x-oss-request-id",
    "x-obs-request-id",
    "x-guploader-uploadid",
];

impl Headers {
    /// Keeps what decides; names are compared without case.
    pub fn read<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut out = Self::default();
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "date" => out.date = http_date(value),
                "age" => out.has_age = true,
                "etag" => out.has_etag = !value.trim().is_empty(),
                "content-type" => out.is_html = value.trim_start().starts_with("text/html"),
                "retry-after" => out.retry_after = Some(clean(value)),
                "location" => out.location_host = host_of(value),
                "x-amz-bucket-region" => out.bucket_region = Some(clean(value)),
                other => out.has_request_id |= REQUEST_IDS.contains(&other),
            }
        }
        out
    }
}

fn host_of(location: &str) -> Option<String> {
    let url: url::Url = location.parse().ok()?;
    url.host_str().map(clean)
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store has it.
    Stored,
    /// Try again later; nothing is wrong with the picture or the settings.
    Retry {
        /// What the store asked for.
        after: Option<Duration>,
        /// Why, for a person.
        why: String,
    },
    /// Our clock is wrong and this is the store's: correct, sign again, once, at once.
    FixClock {
        /// The store's time.
        server: WallTime,
        /// Why, for a person.
        why: String,
    },
    /// The credentials are no good (any more): get others.
    FixCredentials {
        /// Why, for a person.
        why: String,
    },
    /// The destination takes nothing until a person acts: keep everything, probe now and then.
    Park(Parked),
    /// The store says the bytes are not those of the digest: look at our own file first.
    CheckOwnFile {
        /// Why, for a person.
        why: String,
    },
    /// This picture will never be taken: set it aside.
    Quarantine {
        /// Why, for a person.
        why: String,
    },
    /// Refused, for a reason we do not know: count it and try again.
    Refused {
        /// Why, for a person.
        why: String,
    },
}

/// Why a destination takes nothing. The words are for a person: what is wrong and who can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Parked {
    /// The credentials may not write here.
    #[error("the store denies access: {0}")]
    AccessDenied(String),
    /// The credentials are wrong or have ended.
    #[error("the store does not accept the credentials: {0}")]
    Credentials(String),
    /// There is no such bucket.
    #[error("the bucket does not exist: {0}")]
    NoBucket(String),
    /// The bucket is somewhere else.
    #[error("wrong region or endpoint: the store names {named}")]
    WrongRegion {
        /// The region or endpoint that the answer names.
        named: String,
    },
    /// No room, or not paid for.
    #[error("the store has no room or no budget for us: {0}")]
    Quota(String),
    /// The store cannot do what every upload asks for.
    #[error("the store cannot do what an upload needs: {0}")]
    Unsupported(String),
    /// Picture after picture was refused for a reason we do not know.
    #[error("the store refuses everything: {0}")]
    Refuses(String),
    /// The local directory cannot be written.
    #[error("the directory cannot be written: {0}")]
    Directory(String),
    /// There is nothing to send with: certificates or bucket settings.
    #[error("uploads cannot begin: {0}")]
    Setup(String),
}

impl Parked {
    /// The word used in alarms and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AccessDenied(_) => "access_denied",
            Self::Credentials(_) => "credentials",
            Self::NoBucket(_) => "no_bucket",
            Self::WrongRegion { .. } => "wrong_region",
            Self::Quota(_) => "quota",
            Self::Unsupported(_) => "unsupported",
            Self::Refuses(_) => "refuses",
            Self::Directory(_) => "directory",
            Self::Setup(_) => "setup",
        }
    }
}

/// What an error code asks for, whatever the status.
#[derive(Clone, Copy)]
enum Code {
    Exists,
    Retry,
    Clock,
    Credentials,
    Denied,
    NoBucket,
    Region,
    Quota,
    Unsupported,
    Digest,
    Never,
}

fn meaning(code: &str) -> Option<Code> {
    Some(match code {
        "PreconditionFailed"
        | "FileAlreadyExists"
        | "ObjectAlreadyExists"
        | "PathAlreadyExists"
        | "FileImmutable" => Code::Exists,
        "ConditionalRequestConflict"
        | "OperationAborted"
        | "RequestTimeout"
        | "IncompleteBody"
        | "SlowDown"
        | "SlowDownWrite"
        | "SlowDownRead"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "Throttling"
        | "QpsLimitExceeded"
        | "ServiceUnavailable"
        | "ServerBusy"
        | "InternalError"
        | "XMinioServerNotInitialized" => Code::Retry,
        "RequestTimeTooSkewed"
        | "RequestExpired"
        | "RequestIsNotYetValid"
        | "ExpiredPresignRequest"
        | "RequestNotYetValid" => Code::Clock,
        "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSecurityToken"
        | "SecurityTokenExpired" => Code::Credentials,
        "AccessDenied" | "AccountProblem" | "AllAccessDisabled" | "InvalidSecurity"
        | "NotSignedUp" => Code::Denied,
        "NoSuchBucket" | "InvalidBucketName" => Code::NoBucket,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "IllegalLocationConstraintException"
        | "SecondLevelDomainForbidden"
        | "AccessForbiddenEndpoint" => Code::Region,
        "QuotaExceeded"
        | "XMinioStorageFull"
        | "XMinioAdminBucketQuotaExceeded"
        | "StorageFull"
        | "BucketQuotaExceeded"
        | "InsufficientStorage"
        | "UserDisable"
        | "InArrearOrInsufficientBalance"
        | "UnavailableForLegalReasons" => Code::Quota,
        "NotImplemented" | "MissingContentLength" | "InvalidStorageClass" => Code::Unsupported,
        "BadDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "InvalidDigest" => Code::Digest,
        "EntityTooLarge"
        | "InvalidObjectName"
        | "KeyTooLong"
        | "KeyTooLongError"
        | "MetadataTooLarge"
        | "XMinioInvalidObjectName" => Code::Never,
        _ => return None,
    })
}

/// What to do about an answer to a PUT that was signed with `ours` as the time at which it was
/// received.
#[must_use]
pub fn classify(answer: &Answer, ours: WallTime) -> Verdict {
    let body = ErrorBody::read(&answer.body);
    let words = words(answer.status, &body);
    let marked = answer.headers.has_request_id || body.code.is_some();
    if let Some(verdict) = clock_error(answer, &body, ours, &words) {
        return verdict;
    }
    match (answer.status, body.code.as_deref().and_then(meaning)) {
        (200..=299, _) => accepted(&answer.headers, words),
        (_, Some(Code::Clock)) => Verdict::Retry { after: None, why: words },
        (_, Some(Code::Denied)) if body.says_expired() => {
            Verdict::Retry { after: None, why: words }
        }
        (_, Some(code)) => by_code(code, answer, &body, words),
        // Old MinIO answers 304 to a create-only PUT of an existing key (minio/minio#19442).
        (412 | 304, None) if marked => Verdict::Stored,
        (300..=399, None) => redirected(answer, &body, words),
        (401 | 407, None) => Verdict::FixCredentials { why: words },
        (403, None) if marked => Verdict::Park(Parked::AccessDenied(words)),
        (408 | 425 | 429, None) => Verdict::Retry { after: retry_after(answer, ours), why: words },
        (501, None) => Verdict::Park(Parked::Unsupported(words)),
        (507, None) => Verdict::Park(Parked::Quota(words)),
        (400..=499, None) => Verdict::Refused { why: words },
        _ => Verdict::Retry { after: retry_after(answer, ours), why: words },
    }
}

fn by_code(code: Code, answer: &Answer, body: &ErrorBody, why: String) -> Verdict {
    match code {
        Code::Exists => Verdict::Stored,
        Code::Retry | Code::Clock => {
            let now = answer.headers.date.unwrap_or(WallTime(0));
            Verdict::Retry { after: retry_after(answer, now), why }
        }
        Code::Credentials => Verdict::FixCredentials { why },
        // OSS denies access to a bucket of another region and names that region's endpoint.
        Code::Denied if body.endpoint.is_some() => Verdict::Park(wrong_region(answer, body, why)),
        Code::Denied => Verdict::Park(Parked::AccessDenied(why)),
        Code::NoBucket => Verdict::Park(Parked::NoBucket(why)),
        Code::Region => Verdict::Park(wrong_region(answer, body, why)),
        Code::Quota => Verdict::Park(Parked::Quota(why)),
        Code::Unsupported => Verdict::Park(Parked::Unsupported(why)),
        Code::Digest => Verdict::CheckOwnFile { why },
        Code::Never => Verdict::Quarantine { why },
    }
}

/// Any 403 whose time differs from ours is a clock error, because with presigned URLs a wrong clock
/// shows as AccessDenied; so is any answer with a clock code that tells a time.
fn clock_error(answer: &Answer, body: &ErrorBody, ours: WallTime, why: &str) -> Option<Verdict> {
    let code = body.code.as_deref().and_then(meaning);
    if answer.status != 403 && !matches!(code, Some(Code::Clock)) {
        return None;
    }
    let header = answer.headers.date.filter(|_| !answer.headers.has_age);
    let server = body.server_time.or(header)?;
    (server.distance(ours) > CLOCK_TOLERANCE)
        .then(|| Verdict::FixClock { server, why: why.to_owned() })
}

fn accepted(headers: &Headers, words: String) -> Verdict {
    if (headers.has_etag && !headers.is_html) || headers.has_request_id {
        return Verdict::Stored;
    }
    let why =
        format!("{words}, but not by an object store: a captive portal or proxy is in between");
    Verdict::Retry { after: None, why }
}

/// Redirects are never followed: the signature is for one host. A moved bucket answers 301, 307 or 308;
/// a captive portal sends people to its login page with any of them.
fn redirected(answer: &Answer, body: &ErrorBody, why: String) -> Verdict {
    match answer.status {
        301 | 307 | 308 => Verdict::Park(wrong_region(answer, body, why)),
        _ => Verdict::Retry { after: None, why: format!("{why}: a captive portal or proxy?") },
    }
}

fn wrong_region(answer: &Answer, body: &ErrorBody, why: String) -> Parked {
    let headers = &answer.headers;
    let named = [&headers.bucket_region, &body.region, &body.endpoint, &headers.location_host];
    let named =
        named.into_iter().flatten().next().map_or(format!("no other ({why})"), |s| clean(s));
    Parked::WrongRegion { named }
}

/// The pause that an answer asks for, cut to an hour.
pub(super) fn retry_after(answer: &Answer, ours: WallTime) -> Option<Duration> {
    let text = answer.headers.retry_after.as_deref()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = answer.headers.date.unwrap_or(ours);
            let until = http_date(text)?;
            Duration::from_millis(u64::try_from(until.0.checked_sub(now.0)?).ok()?)
        }
    };
    Some(asked.min(LONGEST_RETRY_AFTER))
}

/// An HTTP date as wall time.
#[must_use]
pub fn http_date(text: &str) -> Option<WallTime> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(WallTime(i64::try_from(since.as_millis()).ok()?))
}

/// What an S3 error body says. The parts that may repeat the request (canonical request, string to
/// sign, resource) are never read.
#[derive(Debug, Default, PartialEq, Eq)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    server_time: Option<WallTime>,
}

impl ErrorBody {
    fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..BODY_LIMIT).unwrap_or(body));
        let Some((_, error)) = text.split_once("<Error") else { return Self::default() };
        let time = |t: String| t.parse::<jiff::Timestamp>().ok();
        Self {
            code: element(error, "Code").filter(|c| c.bytes().all(|b| b.is_ascii_alphanumeric())),
            message: element(error, "Message").filter(|m| !m.contains("X-Amz-Signature=")),
            region: element(error, "Region"),
            endpoint: element(error, "Endpoint"),
            server_time: element(error, "ServerTime")
                .and_then(time)
                .map(|t| WallTime(t.as_millisecond())),
        }
    }

    fn says_expired(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        message.contains("has expired") || message.contains("not yet valid")
    }
}

/// The text of the first element of this name; none if it is empty or holds other elements.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = clean(text);
    (!text.is_empty() && !text.contains('<')).then_some(text)
}

/// A stranger's text made fit for a log line.
fn clean(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_WORDS).collect()
}

fn words(status: u16, body: &ErrorBody) -> String {
    match (&body.code, &body.message) {
        (Some(code), Some(message)) => format!("{status} {code}: {message}"),
        (Some(code), None) => format!("{status} {code}"),
        _ => format!("answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: WallTime = WallTime(1_795_341_600_000);

    fn answer(name: &str) -> Answer {
        let path = format!("{}/tests/fixtures/answers/{name}.http", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(name);
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').next().unwrap().parse().unwrap();
        let headers = Headers::read(lines.map(|l| l.split_once(": ").unwrap()));
        Answer { status, headers, body: body.into(), ..Answer::default() }
    }

    /// One word for a verdict, with what it carries where that matters.
    fn word(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Stored => "stored".into(),
            Verdict::Retry { after: None, .. } => "retry".into(),
            Verdict::Retry { after: Some(after), .. } => format!("retry {}", after.as_secs()),
            Verdict::FixClock { server, .. } => format!("clock {}", server.seconds()),
            Verdict::FixCredentials { .. } => "credentials".into(),
            Verdict::Park(Parked::WrongRegion { named }) => format!("region {named}"),
            Verdict::Park(parked) => parked.name().into(),
            Verdict::CheckOwnFile { .. } => "own file".into(),
            Verdict::Quarantine { .. } => "quarantine".into(),
            Verdict::Refused { .. } => "refused".into(),
        }
    }

    #[test]
    fn real_answers_mean_what_their_providers_say() {
        let table = [
            ("aws-ok", "stored"),
            ("aws-expired", "retry"),
            ("aws-not-yet-valid", "retry"),
            ("aws-time-too-skewed", "retry"),
            ("aws-access-denied", "access_denied"),
            ("aws-signature", "credentials"),
            ("aws-unknown-key", "credentials"),
            ("aws-expired-token", "credentials"),
            ("aws-no-bucket", "no_bucket"),
            ("aws-moved", "region eu-central-1"),
            ("aws-temporary-redirect", "region pictures.s3-us-west-2.amazonaws.com"),
            ("aws-wrong-region", "region eu-west-1"),
            ("aws-precondition", "stored"),
            ("aws-conflict", "retry"),
            ("aws-aborted", "retry"),
            ("aws-slow-down", "retry 7"),
            ("aws-internal", "retry"),
            ("aws-request-timeout", "retry"),
            ("aws-bad-digest", "own file"),
            ("aws-key-too-long", "quarantine"),
            ("aws-metadata-too-large", "quarantine"),
            ("aws-too-large", "quarantine"),
            ("aws-unknown-argument", "refused"),
            ("cos-ok", "stored"),
            ("cos-exists", "stored"),
            ("cos-time-too-skewed", "retry"),
            ("cos-expired", "retry"),
            ("cos-no-bucket", "no_bucket"),
            ("cos-access-denied", "access_denied"),
            ("cos-bad-digest", "own file"),
            ("cos-invalid-digest", "own file"),
            ("cos-slow-down", "retry"),
            ("cos-arrears", "quota"),
            ("oss-exists", "stored"),
            ("oss-time-too-skewed", "retry"),
            ("oss-endpoint", "region oss-cn-shanghai.aliyuncs.com"),
            (
                "oss-path-style",
                "region no other (403 SecondLevelDomainForbidden: The bucket you are attempting to access must be addressed using OSS third level domain.)",
            ),
            ("oss-arrears", "quota"),
            ("oss-invalid-name", "quarantine"),
            ("oss-immutable", "stored"),
            ("rgw-access-denied", "access_denied"),
            ("rgw-time-too-skewed", "retry"),
            ("rgw-no-bucket", "no_bucket"),
            ("rgw-quota", "quota"),
            ("rgw-precondition", "stored"),
            ("rgw-signature", "credentials"),
            ("rgw-slow-down", "retry"),
            ("rgw-length-required", "unsupported"),
            ("minio-precondition", "stored"),
            ("minio-old-exists", "stored"),
            ("minio-full", "quota"),
            ("minio-quota", "quota"),
            ("minio-starting", "retry"),
            ("minio-expired", "retry"),
            ("minio-checksum", "own file"),
            ("portal-ok", "retry"),
            ("portal-plain-ok", "retry"),
            ("portal-redirect", "retry"),
            ("portal-forbidden", "refused"),
            ("proxy-exists", "refused"),
            ("proxy-too-large", "refused"),
            ("proxy-many-requests", "retry 90"),
            ("proxy-bad-gateway", "retry"),
            ("proxy-auth", "credentials"),
            ("gateway-full", "quota"),
            ("gateway-not-implemented", "unsupported"),
        ];
        for (name, expected) in table {
            assert_eq!(word(&classify(&answer(name), SERVER)), expected, "{name}");
        }
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/answers");
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), table.len(), "a fixture is not used");
    }

    #[test]
    fn a_wrong_clock_is_told_by_any_403_before_anything_else() {
        let day = 86_400_000;
        for ours in [WallTime(0), WallTime(SERVER.0 - day), WallTime(SERVER.0 + day)] {
            for name in [
                "aws-expired",
                "aws-not-yet-valid",
                "aws-time-too-skewed",
                "aws-access-denied",
                "aws-signature",
                "cos-time-too-skewed",
                "cos-expired",
                "oss-time-too-skewed",
                "rgw-access-denied",
                "rgw-time-too-skewed",
                "minio-expired",
            ] {
                assert_eq!(word(&classify(&answer(name), ours)), "clock 1795341600", "{name}");
            }
            assert_eq!(word(&classify(&answer("aws-no-bucket"), ours)), "no_bucket");
        }
        let near = WallTime(SERVER.0 + 119_000);
        assert_eq!(word(&classify(&answer("aws-access-denied"), near)), "access_denied");
    }

    #[test]
    fn a_cached_date_says_nothing_but_a_time_in_the_body_does() {
        let cached = |name| {
            let mut a = answer(name);
            a.headers.has_age = true;
            word(&classify(&a, WallTime(0)))
        };
        assert_eq!(cached("rgw-access-denied"), "access_denied");
        assert_eq!(cached("aws-expired"), "clock 1795341600");
    }

    #[test]
    fn words_never_repeat_the_request() {
        for name in ["aws-signature", "aws-temporary-redirect", "portal-redirect"] {
            let shown = format!("{:?}", classify(&answer(name), SERVER));
            assert!(!shown.contains("Signature=") && !shown.contains("b2754ba8"), "{shown}");
        }
    }

    #[test]
    fn a_store_may_ask_for_an_hour_at_most() {
        let mut a = answer("aws-slow-down");
        for (asked, expected) in [
            ("86400", "retry 3600"),
            ("-1", "retry"),
            ("soon", "retry"),
            ("18446744073709551616", "retry"),
        ] {
            a.headers.retry_after = Some(asked.into());
            assert_eq!(word(&classify(&a, SERVER)), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_answer_panics_and_none_without_a_mark_is_stored(
            status in 100u16..1000,
            body in prop::collection::vec(any::<u8>(), 0..300),
            wrap in any::<bool>(),
            header in "[ -~]{0,40}",
            ours in any::<i64>(),
        ) {
            let body = if wrap {
                let inner = String::from_utf8_lossy(&body);
                format!("<Error><Code>{inner}</Code><ServerTime>{inner}</ServerTime>").into_bytes()
            } else {
                body
            };
            let headers = Headers::read(
                ["date", "retry-after", "location", "x-amz-bucket-region"].into_iter().map(|n| (n, header.as_str())),
            );
            let a = Answer { status, headers, body, ..Answer::default() };
            prop_assert_ne!(classify(&a, WallTime(ours)), Verdict::Stored);
        }
    }
}
