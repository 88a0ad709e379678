//! The handle's second half: commands, events, and messages that must arrive.

use tokio::sync::watch;
use tracing::warn;

use super::browse::{Ask, Told as ToldOf};
use super::mailbox::Call;
use super::{
    Acceptance, Conclusion, DueEvent, Message, NewCommand, Outcome, Queued, Receipt, Spool,
    SpoolError, images,
};
use crate::contract::command::Told;
use crate::still::EventEnd;

impl Spool {
    /// As [`Spool::finish`] with [`Outcome::Stored`], with what the uploader knows of the object: it ends
    /// commands and events that follow the picture, and puts the receipt's message into the outbox, all
    /// in one transaction.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn stored(&self, seq: u64, receipt: Receipt) -> Result<(), SpoolError> {
        let receipt = Some(Box::new(receipt));
        let told = images::Told { seq, outcome: Outcome::Stored, retry_after: None, receipt };
        self.call(|reply| Call::Finish(told, reply)).await
    }

    /// Answers what people ask of the pictures.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] while the index is down.
    pub async fn ask(&self, ask: Ask) -> Result<ToldOf, SpoolError> {
        self.call(|reply| Call::Ask(ask, reply)).await?.ok_or(SpoolError::Index)
    }

    /// Tells that an event is over; all its pictures were handed over before. Never blocks. One for
    /// which there is no room is told by the next start, as interrupted.
    pub fn event_ended(&self, end: EventEnd) {
        if !self.inner.mailbox.put_end(end) {
            warn!("The spool took an event's end no more.");
        }
    }

    /// Events whose manifest is to be written now: all their pictures have ended, or ten minutes passed.
    /// They are given again until their manifest is durable.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] while the index is down.
    pub async fn due_events(&self) -> Result<Vec<DueEvent>, SpoolError> {
        self.call(Call::DueEvents).await?.ok_or(SpoolError::Index)
    }

    /// Writes a command down, once for each id. When it returns, it is durable.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] when it could not be written: nothing was done.
    pub async fn accept(&self, command: NewCommand) -> Result<Acceptance, SpoolError> {
        self.call(|reply| Call::Accept(command, reply)).await?.ok_or(SpoolError::Index)
    }

    /// Ends commands that were accepted and that nobody is at work on any more: by the pictures that they
    /// have, else as interrupted. How many. The start does the same.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn interrupt_commands(&self) -> Result<u64, SpoolError> {
        self.call(Call::InterruptCommands).await
    }

    /// What was told last of a command; `None` for one that is not known.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] while the index is down.
    pub async fn told(&self, id: &str) -> Result<Option<Told>, SpoolError> {
        self.call(|reply| Call::Told(id.to_owned(), reply)).await?.ok_or(SpoolError::Index)
    }

    /// Tells what came of a command's effect. When it returns this is durable, or held until it can be;
    /// a command's end goes into the outbox in the same transaction.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn conclude(&self, id: &str, conclusion: Conclusion) -> Result<(), SpoolError> {
        self.call(|reply| Call::Conclude(id.to_owned(), conclusion, reply)).await
    }

    /// Puts messages into the outbox, durably.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] when they could not be written.
    pub async fn post(&self, messages: Vec<Message>) -> Result<(), SpoolError> {
        self.done(|reply| Call::Post(messages, reply)).await
    }

    /// Up to `most` messages of the outbox with numbers above `above`, in order.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] while the index is down.
    pub async fn outbox(&self, above: u64, most: usize) -> Result<Vec<Queued>, SpoolError> {
        self.call(|reply| Call::Outbox(above, most, reply)).await?.ok_or(SpoolError::Index)
    }

    /// These messages have arrived: they leave the outbox. After a power cut they may be there again.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] when they could not be removed.
    pub async fn arrived(&self, ids: Vec<u64>) -> Result<(), SpoolError> {
        self.done(|reply| Call::Arrived(ids, reply)).await
    }

    /// These messages will never arrive: they leave the outbox, and count as dropped. After a power cut they
    /// may be there again.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], or [`SpoolError::Index`] when they could not be removed.
    pub async fn give_up(&self, ids: Vec<u64>) -> Result<(), SpoolError> {
        self.done(|reply| Call::GiveUp(ids, reply)).await
    }

    /// Changes whenever something was put into the outbox.
    #[must_use]
    pub fn outbox_changed(&self) -> watch::Receiver<u64> {
        self.inner.mail.clone()
    }
}
