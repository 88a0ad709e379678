//! The pure modules of Vedette, and nothing else: what decides, without files, sockets, threads or the clock.
//!
//! `cross/test-pure` runs their tests as arm64 programs within minutes, because none of the agent's other
//! dependencies is compiled. The files are the agent's own; only the modules above them are made up here. A
//! module that stops being pure does not compile in this crate.
#![allow(missing_docs, dead_code, unreachable_pub)]

#[path = "../../../src/backoff.rs"]
pub mod backoff;
#[path = "../../../src/clock.rs"]
pub mod clock;
#[path = "../../../src/contract.rs"]
pub mod contract;
#[path = "../../../src/firstpass.rs"]
pub mod firstpass;
#[path = "../../../src/frame.rs"]
pub mod frame;

/// The index and the files stay out.
pub mod spool {
    #[path = "../../../../src/spool/retention.rs"]
    pub mod retention;
    #[path = "../../../../src/spool/trailer.rs"]
    pub mod trailer;
}

/// The network stays out.
pub mod upload {
    #[path = "../../../../src/upload/classify.rs"]
    pub mod classify;
}

/// The one system call that `clock` makes: here nobody is asked.
pub mod sys {
    pub fn kernel_clock_synchronised() -> Option<bool> {
        None
    }
}
