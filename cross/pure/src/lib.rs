//! The pure modules of Vedette, and nothing else: what decides, without files, sockets, threads or the clock.
//!
//! `cross/test-pure` runs their tests as arm64 programs within minutes, because none of the agent's other
//! dependencies is compiled. The files beside this one are links to the agent's own; only the modules above
//! them are made up here. A module that stops being pure does not compile in this crate.
#![allow(missing_docs, dead_code, unreachable_pub)]

pub mod account;
pub mod backoff;
pub mod clock;
pub mod contract;
pub mod duty;
pub mod firstpass;
pub mod frame;
pub mod place;

/// The thread stays out.
pub mod capture {
    pub mod ring;
    pub mod timetable;
    pub mod watcher;
}

/// The index and the files stay out.
pub mod spool {
    pub mod retention;
    pub mod trailer;
}

/// Encoding and scaling stay out; so do the tests of what is in, which encode.
#[cfg(not(test))]
pub mod still {
    pub mod passthrough;
}

/// The network stays out.
pub mod upload {
    pub mod classify;
}

/// The one system call that `clock` makes: here nobody is asked.
pub mod sys {
    pub fn kernel_clock_synchronised() -> Option<bool> {
        None
    }
}
