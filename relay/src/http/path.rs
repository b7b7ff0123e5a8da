//! The path of a request, taken apart. Nothing of it ever names a file.

/// The most segments that a path has.
const MAX_SEGMENTS: usize = 6;

/// The segments of a path, each decoded by itself (RFC 3986, section 2.1), so that a slash that is
/// written as `%2F` belongs to a name. `None` where one is empty, is no UTF-8, has control
/// characters or a percent sign without two hexadecimal digits, or where there are too many.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let segments: Option<Vec<String>> = parts.by_ref().take(MAX_SEGMENTS).map(decode).collect();
    segments.filter(|_| parts.next().is_none())
}

/// One percent-encoded text.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push((high << 4 | low) as u8);
    }
    let text = String::from_utf8(bytes).ok()?;
    let fine = !text.is_empty() && !text.chars().any(char::is_control);
    fine.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_one_by_one() {
        let taken = |path| segments(path).unwrap_or_default().join("|");
        assert_eq!(taken("/flexstore/a%2Fb/%c3%bc+"), "flexstore|a/b|ü+");
        assert_eq!(taken("/1/2/3/4/5/6"), "1|2|3|4|5|6");
        for bad in [
            "",
            "x",
            "/",
            "//a",
            "/a/",
            "/1/2/3/4/5/6/7",
            "/%",
            "/%2",
            "/%2g",
            "/%+1",
            "/%00",
            "/%ff",
            "/a%0ab",
            "/%c2%80",
        ] {
            assert_eq!(segments(bad), None, "{bad}");
        }
    }
}
