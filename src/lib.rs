//! Vedette, the sensor agent on a smart camera.
//!
//! Reading order: [`frame`], [`clock`], [`place`], [`contract`], [`account`] are the words everyone shares;
//! `camera` lends frames, `capture` runs a camera's thread, `firstpass` decides, `still` makes the
//! picture, `spool` holds it, `grant` signs for it, `upload` sends it. Beside that way lies the other one:
//! `mqtt` brings commands and tells outcomes, `control` takes them through their life and serves the
//! sockets, `alarm` says which alarms are told. `agent` puts them together, `doctor`
//! looks at all of it from outside, `diagnose` packs what support needs, and `cli` is what people call.

pub mod account;
pub mod agent;
pub mod alarm;
pub mod backoff;
pub mod camera;
pub mod capture;
pub mod cli;
pub mod clock;
pub mod config;
pub mod contract;
pub mod control;
pub mod diagnose;
pub mod doctor;
pub mod duty;
pub mod firstpass;
pub mod frame;
pub mod grant;
pub mod health;
pub mod identity;
pub mod log;
pub mod mqtt;
pub mod place;
pub mod spool;
pub mod status;
pub mod still;
pub mod sys;
pub mod tls;
pub mod upload;
