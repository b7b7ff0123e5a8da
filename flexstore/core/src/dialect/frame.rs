//! The frames of a link that carries the dialect: a channel's label, a zero byte, the text.

use bytes::{Bytes, BytesMut};

use crate::record::js::Shelf;

/// Why a frame is none of the dialect's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No zero byte.
    #[error("no label")]
    NoLabel,
    /// The label names no collection.
    #[error("the label names no collection")]
    Label,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotText,
}

/// A frame for the channel of a shelf. Without a text it says that the channel is closed.
///
/// ```
/// use flexstore_core::{dialect::{join_frame, split_frame}, record::js::Shelf};
///
/// let shelf = Shelf::parse("StateCollection/notes")?;
/// let frame = join_frame(&shelf, "{}");
/// assert_eq!(&frame[..], b"StateCollection/notes\0{}");
/// assert_eq!(split_frame(&frame), Ok((shelf, "{}")));
/// # Ok::<(), flexstore_core::CollectionIdError>(())
/// ```
#[must_use]
pub fn join_frame(shelf: &Shelf, text: &str) -> Bytes {
    let label = shelf.to_string();
    let mut frame = BytesMut::with_capacity(label.len() + 1 + text.len());
    frame.extend_from_slice(label.as_bytes());
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(text.as_bytes());
    frame.freeze()
}

/// Reads a frame: the shelf that its label names, and the text.
///
/// # Errors
/// [`FrameError`]; never panics, whatever the bytes.
pub fn split_frame(frame: &[u8]) -> Result<(Shelf, &str), FrameError> {
    let end = frame.iter().position(|byte| *byte == 0);
    let (label, text) = frame.split_at(end.ok_or(FrameError::NoLabel)?);
    let label = str::from_utf8(label).map_err(|_| FrameError::Label)?;
    let shelf = Shelf::parse(label).map_err(|_| FrameError::Label)?;
    let text = str::from_utf8(text.get(1..).unwrap_or_default());
    Ok((shelf, text.map_err(|_| FrameError::NotText)?))
}
