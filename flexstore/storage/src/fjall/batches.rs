//! The batches of a fjall journal, read from outside (format 3 of fjall 3.1).
//!
//! ```text
//! 1 count:u32 seqno:u64
//! 2 kind:u8 compression:u8 keyspace:u64 key:u16 value:u32 stored:u32 <key> <value>   count times
//! 3 xxh3(items):u64 "FJL" 3
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use xxhash_rust::xxh3::Xxh3;

const TRAILER: &[u8; 4] = b"FJL\x03";

/// Batches one after another, all as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Run {
    /// Where the last ends.
    pub(super) end: u64,
    /// The sequence number of the first.
    pub(super) first: Option<u64>,
    /// The sequence number of the last. It is no part of the checksum; but numbers only grow, also
    /// from one journal to the next, so one that does not ends the run.
    pub(super) last: Option<u64>,
}

impl Run {
    /// Goes on from where it ends, to the first batch that is not whole.
    pub(super) fn extend(&mut self, file: &File) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(64 << 10, file);
        reader.seek(SeekFrom::Start(self.end))?;
        while let Some((length, seqno)) = batch(&mut reader)? {
            if self.last.is_some_and(|last| seqno <= last) {
                break;
            }
            self.end += length;
            self.first = self.first.or(Some(seqno));
            self.last = Some(seqno);
        }
        Ok(())
    }
}

/// The length and number of the batch that begins here; `None` if it is not whole.
fn batch(reader: &mut impl BufRead) -> io::Result<Option<(u64, u64)>> {
    match whole_batch(reader) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        outcome => outcome,
    }
}

fn whole_batch(reader: &mut impl BufRead) -> io::Result<Option<(u64, u64)>> {
    let [1, c0, c1, c2, c3, seqno @ ..] = take::<13>(reader)? else {
        return Ok(None);
    };
    let mut length = 13;
    let mut sum = Xxh3::new();
    for _ in 0..u32::from_le_bytes([c0, c1, c2, c3]) {
        match take::<1>(reader)? {
            [2] => {
                let head = take::<20>(reader)?;
                let [
                    _,
                    0,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    k0,
                    k1,
                    v0,
                    v1,
                    v2,
                    v3,
                    s0,
                    s1,
                    s2,
                    s3,
                ] = head
                else {
                    return Ok(None);
                };
                let value = u32::from_le_bytes([v0, v1, v2, v3]);
                if value != u32::from_le_bytes([s0, s1, s2, s3]) {
                    return Ok(None);
                }
                sum.update(&[2]);
                sum.update(&head);
                let bytes = u64::from(u16::from_le_bytes([k0, k1])) + u64::from(value);
                pass(reader, bytes, &mut sum)?;
                length += 21 + bytes;
            }
            // A keyspace that was emptied.
            [4] => {
                sum.update(&[4]);
                pass(reader, 8, &mut sum)?;
                length += 9;
            }
            _ => return Ok(None),
        }
    }
    let [3, rest @ ..] = take::<13>(reader)? else {
        return Ok(None);
    };
    if rest[..8] != sum.digest().to_le_bytes() || rest[8..] != TRAILER[..] {
        return Ok(None);
    }
    Ok(Some((length + 13, u64::from_le_bytes(seqno))))
}

fn take<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Adds the next bytes to a checksum.
fn pass(reader: &mut impl BufRead, mut bytes: u64, sum: &mut Xxh3) -> io::Result<()> {
    while bytes > 0 {
        let part = reader.fill_buf()?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = part.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
        sum.update(&part[..length]);
        reader.consume(length);
        bytes -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(seqno: u64, value: &[u8]) -> Vec<u8> {
        let mut item = vec![2, 0, 0];
        item.extend(1_u64.to_le_bytes());
        item.extend(3_u16.to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend((value.len() as u32).to_le_bytes());
        item.extend(b"key");
        item.extend(value);
        let mut batch = vec![1, 1, 0, 0, 0];
        batch.extend(seqno.to_le_bytes());
        batch.extend(&item);
        batch.push(3);
        batch.extend(xxhash_rust::xxh3::xxh3_64(&item).to_le_bytes());
        batch.extend(TRAILER);
        batch
    }

    fn run(bytes: &[u8]) -> Run {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut run = Run::default();
        run.extend(&file).unwrap();
        run
    }

    #[test]
    fn a_run_ends_before_whatever_is_not_whole() {
        let first = written(5, b"one");
        let both = [first.clone(), written(7, &[9; 100_000])].concat();
        let whole = run(&both);
        assert_eq!(whole.end, both.len() as u64);
        assert_eq!((whole.first, whole.last), (Some(5), Some(7)));
        let zeros = [both.clone(), vec![0; 5_000]].concat();
        assert_eq!(run(&zeros), whole);
        let end = first.len() as u64;
        for cut in [1, 12, 40, 60_000, 100_000] {
            assert_eq!(run(&both[..first.len() + cut]).end, end);
        }
        for at in first.len()..both.len() {
            // Of the sequence number only what makes it smaller is seen here.
            let seqno = first.len() + 5..first.len() + 13;
            if seqno.contains(&at)
                || (at > first.len() + 100 && at % 997 != 0 && at + 20 < both.len())
            {
                continue;
            }
            let mut flipped = both.clone();
            flipped[at] ^= 1;
            // The kind of a value is part of its checksum.
            assert_eq!(run(&flipped).end, end, "{at}");
        }
        let back = [written(5, b"one"), written(5, b"two")].concat();
        assert_eq!(run(&back).end, end);
    }
}
