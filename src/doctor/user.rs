//! As whom the doctor looks: as the service's user, with its groups.
//!
//! Root may read everything, so what root sees says nothing of what the agent may do. Started as root,
//! the doctor asks systemd first and then becomes the service's user, for good; everything after that
//! opens files and cameras as the agent does. Must be called while the process has one thread only: the
//! kernel keeps users per thread, and threads inherit them.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid, geteuid, getgroups};

use super::report::{Check, Finding};
use crate::sys;

/// The user when nobody names one.
const DEFAULT: &str = "vedette";

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Who the service runs as, by its unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) more: Vec<String>,
}

/// Becomes the service's user where that is possible, and says as whom the rest is looked at.
pub(super) fn become_service(wanted: &Wanted) -> (Finding, String) {
    let own = || sys_name(geteuid());
    let name = wanted.user.as_deref().unwrap_or(DEFAULT);
    let found = find(name, wanted);
    if !geteuid().is_root() {
        let me = own();
        let finding = match found {
            Some(service) if service.uid != geteuid().as_raw() => Finding::warning(
                Check::User,
                format!(
                    "looked at as {me}; what {name} may do, as whom the agent runs, is not tried"
                ),
                "Ask as root, who becomes that user: `sudo vedette doctor`.",
            ),
            _ => Finding::ok(Check::User, format!("looked at as {me}{}", groups())),
        };
        return (finding, me);
    }
    let Some(user) = found else {
        let text = match &wanted.user {
            Some(user) => {
                format!("there is no user {user}: looked at as root, who may do everything")
            }
            None => "looked at as root, who may do everything".into(),
        };
        let help = format!(
            "If the agent runs as another user, name it with `--user`; the package makes the user {DEFAULT}."
        );
        return (Finding::warning(Check::User, text, help), own());
    };
    match switch(&user) {
        Ok(()) => {
            let text = format!("looked at as {}{}, as the agent runs", user.name, groups());
            (Finding::ok(Check::User, text), user.name)
        }
        Err(error) => {
            let text = format!("cannot become {}: {error}; looked at as root", user.name);
            (Finding::warning(Check::User, text, format!("Ask as {} itself.", user.name)), own())
        }
    }
}

fn switch(user: &User) -> io::Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&groups)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// The groups that this process has, in words.
fn groups() -> String {
    let names: Vec<_> = getgroups()
        .unwrap_or_default()
        .into_iter()
        .map(|g| {
            sys::group_name(g.as_raw()).ok().flatten().unwrap_or_else(|| g.as_raw().to_string())
        })
        .collect();
    if names.is_empty() { String::new() } else { format!(" (groups {})", names.join(", ")) }
}

fn sys_name(uid: Uid) -> String {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = passwd(&text).find(|entry| entry.1 == uid.as_raw());
    found.map_or_else(|| format!("user {}", uid.as_raw()), |(name, ..)| name.to_owned())
}

fn find(name: &str, wanted: &Wanted) -> Option<User> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let group = fs::read_to_string("/etc/group").ok()?;
    user(name, wanted, &passwd, &group)
}

/// A user by the two files, as systemd would start a service of it.
fn user(name: &str, wanted: &Wanted, users: &str, all: &str) -> Option<User> {
    let (_, uid, own) = passwd(users).find(|entry| entry.0 == name)?;
    let named = |name: &String| group(all).find(|g| g.0 == name.as_str()).map(|g| g.1);
    let gid = wanted.group.as_ref().and_then(named).unwrap_or(own);
    let member = |g: (&str, u32, &str)| g.2.split(',').any(|m| m == name).then_some(g.1);
    let mut groups: Vec<u32> = group(all).filter_map(member).collect();
    groups.extend(wanted.more.iter().filter_map(named));
    groups.push(own);
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Some(User { name: name.to_owned(), uid, gid, groups })
}

/// Name, user id and group id of each line.
fn passwd(text: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    text.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        Some((name, parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// Name, id and members of each line.
fn group(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        Some((name, parts.nth(1)?.parse().ok()?, parts.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_user_has_its_units_group_and_those_it_is_a_member_of() {
        let users = "root:x:0:0::/root:/bin/sh\nbroken\nvedette:x:990:980::/:/usr/sbin/nologin\n";
        let all = "root:x:0:\nvideo:x:44:ada,vedette\nvedette:x:980:\nvedette-trigger:x:981:vedette\n\
                   render:x:105:\n";
        let wanted = Wanted {
            user: None,
            group: Some("vedette-trigger".into()),
            more: vec!["render".into(), "no-such-group".into()],
        };
        let found = user("vedette", &wanted, users, all).unwrap();
        assert_eq!((found.uid, found.gid, found.groups), (990, 981, vec![44, 105, 980, 981]));
        assert_eq!(user("nobody", &wanted, users, all), None);
    }
}
