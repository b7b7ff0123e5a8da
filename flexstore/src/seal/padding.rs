//! Padding inside the seal, so that a length tells little (Padmé, Nikitin et al. 2019).

use zeroize::Zeroizing;

/// No sealed content is shorter than this.
const FLOOR: usize = 32;

/// The fewest leading bits that stay exact. Padmé alone keeps fewer below 256 bytes and, with the
/// marker, would add 12.5% to contents of 32, 64 and 128 bytes.
const LEAST_BITS: u32 = 4;

const MARKER: u8 = 0x80;

/// The length that a content of `len` bytes takes inside the seal.
pub(super) fn padded_len(len: usize) -> usize {
    let marked = len.saturating_add(1);
    if marked <= FLOOR {
        return FLOOR;
    }
    let exponent = marked.ilog2();
    let kept = (exponent.ilog2() + 1).max(LEAST_BITS);
    let mask = (1_usize << exponent.saturating_sub(kept)) - 1;
    marked.saturating_add(mask) & !mask
}

/// `content || 0x80 || zeros`.
pub(crate) fn pad(content: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = padded_len(content.len());
    // One allocation of the final size: growing would leave copies behind.
    let mut padded = Zeroizing::new(Vec::with_capacity(len));
    padded.extend_from_slice(content);
    padded.push(MARKER);
    padded.resize(len, 0);
    padded
}

/// Takes the padding off; `None` unless it is exactly what [`pad`] makes.
pub(crate) fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    let marker = padded.iter().rposition(|&byte| byte != 0)?;
    if padded[marker] != MARKER || padded_len(marker) != padded.len() {
        return None;
    }
    padded.truncate(marker);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets() {
        let lens: Vec<_> = [
            0,
            1,
            30,
            31,
            32,
            33,
            34,
            64,
            127,
            128,
            255,
            256,
            257,
            1024,
            1 << 20,
        ]
        .into_iter()
        .map(padded_len)
        .collect();
        assert_eq!(
            lens,
            [
                32, 32, 32, 32, 34, 34, 36, 68, 128, 136, 256, 272, 272, 1088, 1_081_344
            ]
        );
    }

    #[test]
    fn overhead_is_at_most_12_percent_from_29_bytes_on() {
        for len in 0..300_000 {
            let padded = padded_len(len);
            assert!(padded > len);
            if len >= 29 {
                assert!((padded - len) * 100 <= 12 * len, "{len} -> {padded}");
            }
            assert!(padded_len(len + 1) >= padded, "never shorter for more");
        }
    }

    #[test]
    fn only_what_pad_makes_comes_off() {
        for len in [0, 1, 31, 32, 500] {
            let content = vec![0x80; len];
            assert_eq!(*unpad(pad(&content)).unwrap_or_default(), content);
        }
        for bad in [
            vec![],
            vec![0; 32],
            vec![0x80],
            vec![1; 32],
            [&[0x80][..], &[0; 32]].concat(),
            [&[0x80][..], &[0; 30], &[1]].concat(),
        ] {
            assert!(unpad(Zeroizing::new(bad)).is_none());
        }
    }
}
