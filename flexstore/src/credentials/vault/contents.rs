//! The entries of a vault as the bytes that are sealed.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::seal::padding;

/// The most that a vault holds, in bytes: 16 MiB, counting for each entry its name, its value and
/// 5 bytes.
pub const MAX_VAULT_BYTES: usize = 16 << 20;

const MAX_NAME_BYTES: usize = 255;
const NAME_LEN_BYTES: usize = 1;
const VALUE_LEN_BYTES: usize = 4;

pub(super) type Entries = BTreeMap<String, Zeroizing<Vec<u8>>>;

pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

/// The padded plaintext; `None` if there is more than [`MAX_VAULT_BYTES`].
pub(super) fn encode(entries: &Entries) -> Option<Zeroizing<Vec<u8>>> {
    let len = entries
        .iter()
        .map(|(name, value)| NAME_LEN_BYTES + name.len() + VALUE_LEN_BYTES + value.len())
        .sum();
    if len > MAX_VAULT_BYTES {
        return None;
    }
    // One allocation of the final size: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    for (name, value) in entries {
        bytes.push(u8::try_from(name.len()).ok()?);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&u32::try_from(value.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    Some(padding::pad(&bytes))
}

/// The entries; `None` unless the bytes are exactly what [`encode`] makes.
pub(super) fn decode(padded: Zeroizing<Vec<u8>>) -> Option<Entries> {
    let bytes = padding::unpad(padded)?;
    let mut rest = &bytes[..];
    let mut entries = Entries::new();
    while !rest.is_empty() {
        let len = usize::from(*take(&mut rest, NAME_LEN_BYTES)?.first()?);
        let name = str::from_utf8(take(&mut rest, len)?).ok()?;
        let len = u32::from_be_bytes(take(&mut rest, VALUE_LEN_BYTES)?.try_into().ok()?);
        let value = take(&mut rest, usize::try_from(len).ok()?)?;
        let ascends = entries
            .last_key_value()
            .is_none_or(|(last, _)| last.as_str() < name);
        if !is_name(name) || !ascends {
            return None;
        }
        entries.insert(name.to_owned(), Zeroizing::new(value.to_vec()));
    }
    Some(entries)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &[u8])]) -> Entries {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Zeroizing::new(value.to_vec())))
            .collect()
    }

    fn decoded(plain: &[u8]) -> Option<Entries> {
        decode(padding::pad(plain))
    }

    #[test]
    fn the_bytes_are_frozen() {
        let two = entries(&[("b", b""), ("a", b"xyz")]);
        let plain = b"\x01a\0\0\0\x03xyz\x01b\0\0\0\0";
        assert_eq!(*encode(&two).unwrap(), *padding::pad(plain));
        assert_eq!(decoded(plain), Some(two));
        assert_eq!(decoded(b""), Some(Entries::new()));
    }

    #[test]
    fn nothing_else_is_read() {
        for plain in [
            &b"\0\0\0\0\0"[..],            // an empty name
            b"\x01a\0\0\0\x01",            // a value cut off
            b"\x02a",                      // a name cut off
            b"\x01a\0\0\0",                // a length cut off
            b"\x01a\xff\xff\xff\xff",      // a length of 4 GiB
            b"\x01\xff\0\0\0\0",           // not UTF-8
            b"\x01b\0\0\0\0\x01a\0\0\0\0", // descending
            b"\x01a\0\0\0\0\x01a\0\0\0\0", // twice
        ] {
            assert_eq!(decoded(plain), None, "{plain:?}");
        }
        assert_eq!(decode(Zeroizing::new(vec![0; 32])), None);
    }

    #[test]
    fn the_limit_holds_at_and_past_it() {
        let most = vec![1; MAX_VAULT_BYTES - 6];
        let full = entries(&[("a", &most)]);
        assert_eq!(decode(encode(&full).unwrap()), Some(full));
        let more = vec![1; MAX_VAULT_BYTES - 5];
        assert!(encode(&entries(&[("a", &more)])).is_none());
    }
}
