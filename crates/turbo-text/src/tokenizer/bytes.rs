//! GPT-2's reversible map between bytes and printable characters, and `<0xXX>` tokens.

use std::sync::LazyLock;

/// Bytes that stand for themselves.
fn is_printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of each byte: itself where printable, else U+0100 and on, in the order of the
/// bytes.
pub(super) static BYTE_TO_CHAR: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|i| {
        let byte = i as u8;
        if is_printable(byte) { char::from(byte) } else { others.next().unwrap_or('\u{FFFD}') }
    })
});

/// The byte of each character up to U+0143.
static CHAR_TO_BYTE: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
    let mut table = [None; 0x144];
    for (byte, c) in (0..=u8::MAX).zip(BYTE_TO_CHAR.iter()) {
        table[*c as usize] = Some(byte);
    }
    table
});

/// The byte that a character of byte-level text stands for.
pub(super) fn byte_of(c: char) -> Option<u8> {
    CHAR_TO_BYTE.get(c as usize).copied().flatten()
}

/// Appends the byte-level text of `bytes`.
pub(super) fn encode_into(bytes: &[u8], text: &mut String) {
    text.extend(bytes.iter().map(|&byte| BYTE_TO_CHAR[usize::from(byte)]));
}

/// The bytes of byte-level text. Characters outside the map (in tokens that were added by hand)
/// stand for themselves.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The text of a byte token, as in `<0x0A>`.
pub(super) fn hex_text(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The byte of a text such as `<0x0A>`.
pub(super) fn parse_hex(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode_into(&all, &mut text);
        assert_eq!(decode(&text), all);
        assert_eq!(BYTE_TO_CHAR[0x20], 'Ġ');
        assert_eq!(BYTE_TO_CHAR[0x0A], 'Ċ');
    }

    #[test]
    fn hex_tokens_are_recognised() {
        assert_eq!(parse_hex("<0x0A>"), Some(10));
        assert_eq!(parse_hex("<0xff>"), Some(255));
        for other in ["<0x>", "<0x1>", "<0x111>", "<0x+1>", "0x0A", "<0x0A", "<0xéa>"] {
            assert_eq!(parse_hex(other), None, "{other}");
        }
        assert_eq!(parse_hex(&hex_text(0xAB)), Some(0xAB));
    }
}
