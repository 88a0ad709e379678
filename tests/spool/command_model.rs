//! What a command comes to, as the models of the spool have it: it ends once, and not before its pictures.

use std::collections::BTreeMap;

use vedette::contract::command::Status;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Open,
    /// With what it will end in the end, if that is known.
    Taken(Option<Status>),
    Ended(Status),
}

#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) wanted: u32,
    pub(crate) tell: usize,
    pub(crate) state: State,
    /// Its pictures, and whether each was stored, once it has ended.
    pub(crate) pictures: BTreeMap<u64, Option<bool>>,
}

impl Command {
    pub(crate) fn take(&mut self, fault: Option<Status>) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Taken(fault);
            self.look();
        }
    }

    /// A taken command ends with its last picture.
    pub(crate) fn look(&mut self) {
        let State::Taken(fault) = self.state else { return };
        if self.pictures.values().all(Option::is_some) {
            let all = !self.pictures.is_empty() && self.pictures.values().all(|p| *p == Some(true));
            let by_pictures = if all { Status::Succeeded } else { Status::Failed };
            self.state = State::Ended(fault.unwrap_or(by_pictures));
        }
    }

    pub(crate) fn interrupt(&mut self) {
        if self.state == State::Open {
            let short = self.pictures.len() < self.wanted as usize;
            self.take(short.then_some(Status::Failed));
        }
    }
}
