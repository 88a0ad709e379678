//! The way to a server: name, connection, certificate. Each is tried only where the one before it went
//! well, because its failure would only be an echo.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::report::{Check, Finding};
use super::within;
use crate::clock::{Timekeeper, WallTime};
use crate::tls::ClientCertificate;
use crate::tls::handshake::{self, Certificate, Doubt};

const NAME: Duration = Duration::from_secs(6);
const CONNECT: Duration = Duration::from_secs(3);
const CONNECT_ALL: Duration = Duration::from_secs(8);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Addresses that are tried.
const MOST: usize = 4;
/// A certificate that ends sooner is worth a word.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// A server to be reached.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// `store` or `broker`.
    pub(super) who: &'static str,
    /// The key of the configuration that names it.
    pub(super) key: &'static str,
    /// Name or address; an IPv6 address without its brackets.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// Is it spoken to over TLS?
    pub(super) secure: bool,
    /// Whom to believe instead of the system's CAs.
    pub(super) ca_file: Option<PathBuf>,
    /// Certificate and key to show to a server that asks for them.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// The findings on the way, and why the server cannot be spoken to, if so.
pub(super) struct Way {
    pub(super) findings: Vec<Finding>,
    pub(super) blocked: Option<String>,
}

/// Goes as far as it can.
pub(super) async fn walk(server: &Server, timekeeper: &Timekeeper, proxies: &[String]) -> Way {
    let mut findings = Vec::new();
    let who = server.who;
    let end = |findings: &mut Vec<Finding>, wrong: Finding, left: &[Check], why: &str| {
        findings.push(wrong.of(who));
        findings.extend(left.iter().map(|check| Finding::untried(*check, why).of(who)));
        Some(why.to_owned())
    };
    let tls: &[Check] = if server.secure { &[Check::Tls] } else { &[] };
    let addresses = match look_up(server).await {
        Ok((found, addresses)) => {
            findings.push(found.of(who));
            addresses
        }
        Err(wrong) => {
            let left = [&[Check::Connect], tls].concat();
            let blocked = end(&mut findings, wrong, &left, "its name cannot be looked up");
            return Way { findings, blocked };
        }
    };
    let (host, port) = (server.host.clone(), server.port);
    let tried = within(CONNECT_ALL, move || connect(&addresses)).await;
    let address = match tried.unwrap_or(Err(ErrorKind::TimedOut.into())) {
        Ok((address, silent)) => {
            findings.push(reached(address, silent).of(who));
            address
        }
        Err(error) => {
            let wrong = unreachable(server, &error, proxies);
            let blocked = end(&mut findings, wrong, tls, "it cannot be reached");
            return Way { findings, blocked };
        }
    };
    if !server.secure {
        return Way { findings, blocked: None };
    }
    let (ca_file, own) = (server.ca_file.clone(), server.own.clone());
    let keeper = timekeeper.clone();
    let shaken = within(HANDSHAKE * 2, move || {
        let own = own.as_ref().map(|(certificate, key)| ClientCertificate { certificate, key });
        handshake::shake(address, &host, ca_file.as_deref(), own, &keeper, HANDSHAKE)
    });
    let shaken = shaken.await.unwrap_or_else(|| Err(Doubt::Other("it does not answer".into())));
    let now = timekeeper.certificate_time();
    let blocked = match shaken {
        Ok(certificate) => {
            findings.push(believed(&certificate, now).of(who));
            None
        }
        Err(doubt) => {
            let wrong = doubted(server, port, &doubt, now);
            end(&mut findings, wrong, &[], "its certificate is not believed")
        }
    };
    Way { findings, blocked }
}

