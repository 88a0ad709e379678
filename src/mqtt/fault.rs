//! What a person must mend, and how long to wait before the next connection.
//!
//! Pure: called by `line` at each end of a connection, with the time and a random number.
//!
//! The wait has full jitter and grows with the failures in a row; a connection that stayed up for a
//! while ends the row. Being accepted is not being up: of two clients under one name each closes the
//! other's connection, for ever, and a broker says so only sometimes. So three connections closed in a
//! row within a minute, with no failed attempt between them, are taken for that duel, and the waits
//! become minutes: the other one works meanwhile, and a person is told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::session::{Doubt, Lost};
use super::{Settings, Tuning};
use crate::backoff::Backoff;

/// How many connections are closed in a row before it is called a duel.
const DUEL: usize = 3;

/// The row of failures so far.
#[derive(Debug)]
pub(super) struct Row {
    backoff: Backoff,
    stable: Duration,
    duel_window: Duration,
    duel_wait: Duration,
    failures: u32,
    closed: VecDeque<Instant>,
    duel: bool,
}

impl Row {
    /// No failure yet.
    pub(super) fn new(tuning: &Tuning) -> Self {
        Self {
            backoff: tuning.backoff,
            stable: tuning.stable,
            duel_window: tuning.duel_window,
            duel_wait: tuning.duel_wait,
            failures: 0,
            closed: VecDeque::new(),
            duel: false,
        }
    }

    /// Failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Does another client fight for our name?
    pub(super) fn duels(&self) -> bool {
        self.duel
    }

    /// A connection has been up for a while: all is well.
    pub(super) fn stable(&mut self) {
        self.failures = 0;
        self.closed.clear();
        self.duel = false;
    }

    /// A connection ended at `now`, after having been up for so long (`None`: it never was); returns how
    /// long to wait. `random` is uniform in 0..1.
    pub(super) fn ended(
        &mut self,
        lost: &Lost,
        up: Option<Duration>,
        now: Instant,
        random: f64,
    ) -> Duration {
        if up.is_some_and(|up| up >= self.stable) {
            self.stable();
        }
        self.failures = self.failures.saturating_add(1);
        let closed = match lost {
            Lost::TakenOver => up.is_some(),
            // One that says why is no duel.
            Lost::Closed(None) => up.is_some_and(|up| up < self.stable),
            _ => false,
        };
        if !closed {
            // A broker that restarts cannot be reached between two connections; in a duel it always can.
            self.closed.clear();
            return self.backoff.wait(self.failures, random);
        }
        self.closed.push_back(now);
        if self.closed.len() > DUEL {
            self.closed.pop_front();
        }
        let first = self.closed.front().copied().unwrap_or(now);
        let quick = self.closed.len() == DUEL && now.duration_since(first) <= self.duel_window;
        self.duel |= quick || *lost == Lost::TakenOver;
        if self.duel {
            // Both ends of the duel may be Vedettes: half of the wait is chance.
            return self.duel_wait.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        }
        self.backoff.wait(self.failures, random)
    }

    /// What a person must mend, after `lost`; `None` where trying again may be enough.
    pub(super) fn fault(&self, lost: &Lost, settings: &Settings) -> Option<String> {
        if self.duel && matches!(lost, Lost::Closed(None) | Lost::TakenOver) {
            let id = &settings.device;
            return Some(format!(
                "another client connects as {id}: the broker closes each connection soon after it is made; \
                 give each device an id of its own (`device.id`), or the broker forbids what this device \
                 does: see its log"
            ));
        }
        explain(lost, settings)
    }
}

