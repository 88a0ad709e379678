//! The few system calls without a safe wrapper, and the process-wide settings made at start.
//!
//! Called by `clock` (is the kernel's clock disciplined?), `still` (lower its own priority), `spool`
//! (start write-back early), `control` (which group is that?) and `cli` (no core dumps, memory given
//! back). Every function here is advice or a question: where the system refuses, the agent works on, so
//! nothing fails harder than an `io::Error` that the caller logs.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Does the kernel say that its wall clock is disciplined by a time source?
///
/// Asks `adjtimex(2)` and changes nothing. `None` where the kernel must not be asked: a sandbox answers
/// EPERM (systemd's `ProtectClock=`), and that says nothing about the clock.
#[must_use]
pub fn kernel_clock_synchronised() -> Option<bool> {
    // SAFETY: `timex` is plain integers, for which all zeroes is a valid value; `modes == 0` asks
    // without changing anything and needs no privilege.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        let state = libc::adjtimex(&raw mut timex);
        (state, timex.status)
    };
    synchronised(state, status)
}

/// The returned state `TIME_ERROR` is not looked at: the kernel also answers it for a pulse-per-second
/// fault of a clock that is set (adjtimex(2)). `STA_UNSYNC` is the flag that says it.
fn synchronised(state: libc::c_int, status: libc::c_int) -> Option<bool> {
    (state >= 0).then_some(status & libc::STA_UNSYNC == 0)
}

/// Sets the calling thread's nice value (-20 urgent to 19 last).
///
/// # Errors
/// Lowering the number needs a privilege; the thread then keeps its priority.
pub fn set_thread_nice(nice: i32) -> io::Result<()> {
    // Linux keeps the nice value per thread, and "no process" means the calling thread, not the whole
    // process (setpriority(2), "C library/kernel differences").
    Ok(rustix::process::setpriority_process(None, nice)?)
}

/// Starts writing the first `len` bytes of a file to the disk, without waiting for it.
///
/// A head start for the `fdatasync` that follows, never a replacement for it: the file's size and the
/// disk's cache are not covered. File systems that cannot do it (or kernels that forbid it) make the
/// `fdatasync` do all the work, so failure is of no consequence and not reported.
pub fn start_writeback(file: BorrowedFd<'_>, len: u64) {
    let Ok(len) = len.try_into() else { return };
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory.
    unsafe {
        libc::sync_file_range(file.as_raw_fd(), 0, len, libc::SYNC_FILE_RANGE_WRITE);
    }
}

/// The id of the group of this name; `None` where there is no such group.
///
/// # Errors
/// The system's list of groups cannot be read.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name).map_err(io::Error::other)?;
    // SAFETY: the name ends with a NUL and outlives the call; the rest is `group_entry`'s promise.
    let found = group_entry(|entry, buffer, len, result| unsafe {
        libc::getgrnam_r(name.as_ptr(), entry, buffer, len, result)
    })?;
    Ok(found.map(|(id, _)| id))
}

/// The name of the group of this id; `None` where there is no such group.
///
/// # Errors
/// The system's list of groups cannot be read.
pub fn group_name(id: u32) -> io::Result<Option<String>> {
    // SAFETY: `group_entry`'s promise.
    let found = group_entry(|entry, buffer, len, result| unsafe {
        libc::getgrgid_r(id, entry, buffer, len, result)
    })?;
    Ok(found.map(|(_, name)| name))
}