async fn look_up(server: &Server) -> Result<(Finding, Vec<SocketAddr>), Finding> {
    let (host, port) = (server.host.clone(), server.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        let found = Finding::ok(
            Check::Dns,
            format!("{address} is an address, there is no name to look up"),
        );
        return Ok((found, vec![SocketAddr::new(address, port)]));
    }
    let name = host.clone();
    let asked =
        within(NAME, move || (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
    let help = |words: &str| {
        let resolver = "`resolvectl status` or /etc/resolv.conf shows who is asked";
        if !has_default_route() {
            return format!(
                "This device has no route out: cable, Wi-Fi, DHCP (`ip route`). Then {resolver}."
            );
        }
        if words.contains("not known") || words.contains("No address") {
            return format!(
                "Is `{}` spelt right? Else the network's name server does not know it: {resolver}.",
                server.key
            );
        }
        format!("No name server answers: {resolver}; is the network there?")
    };
    match asked {
        Some(Ok(addresses)) if !addresses.is_empty() => {
            let count = |v6: bool| addresses.iter().filter(|a| a.is_ipv6() == v6).count();
            let kinds = [(count(false), "IPv4"), (count(true), "IPv6")];
            let kinds: Vec<_> =
                kinds.iter().filter(|k| k.0 > 0).map(|(n, k)| format!("{n} {k}")).collect();
            let text = format!(
                "{host} has {} address{}",
                kinds.join(" and "),
                if addresses.len() == 1 { "" } else { "es" }
            );
            Ok((Finding::ok(Check::Dns, text), addresses))
        }
        Some(Ok(_)) => {
            Err(Finding::wrong(Check::Dns, format!("{host} has no address"), help("No address")))
        }
        Some(Err(error)) => {
            let words = error.to_string();
            let words = words.rsplit(": ").next().unwrap_or(&words).to_owned();
            Err(Finding::wrong(
                Check::Dns,
                format!("{host} cannot be looked up: {words}"),
                help(&words),
            ))
        }
        None => {
            let text = format!("{host} cannot be looked up: no answer within {} s", NAME.as_secs());
            Err(Finding::wrong(Check::Dns, text, help("")))
        }
    }
}

/// The first address that answers, and how many before it did not.
fn connect(addresses: &[SocketAddr]) -> std::io::Result<(SocketAddr, usize)> {
    let until = Instant::now() + CONNECT_ALL;
    let mut last = ErrorKind::AddrNotAvailable.into();
    for (at, address) in addresses.iter().take(MOST).enumerate() {
        let left = until.saturating_duration_since(Instant::now()).min(CONNECT);
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, left) {
            Ok(_) => return Ok((*address, at)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn reached(address: SocketAddr, silent: usize) -> Finding {
    if silent == 0 {
        return Finding::ok(Check::Connect, format!("{address} answers"));
    }
    let text = format!("{address} answers, and {silent} of its other addresses did not");
    let help = "Mostly IPv6 that leads nowhere: each connection begins slower. Mend it, or turn IPv6 off here.";
    Finding::warning(Check::Connect, text, help)
}

fn unreachable(server: &Server, error: &std::io::Error, proxies: &[String]) -> Finding {
    let Server { who, key, host, port, .. } = server;
    let proxy = match proxies {
        [] => String::new(),
        names => format!(
            " This network seems to want a proxy ({}); vedette uses none: let {host} port {port} through.",
            names.join(", ")
        ),
    };
    let (text, help) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            format!("{host} refuses connections to port {port}: nothing listens there"),
            format!("Is the port in `{key}` right, and does the {who} run?"),
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => (
            format!("there is no route to {host}"),
            "Cable, Wi-Fi, gateway: `ip route` shows the ways out.".to_owned(),
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (
            format!("{host} does not answer on port {port}"),
            format!(
                "A firewall in between, or another address than meant: TCP to port {port} must be let out."
            ),
        ),
        _ => (format!("{host} port {port}: {error}"), format!("Is `{key}` right?")),
    };
    Finding::wrong(Check::Connect, text, format!("{help}{proxy}"))
}

fn believed(certificate: &Certificate, now: WallTime) -> Finding {
    let text = format!("valid until {}, signed by {}", day(certificate.until), certificate.issuer);
    let left = u64::try_from(certificate.until.0.saturating_sub(now.0)).unwrap_or(0);
    if Duration::from_millis(left) < SOON {
        let text = format!("{text}: {} days left", left / 86_400_000);
        return Finding::warning(Check::Tls, text, "Its operator should renew it.");
    }
    Finding::ok(Check::Tls, text)
}

fn doubted(server: &Server, port: u16, doubt: &Doubt, now: WallTime) -> Finding {
    let Server { who, key, host, ca_file, .. } = server;
    let issuer = |shown: &Option<Certificate>| match shown {
        Some(c) => format!(" ({})", c.issuer),
        None => String::new(),
    };
    let (text, help) = match doubt {
        Doubt::Time(Some(c)) => (
            format!(
                "its certificate is valid from {} to {}, and here it is {}",
                moment(c.from),
                moment(c.until),
                moment(now)
            ),
            format!(
                "If this device's time is wrong, mend that: `timedatectl`. Else the {who}'s operator has to renew it."
            ),
        ),
        Doubt::Issuer(shown) => {
            let believed = match ca_file {
                Some(file) => format!("Believed is only the CA in {} (`ca_file`).", file.display()),
                None => "For a CA of your own, set `ca_file` to its certificate.".into(),
            };
            (
                format!(
                    "its certificate is signed by somebody who is not believed here{}",
                    issuer(shown)
                ),
                format!(
                    "{believed} If that signer is a stranger, something in between answers in its place: a \
                     captive portal (log this network in), or a proxy that opens TLS."
                ),
            )
        }
        Doubt::Name(Some(c)) => (
            format!("its certificate is for {}, not for {host}", c.names.join(", ")),
            format!("Write one of these names in `{key}`."),
        ),
        Doubt::Setup(error) => {
            (error.to_string(), "Correct `ca_file`, or `apt install ca-certificates`.".into())
        }
        other => (
            format!("no TLS on port {port}: {other}"),
            format!("Does it speak TLS on this port? `{key}` says which protocol and port."),
        ),
    };
    Finding::wrong(Check::Tls, text, help)
}

fn moment(t: WallTime) -> String {
    let stamp =
        Timestamp::from_millisecond(t.0).map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string());
    stamp.unwrap_or_else(|_| "no date".into())
}

fn day(t: WallTime) -> String {
    moment(t).split(' ').next().unwrap_or_default().to_owned()
}

/// Does any route lead out of the local networks? True also where that cannot be seen.
fn has_default_route() -> bool {
    let read = |file: &str| std::fs::read_to_string(file).ok();
    routes_out(read("/proc/net/route").as_deref(), read("/proc/net/ipv6_route").as_deref())
}

fn routes_out(v4: Option<&str>, v6: Option<&str>) -> bool {
    let Some(v4) = v4 else { return true };
    let four = v4.lines().skip(1).any(|l| l.split_whitespace().nth(1) == Some("00000000"));
    // The kernel lists an unreachable default on `lo` where there is none.
    let six = v6.unwrap_or_default().lines().any(|l| {
        let mut parts = l.split_whitespace();
        let any = parts.next().is_some_and(|to| to.bytes().all(|b| b == b'0'))
            && parts.next() == Some("00");
        any && !l.trim_end().ends_with(" lo")
    });
    four || six
}

/// `HTTPS_PROXY` and its kin.
pub(super) fn is_proxy_variable(name: &str) -> bool {
    matches!(name.to_ascii_uppercase().as_str(), "HTTPS_PROXY" | "HTTP_PROXY" | "ALL_PROXY")
}

/// What there is to say of proxies: `here` and in the unit's environment.
pub(super) fn proxy(here: &[String], unit: &[String]) -> Finding {
    let mut names: Vec<&str> = here.iter().chain(unit).map(String::as_str).collect();
    names.dedup();
    match names.as_slice() {
        [] => Finding::ok(Check::Proxy, "none is set; vedette always connects directly"),
        names => Finding::ok(
            Check::Proxy,
            format!("{} is set and not used: vedette always connects directly", names.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            who: "store",
            key: "endpoint",
            host: "minio.example".into(),
            port: 9000,
            secure: true,
            ca_file: None,
            own: None,
        }
    }

    #[test]
    fn each_way_not_to_be_reached_has_its_remedy() {
        for (kind, text, help) in [
            (ErrorKind::ConnectionRefused, "nothing listens", "Is the port in `endpoint` right"),
            (ErrorKind::NetworkUnreachable, "no route", "ip route"),
            (ErrorKind::TimedOut, "does not answer", "firewall"),
        ] {
            let found = unreachable(&server(), &kind.into(), &["HTTPS_PROXY".into()]);
            assert!(found.text.contains(text), "{}", found.text);
            let said = found.help.unwrap();
            assert!(said.contains(help) && said.contains("want a proxy (HTTPS_PROXY)"), "{said}");
        }
    }

    #[test]
    fn doubts_of_a_certificate_name_it_and_both_times() {
        let shown = Certificate {
            names: vec!["store.example".into()],
            issuer: "CN=Hotel WiFi".into(),
            from: WallTime(0),
            until: WallTime(86_400_000),
        };
        let now = WallTime(2 * 86_400_000);
        let said = |doubt: Doubt| doubted(&server(), 9000, &doubt, now).text;
        assert!(
            said(Doubt::Time(Some(shown.clone())))
                .contains("to 1970-01-02 00:00 UTC, and here it is 1970-01-03")
        );
        assert!(said(Doubt::Issuer(Some(shown.clone()))).contains("CN=Hotel WiFi"));
        assert!(
            said(Doubt::Name(Some(shown.clone())))
                .contains("for store.example, not for minio.example")
        );
        assert!(believed(&shown, WallTime(0)).text.ends_with("1 days left"));
    }

    #[test]
    fn the_route_out_is_read_from_the_kernels_tables() {
        let head = "Iface\tDestination\tGateway\n";
        let zero = "0".repeat(32);
        assert!(routes_out(Some(&format!("{head}eth0\t00000000\t0101A8C0\n")), None));
        assert!(!routes_out(
            Some(&format!("{head}eth0\t0001A8C0\t00000000\n")),
            Some(&format!("{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n"))
        ));
        assert!(routes_out(
            Some(head),
            Some(&format!("{zero} 00 {zero} 00 fe80 400 1 0 00450003 eth0\n"))
        ));
        assert!(routes_out(None, None), "not seen is not missing");
    }
}
