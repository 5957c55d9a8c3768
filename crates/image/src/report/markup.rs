//! Words of HTML.

use serde::Serialize;

/// Text for an element or an attribute in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A reader of HTML would take them for something else, or drop them.
            character if character.is_control() => escaped.push_str(&escape_default(character)),
            character => escaped.push(character),
        }
    }
    escaped
}

fn escape_default(character: char) -> String {
    character.escape_default().to_string()
}

/// JSON for a script element that is data: nothing in it ends the element or begins a comment.
pub(super) fn script_data(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    // Outside of strings JSON has none of these.
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A size for people: `12.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        assert_eq!(escape("<b a='x' \"&\n"), "&lt;b a=&#39;x&#39; &quot;&amp;\\n");
        let data = script_data(&["</script><!--", "a&b\u{2028}"]);
        assert!(!data.contains(['<', '>', '&']), "{data}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&data).unwrap(), ["</script><!--", "a&b\u{2028}"]);
    }

    #[test]
    fn sizes() {
        for (count, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (3 << 30, "3.0 GiB")]
        {
            assert_eq!(bytes(count), expected);
        }
    }
}
