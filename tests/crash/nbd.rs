//! A disk in memory that writes down, in order, every write and every flush that reaches it.
//!
//! It speaks the NBD protocol on a Unix socket, as much of it as `nbdfuse` asks for (the fixed newstyle
//! handshake, `NBD_OPT_GO`, simple replies; <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>).
//! One connection, one request after the other: so the log is a total order. No trim, no multi-conn.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What the disk was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Bytes at an offset; they may be lost until the next flush.
    Write(u64, Vec<u8>),
    /// Everything before it is on the disk for ever.
    Flush,
}

/// The log; shared with the disk's thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Op>>>);

impl Log {
    fn push(&self, op: Op) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(op);
    }

    /// How many operations it holds: a moment in the disk's life.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn take(&self) -> Vec<Op> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const OPTION_MAGIC: u64 = 0x4948_4156_454F_5054; // "IHAVEOPT"
const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const OPT_GO: u32 = 7;
const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_UNSUPPORTED: u32 = 0x8000_0001;
/// NBD_FLAG_HAS_FLAGS, NBD_FLAG_SEND_FLUSH, NBD_FLAG_SEND_FUA.
const FLAGS: u16 = 1 | 4 | 8;
const REQUEST_FUA: u16 = 1;
/// Largest request taken; the protocol's usual limit.
const MAX_REQUEST: u32 = 32 << 20;

/// Serves `image` at this socket until the client is gone.
pub(crate) fn serve(socket: &Path, mut image: Vec<u8>, log: Log) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    drop(std::thread::Builder::new().name("disk".into()).spawn(move || {
        let Ok((mut client, _)) = listener.accept() else { return };
        // It ends with an error when the client is killed, as it is at the end of each recording.
        talk(&mut client, &mut image, &log).ok();
    })?);
    Ok(())
}

fn talk(client: &mut UnixStream, image: &mut [u8], log: &Log) -> io::Result<()> {
    shake_hands(client, image.len() as u64)?;
    loop {
        let (magic, flags, kind) = (u32_of(client)?, u16_of(client)?, u16_of(client)?);
        let (handle, offset, len) = (u64_of(client)?, u64_of(client)?, u32_of(client)?);
        let end = offset.checked_add(len.into()).filter(|end| *end <= image.len() as u64);
        let (true, Some(_), 0..=MAX_REQUEST) = (magic == 0x2560_9513, end, len) else {
            return Err(io::Error::other("a request that makes no sense"));
        };
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let range = at..at + len as usize;
        let mut answer = 0x6744_6698_u32.to_be_bytes().to_vec();
        answer.extend([0; 4]);
        answer.extend(handle.to_be_bytes());
        match kind {
            0 => answer.extend(&image[range]),
            1 => {
                let mut data = vec![0; len as usize];
                client.read_exact(&mut data)?;
                image[range].copy_from_slice(&data);
                log.push(Op::Write(offset, data));
                if flags & REQUEST_FUA != 0 {
                    // Stricter than asked for: it is as if the others before it were flushed too.
                    log.push(Op::Flush);
                }
            }
            2 => return Ok(()),
            3 => log.push(Op::Flush),
            _ => answer[4..8].copy_from_slice(&22_u32.to_be_bytes()), // EINVAL
        }
        client.write_all(&answer)?;
    }
}

fn shake_hands(client: &mut UnixStream, size: u64) -> io::Result<()> {
    client.write_all(b"NBDMAGICIHAVEOPT\0\x03")?; // fixed newstyle, no zeroes
    u32_of(client)?; // the client's flags
    loop {
        let (magic, option, len) = (u64_of(client)?, u32_of(client)?, u32_of(client)?);
        if magic != OPTION_MAGIC || len > 65_536 {
            return Err(io::Error::other("an option that makes no sense"));
        }
        let mut data = vec![0; len as usize];
        client.read_exact(&mut data)?;
        let mut reply = |kind: u32, data: &[u8]| {
            let len = u32::try_from(data.len()).map_err(io::Error::other)?;
            let head = [option.to_be_bytes(), kind.to_be_bytes(), len.to_be_bytes()].concat();
            client.write_all(&[&REPLY_MAGIC.to_be_bytes()[..], &head, data].concat())
        };
        if option != OPT_GO {
            reply(REP_UNSUPPORTED, &[])?;
            continue;
        }
        let info = [&[0, 0][..], &size.to_be_bytes(), &FLAGS.to_be_bytes()].concat();
        reply(REP_INFO, &info)?;
        reply(REP_ACK, &[])?;
        return Ok(());
    }
}

fn bytes<const N: usize>(client: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u16_of(client: &mut UnixStream) -> io::Result<u16> {
    bytes(client).map(u16::from_be_bytes)
}

fn u32_of(client: &mut UnixStream) -> io::Result<u32> {
    bytes(client).map(u32::from_be_bytes)
}

fn u64_of(client: &mut UnixStream) -> io::Result<u64> {
    bytes(client).map(u64::from_be_bytes)
}
