use bytes::Bytes;
use minicbor::Encoder;
use minicbor::encode::Error;

use super::{CloseReason, Filter, Message, RefusalReason, Summary};

type Writer<'a> = Encoder<&'a mut Vec<u8>>;
type Done = Result<(), Error<core::convert::Infallible>>;

impl Message {
    /// The frame that carries this message on a channel.
    #[must_use]
    pub fn encode(&self, channel: u32) -> Bytes {
        let mut out = Vec::with_capacity(self.estimate());
        // Writing to memory does not fail.
        let _ = self.write(channel, &mut Encoder::new(&mut out));
        out.into()
    }

    fn estimate(&self) -> usize {
        match self {
            Self::Records(texts) => texts.iter().map(|text| text.len() + 5).sum::<usize>() + 16,
            Self::Reconcile(bytes) => bytes.len() + 16,
            Self::Want(digests) => digests.len() * 34 + 16,
            _ => 64,
        }
    }

    fn write(&self, channel: u32, e: &mut Writer<'_>) -> Done {
        let head = |e: &mut Writer<'_>, number: u8, members: u64| -> Done {
            e.array(members + 2)?.u32(channel)?.u8(number)?;
            Ok(())
        };
        match self {
            Self::Open {
                oldest,
                newest,
                collection,
                replica,
                filter,
                summary,
            } => {
                head(e, 0, 6)?;
                e.u16(*oldest)?
                    .u16(*newest)?
                    .str(collection.as_str())?
                    .bytes(replica)?;
                write_filter(filter, e)?;
                write_summary(summary, e)?;
            }
            Self::Welcome {
                version,
                replica,
                summary,
            } => {
                head(e, 1, 3)?;
                e.u16(*version)?.bytes(replica)?;
                write_summary(summary, e)?;
            }
            Self::Reconcile(bytes) => {
                head(e, 2, 1)?;
                e.bytes(bytes)?;
            }
            Self::Reconciled => head(e, 3, 0)?,
            Self::Records(texts) => {
                head(e, 4, 1)?;
                e.array(texts.len() as u64)?;
                for text in texts {
                    e.bytes(text)?;
                }
            }
            Self::Acknowledge(count) => {
                head(e, 5, 1)?;
                e.u64(*count)?;
            }
            Self::Refused {
                digest,
                reason,
                retry_after,
            } => {
                head(e, 6, 3)?;
                e.bytes(digest.as_bytes())?.u8(reason.number())?;
                write_option(*retry_after, e)?;
            }
            Self::Want(digests) => {
                head(e, 7, 1)?;
                e.array(digests.len() as u64)?;
                for digest in digests {
                    e.bytes(digest.as_bytes())?;
                }
            }
            Self::Gone { digest, successor } => {
                head(e, 8, 2)?;
                e.bytes(digest.as_bytes())?.bytes(successor.as_bytes())?;
            }
            Self::Absent(digest) => {
                head(e, 9, 1)?;
                e.bytes(digest.as_bytes())?;
            }
            Self::Ask { id, tag } => {
                head(e, 10, 2)?;
                e.u64(*id)?.str(tag.as_str())?;
            }
            Self::Told(id) => {
                head(e, 11, 1)?;
                e.u64(*id)?;
            }
            Self::Close(reason) => {
                head(e, 12, 1)?;
                e.u8(reason.number())?;
            }
        }
        Ok(())
    }
}

fn write_option(value: Option<u64>, e: &mut Writer<'_>) -> Done {
    match value {
        Some(value) => e.u64(value)?,
        None => e.null()?,
    };
    Ok(())
}

fn write_filter(filter: &Filter, e: &mut Writer<'_>) -> Done {
    if filter.is_all() {
        e.null()?;
        return Ok(());
    }
    e.array(3)?;
    match &filter.owners {
        None => {
            e.null()?;
        }
        Some(owners) => {
            e.array(owners.len() as u64)?;
            for owner in owners {
                e.bytes(owner.as_bytes())?;
            }
        }
    }
    write_option(filter.since, e)?;
    write_option(filter.until, e)
}

fn write_summary(summary: &Summary, e: &mut Writer<'_>) -> Done {
    e.array(2)?
        .u64(summary.count)?
        .bytes(&summary.fingerprint)?;
    Ok(())
}

impl RefusalReason {
    pub(super) const ALL: [Self; 4] = [Self::TooNew, Self::Policy, Self::Full, Self::ReadOnly];

    const fn number(self) -> u8 {
        self as u8
    }
}

impl CloseReason {
    pub(super) const ALL: [Self; 8] = [
        Self::Done,
        Self::Version,
        Self::Protocol,
        Self::BadRecord,
        Self::Limit,
        Self::TooSlow,
        Self::Internal,
        Self::Known,
    ];

    const fn number(self) -> u8 {
        self as u8
    }
}
