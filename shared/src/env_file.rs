//! Files of `NAME=value` lines, as shells, containers and `gen-secrets` write them.
//!
//! A value may hold spaces without quotes, as the mnemonic of `gen-secrets` does. Nothing in it is
//! substituted.

/// A line that is no pair. Its content is not shown: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of the form NAME=value")]
pub struct Malformed {
    /// Counted from 1.
    line: usize,
}

/// The pairs in their order, names and values as they are meant: without quotes and comments. Empty lines and those that begin with `#` are skipped.
///
/// # Errors
/// [`Malformed`]: the first line that is neither.
pub fn parse(text: &str) -> Result<Vec<(&str, &str)>, Malformed> {
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    lines
        .map(|(text, line)| (text.trim(), line))
        .filter(|(text, _)| !text.is_empty() && !text.starts_with('#'))
        .map(|(text, line)| pair(text).ok_or(Malformed { line }))
        .collect()
}

/// Names of at least this likeness are taken for one name mistyped; 1 would be the same.
const ALIKE: f64 = 0.76;

/// The known name that an unknown one was probably meant to be, if there is one.
pub fn probably_meant<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_ascii_uppercase();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&name, known);
    let scored = known.into_iter().map(|known| (likeness(known), known));
    let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(score, _)| *score >= ALIKE)
        .map(|(_, known)| known)
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line
        .strip_prefix("export ")
        .unwrap_or(line)
        .split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((name, unquoted(value.trim())?))
}

/// A value without its quotes, or without the comment after it; `None` for quotes that do not end.
fn unquoted(value: &str) -> Option<&str> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = value.find(" #").unwrap_or(value.len());
        return Some(value[..end].trim_end());
    };
    let (inner, rest) = value[1..].split_once(quote)?;
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_meant() {
        let text = concat!(
            "\u{feff}# a comment\n\n",
            "PORT=8080\r\n",
            "  export HOST = 127.0.0.1 # here\n",
            "CLIENT_API_KEY_MNEMONIC=spike spare language\n",
            "QUOTED=\"a # b\" # c\n",
            "SINGLE='x=\"y\"'\n",
            "BASE64=MIIB==\n",
            "HASH=a#b\n",
            "EMPTY=\n",
        );
        assert_eq!(
            parse(text).unwrap(),
            [
                ("PORT", "8080"),
                ("HOST", "127.0.0.1"),
                ("CLIENT_API_KEY_MNEMONIC", "spike spare language"),
                ("QUOTED", "a # b"),
                ("SINGLE", "x=\"y\""),
                ("BASE64", "MIIB=="),
                ("HASH", "a#b"),
                ("EMPTY", ""),
            ]
        );
    }

    #[test]
    fn a_name_mistyped_is_known_by_its_likeness() {
        let known = ["PORT", "CLIENT_API_KEY", "TRUST_PROXY", "LOG_LEVEL"];
        for (name, meant) in [
            ("CLIENT_APIKEY", Some("CLIENT_API_KEY")),
            ("TRUST_PROXIES", Some("TRUST_PROXY")),
            ("LOG_LEVLE", Some("LOG_LEVEL")),
            ("port", Some("PORT")),
            ("POSTGRES_PASSWORD", None),
            ("RUST_LOG", None),
            ("CLIENT_API_KEY_MNEMONIC", None),
        ] {
            assert_eq!(probably_meant(name, known), meant, "{name}");
        }
    }

    #[test]
    fn lines_that_are_no_pairs_are_named_by_number() {
        for line in ["PORT", "=8080", "A B=1", "A='x", "A=\"x\" y"] {
            assert_eq!(
                parse(&format!("\n{line}\n")),
                Err(Malformed { line: 2 }),
                "{line}"
            );
        }
    }
}