/// What a person must mend, of a single connection.
pub(super) fn explain(lost: &Lost, settings: &Settings) -> Option<String> {
    let broker = settings.broker.host_str().unwrap_or_default();
    let ours = settings.client_certificate.as_ref().map(|(file, _)| file.display());
    let text = match lost {
        Lost::Setup(words) => words.clone(),
        Lost::Credentials(words) => {
            let check = match (&settings.username, &settings.password_file, ours) {
                (Some(user), Some(file), _) => {
                    format!("check `username` ({user}) and the password in {}", file.display())
                }
                (Some(user), None, _) => {
                    format!("check `username` ({user}), or set `password_file`")
                }
                (None, _, Some(ours)) => format!("check what it allows the certificate {ours}"),
                (None, _, None) => {
                    "set `username` and `password_file`, or `certificate_file` and `key_file`"
                        .into()
                }
            };
            format!("{broker} does not let us in ({words}): {check}")
        }
        Lost::Refused(words) => {
            format!("{broker} refuses the client {} ({words}): ask its operator", settings.device)
        }
        Lost::Untrusted(doubt) => {
            let believed = match &settings.ca_file {
                Some(file) => format!("the CA in {}", file.display()),
                None => "the system's CAs; for a CA of your own set `ca_file`".into(),
            };
            let check = match doubt {
                Doubt::Issuer => format!("believed is only {believed}"),
                Doubt::Name => "write the name of the certificate in `broker`".into(),
                Doubt::Time => "renew it, or mend this device's clock".into(),
                Doubt::Other(_) => format!("checked against {believed}"),
            };
            format!("the certificate of {broker} is not believed ({doubt}): {check}")
        }
        Lost::Unbelieved(words) => match ours {
            Some(ours) => {
                format!("{broker} does not accept the certificate {ours} ({words}): renew it")
            }
            None => {
                format!(
                    "{broker} wants a certificate ({words}): set `certificate_file` and `key_file`"
                )
            }
        },
        Lost::Tls(words) => {
            format!("no TLS with {broker} ({words}): does it speak TLS on this port?")
        }
        Lost::TooLarge(size) => format!(
            "{broker} sends a packet of {size} bytes against the limit it was told: set its own limit to \
             64 KiB"
        ),
        Lost::Ended
        | Lost::TakenOver
        | Lost::Closed(_)
        | Lost::Flooded
        | Lost::Silent
        | Lost::Unreachable(_)
        | Lost::Other(_) => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            broker: "mqtts://broker.example".parse().unwrap(),
            device: "gate-1".into(),
            username: None,
            password_file: None,
            ca_file: None,
            client_certificate: None,
            keep_alive: Duration::from_secs(60),
            session_expiry: Duration::from_secs(86_400),
            reliable: false,
        }
    }

    fn row() -> Row {
        Row::new(&Tuning::default())
    }

    const QUICK: Option<Duration> = Some(Duration::from_millis(50));

    #[test]
    fn waits_grow_until_a_connection_was_stable() {
        let (mut row, now) = (row(), Instant::now());
        let down = Lost::Unreachable("no route".into());
        let waits = [1, 2, 4, 8].map(Duration::from_secs);
        assert_eq!([(); 4].map(|()| row.ended(&down, None, now, 1.0)), waits);
        assert_eq!(row.ended(&Lost::Silent, QUICK, now, 1.0), Duration::from_secs(16));
        let minute = Some(Duration::from_secs(60));
        assert_eq!(row.ended(&Lost::Silent, minute, now, 1.0), Duration::from_secs(1));
        assert_eq!(row.fault(&down, &settings()), None);
    }

    #[test]
    fn three_connections_closed_within_a_minute_are_a_duel() {
        let (mut row, start) = (row(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let closed = Lost::Closed(None);
        assert!(row.ended(&closed, QUICK, at(0), 1.0) <= Duration::from_secs(2));
        assert!(row.ended(&closed, QUICK, at(20), 1.0) <= Duration::from_secs(2));
        assert_eq!(row.fault(&closed, &settings()), None);
        let least = row.ended(&closed, QUICK, at(59), 0.0);
        assert!(least >= Duration::from_secs(120), "{least:?}");
        let fault = row.fault(&closed, &settings()).unwrap();
        assert!(fault.contains("another client connects as gate-1"), "{fault}");
        // Minutes later it goes on: still a duel, at the first close.
        assert!(row.ended(&closed, QUICK, at(400), 0.0) >= Duration::from_secs(120));
        row.stable();
        assert_eq!(row.fault(&closed, &settings()), None);
    }

    #[test]
    fn a_broker_that_restarts_again_and_again_is_no_duel() {
        let (mut row, now) = (row(), Instant::now());
        for _ in 0..5 {
            row.ended(&Lost::Closed(None), QUICK, now, 0.0);
            row.ended(&Lost::Unreachable("connection refused".into()), None, now, 0.0);
        }
        assert_eq!(row.fault(&Lost::Closed(None), &settings()), None);
        // Nor is one that closes slowly.
        for hour in 1..5 {
            let now = now + Duration::from_secs(3600 * hour);
            row.ended(&Lost::Closed(None), QUICK, now, 0.0);
        }
        assert_eq!(row.fault(&Lost::Closed(None), &settings()), None);
    }

    #[test]
    fn a_broker_that_says_why_it_closes_is_no_duel() {
        let (mut row, now) = (row(), Instant::now());
        for why in ["quota exceeded", "server busy", "not authorized", "server busy"] {
            let closed = Lost::Closed(Some(why.into()));
            assert!(row.ended(&closed, QUICK, now, 0.0) < Duration::from_secs(60));
            assert_eq!(row.fault(&closed, &settings()), None);
        }
        assert_eq!(row.fault(&Lost::Closed(None), &settings()), None);
    }

    #[test]
    fn a_broker_that_says_taken_over_is_believed_at_once() {
        let mut row = row();
        let wait = row.ended(&Lost::TakenOver, QUICK, Instant::now(), 0.0);
        assert!(
            wait >= Duration::from_secs(120) && row.fault(&Lost::TakenOver, &settings()).is_some()
        );
    }

    #[test]
    fn faults_name_what_to_look_at() {
        let mut s = settings();
        let words = |lost: Lost, s: &Settings| explain(&lost, s).unwrap();
        let refused = || Lost::Credentials("not authorized".into());
        assert!(words(refused(), &s).contains("set `username`"));
        s.username = Some("cam".into());
        s.password_file = Some("/etc/vedette/mqtt.password".into());
        assert!(words(refused(), &s).contains("/etc/vedette/mqtt.password"));
        let doubt = Lost::Untrusted(Doubt::Issuer);
        assert!(words(doubt.clone(), &s).contains("`ca_file`"));
        s.ca_file = Some("/etc/vedette/ca.pem".into());
        assert!(words(doubt, &s).contains("/etc/vedette/ca.pem"));
    }
}
