//! The few system calls without a safe wrapper.
