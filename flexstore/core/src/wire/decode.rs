use bytes::Bytes;
use minicbor::Decoder;
use minicbor::data::Type;

use super::{CloseReason, Filter, MAX_FILTER_OWNERS, MAX_LISTED, Message, RefusalReason, Summary};
use crate::link::MAX_FRAME_BYTES;
use crate::record::MAX_TIME;
use crate::sync::reconcile::MAX_RECONCILE_BYTES;
use crate::{CollectionId, Digest, KeyTag, Tag};

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Longer than [`MAX_FRAME_BYTES`].
    #[error("a frame has at most {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// Not the CBOR that a frame is made of.
    #[error("malformed")]
    Malformed,
    /// The message number is not known.
    #[error("unknown message {0}")]
    UnknownMessage(u8),
    /// A member is over a limit, or is no name of what it should name.
    #[error("a member is out of bounds")]
    OutOfBounds,
    /// Bytes follow the frame.
    #[error("bytes follow the frame")]
    Trailing,
}

impl From<minicbor::decode::Error> for DecodeError {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

type Result<T> = core::result::Result<T, DecodeError>;

impl Message {
    /// Reads a frame: the channel and the message. Nothing is reserved for what has not arrived;
    /// the texts of records are parts of the frame and not copies.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics, whatever the bytes.
    pub fn decode(frame: &Bytes) -> Result<(u32, Self)> {
        if frame.len() > MAX_FRAME_BYTES {
            return Err(DecodeError::TooLong);
        }
        let mut reader = Reader {
            d: Decoder::new(frame),
            frame,
        };
        let members = reader.array()?;
        let channel = reader.d.u32()?;
        let number = reader.d.u8()?;
        let message = reader.message(number)?;
        if reader.d.position() != frame.len() {
            return Err(DecodeError::Trailing);
        }
        if members != message.members() + 2 {
            return Err(DecodeError::Malformed);
        }
        Ok((channel, message))
    }

    const fn members(&self) -> u64 {
        match self {
            Self::Open { .. } => 6,
            Self::Welcome { .. } | Self::Refused { .. } => 3,
            Self::Gone { .. } | Self::Ask { .. } => 2,
            Self::Reconciled => 0,
            Self::Reconcile(_)
            | Self::Records(_)
            | Self::Acknowledge(_)
            | Self::Want(_)
            | Self::Absent(_)
            | Self::Told(_)
            | Self::Close(_) => 1,
        }
    }
}

struct Reader<'a> {
    d: Decoder<'a>,
    frame: &'a Bytes,
}

impl Reader<'_> {
    /// The length of an array; one of indefinite length is refused.
    fn array(&mut self) -> Result<u64> {
        self.d.array()?.ok_or(DecodeError::Malformed)
    }

    fn list(&mut self, most: usize) -> Result<usize> {
        let len = usize::try_from(self.array()?).map_err(|_| DecodeError::OutOfBounds)?;
        if len > most {
            Err(DecodeError::OutOfBounds)
        } else {
            Ok(len)
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.d
            .bytes()?
            .try_into()
            .map_err(|_| DecodeError::OutOfBounds)
    }

    fn digest(&mut self) -> Result<Digest> {
        Ok(Digest::from_bytes(self.fixed()?))
    }

    fn part(&mut self) -> Result<Bytes> {
        let bytes = self.d.bytes()?;
        Ok(self.frame.slice_ref(bytes))
    }

    fn time(&mut self) -> Result<Option<u64>> {
        if self.d.datatype()? == Type::Null {
            self.d.null()?;
            return Ok(None);
        }
        let time = self.d.u64()?;
        if time > MAX_TIME {
            Err(DecodeError::OutOfBounds)
        } else {
            Ok(Some(time))
        }
    }

    fn summary(&mut self) -> Result<Summary> {
        if self.array()? != 2 {
            return Err(DecodeError::Malformed);
        }
        Ok(Summary {
            count: self.d.u64()?,
            fingerprint: self.fixed()?,
        })
    }

    fn filter(&mut self) -> Result<Filter> {
        if self.d.datatype()? == Type::Null {
            self.d.null()?;
            return Ok(Filter::default());
        }
        if self.array()? != 3 {
            return Err(DecodeError::Malformed);
        }
        let owners = if self.d.datatype()? == Type::Null {
            self.d.null()?;
            None
        } else {
            let len = self.list(MAX_FILTER_OWNERS)?;
            let owners: Result<_> = (0..len)
                .map(|_| Ok(KeyTag::from_bytes(self.fixed()?)))
                .collect();
            Some(owners?)
        };
        Ok(Filter {
            owners,
            since: self.time()?,
            until: self.time()?,
        })
    }

    fn message(&mut self, number: u8) -> Result<Message> {
        Ok(match number {
            0 => Message::Open {
                oldest: self.d.u16()?,
                newest: self.d.u16()?,
                collection: CollectionId::parse(self.d.str()?)
                    .map_err(|_| DecodeError::OutOfBounds)?,
                replica: self.fixed()?,
                filter: self.filter()?,
                summary: self.summary()?,
            },
            1 => Message::Welcome {
                version: self.d.u16()?,
                replica: self.fixed()?,
                summary: self.summary()?,
            },
            2 => {
                let bytes = self.part()?;
                if bytes.len() > MAX_RECONCILE_BYTES {
                    return Err(DecodeError::OutOfBounds);
                }
                Message::Reconcile(bytes)
            }
            3 => Message::Reconciled,
            4 => {
                let len = self.list(MAX_LISTED)?;
                Message::Records((0..len).map(|_| self.part()).collect::<Result<_>>()?)
            }
            5 => Message::Acknowledge(self.d.u64()?),
            6 => Message::Refused {
                digest: self.digest()?,
                reason: pick(&RefusalReason::ALL, self.d.u8()?)?,
                retry_after: self.time()?,
            },
            7 => {
                let len = self.list(MAX_LISTED)?;
                Message::Want((0..len).map(|_| self.digest()).collect::<Result<_>>()?)
            }
            8 => Message::Gone {
                digest: self.digest()?,
                successor: self.digest()?,
            },
            9 => Message::Absent(self.digest()?),
            10 => Message::Ask {
                id: self.d.u64()?,
                tag: Tag::new(self.d.str()?).map_err(|_| DecodeError::OutOfBounds)?,
            },
            11 => Message::Told(self.d.u64()?),
            12 => Message::Close(pick(&CloseReason::ALL, self.d.u8()?)?),
            unknown => return Err(DecodeError::UnknownMessage(unknown)),
        })
    }
}

fn pick<T: Copy>(all: &[T], number: u8) -> Result<T> {
    all.get(usize::from(number))
        .copied()
        .ok_or(DecodeError::OutOfBounds)
}
