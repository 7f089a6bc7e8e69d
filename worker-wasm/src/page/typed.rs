//! What a volunteer types to join: the words of an invitation, its short code, or a whole link.

/// The address of the invitation below the base path; `None` where nothing was typed.
pub(super) fn path(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/');
    let last = text.rsplit('/').next().unwrap_or(text);
    let words: Vec<&str> = last
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [] => None,
        [code] => Some(["j/", code].concat()),
        words => Some(["p/", &words.join("-")].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_codes_and_links_lead_to_their_invitation() {
        for (typed, expected) in [
            ("lamp river zoo", Some("p/lamp-river-zoo")),
            (" Lamp, river  zoo\n", Some("p/Lamp-river-zoo")),
            ("lamp-river-zoo", Some("p/lamp-river-zoo")),
            ("k7m2xqa", Some("j/k7m2xqa")),
            ("http://192.168.1.5:8080/j/k7m2xqa", Some("j/k7m2xqa")),
            ("https://grid.example/x/p/lamp-river/", Some("p/lamp-river")),
            ("  ", None),
            ("/?", None),
        ] {
            assert_eq!(path(typed).as_deref(), expected, "{typed}");
        }
    }
}