/// What the two questions have in common: an entry, a buffer for its strings and the buffer's length, and
/// where the answer goes, all valid for the call.
fn group_entry(
    question: impl Fn(
        *mut libc::group,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::group,
    ) -> libc::c_int,
) -> io::Result<Option<(u32, String)>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        // SAFETY: `group` is integers and pointers, for which all zeroes is a valid value.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut result = std::ptr::null_mut();
        match question(&raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut result) {
            // The members of a large group; no list of names is larger than a megabyte.
            libc::ERANGE if buffer.len() < MAX_GROUP => buffer.resize(buffer.len() * 4, 0),
            0 if result.is_null() => return Ok(None),
            0 => {
                // SAFETY: a result says that the entry is filled in; its name ends with a NUL and lies in
                // the buffer, which is still there.
                let name = unsafe { CStr::from_ptr(entry.gr_name) };
                return Ok(Some((entry.gr_gid, name.to_string_lossy().into_owned())));
            }
            // Besides "0 and no result", getgrnam_r(3) lets these mean that there is no such group.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Most bytes of a group and its members' names.
const MAX_GROUP: usize = 1 << 20;

/// Keeps this process's memory, which holds credentials and pictures, out of core dumps.
///
/// The limit stops core files; "not dumpable" also stops piped core handlers, which ignore the limit,
/// and other processes of the same user from reading our memory.
///
/// # Errors
/// The first of the two settings that the kernel refused.
pub fn disable_core_dumps() -> io::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limit = rustix::process::setrlimit(Resource::Core, none);
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(limit?)
}

/// Makes the allocator give a picture's memory back to the system as soon as it is freed.
///
/// glibc gives pages of their own to blocks above a threshold, but raises that threshold, up to 32 MiB,
/// with each such block that is freed (mallopt(3)); from then on pictures lie between small blocks in
/// heaps that fragment. Setting it once turns that off. (Measured with the store away, three pictures of
/// 170 kB a second: anonymous memory wanders between 7 and 10 MB; with this it stays at 6.3 MB.)
/// Other C libraries do so by themselves.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a setting; it touches no memory but the allocator's own, which it locks.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK);
    }
}

/// What is given back: pictures, not the small change of the network and the index.
#[cfg(target_env = "gnu")]
const LARGE_BLOCK: libc::c_int = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn only_the_unsync_flag_makes_the_clock_unsynchronised_and_a_refusal_says_nothing() {
        assert_eq!(synchronised(0, 0), Some(true));
        assert_eq!(synchronised(5, libc::STA_PLL), Some(true));
        assert_eq!(synchronised(5, libc::STA_UNSYNC | libc::STA_PLL), Some(false));
        assert_eq!(synchronised(0, libc::STA_UNSYNC), Some(false));
        assert_eq!(synchronised(-1, 0), None);
    }

    #[test]
    fn asking_for_the_clock_state_answers() {
        assert_eq!(kernel_clock_synchronised(), kernel_clock_synchronised());
    }

    #[test]
    fn nice_changes_the_calling_thread_alone() {
        let before = rustix::process::getpriority_process(None).unwrap();
        let inside = std::thread::spawn(|| {
            set_thread_nice(19).unwrap();
            rustix::process::getpriority_process(None).unwrap()
        });
        assert_eq!(inside.join().unwrap(), 19);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), before);
    }

    #[test]
    fn writeback_leaves_the_file_as_it_is_whatever_the_length() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"picture").unwrap();
        for len in [0, 7, 1 << 40, u64::MAX] {
            start_writeback(file.as_fd(), len);
        }
        assert_eq!(file.metadata().unwrap().len(), 7);
    }

    #[test]
    fn groups_are_found_by_name_and_id() {
        let own = rustix::process::getegid().as_raw();
        let name = group_name(own).unwrap().expect("this process's own group has a name");
        assert_eq!(group_id(&name).unwrap(), Some(own));
        assert_eq!(group_id("no-such-group").unwrap(), None);
        assert_eq!(group_name(u32::MAX - 2).unwrap(), None);
        assert!(group_id("with\0nul").is_err());
    }

    #[test]
    fn the_names_of_a_large_group_get_a_larger_buffer() {
        let asked = std::cell::Cell::new(0);
        let never = group_entry(|_, _, len, _| {
            asked.set(len);
            libc::ERANGE
        });
        assert_eq!(never.unwrap_err().raw_os_error(), Some(libc::ERANGE));
        assert_eq!(asked.get(), MAX_GROUP);
    }

    #[test]
    fn core_dumps_are_off_afterwards() {
        disable_core_dumps().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
    }
}
