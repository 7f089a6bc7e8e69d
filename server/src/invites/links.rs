//! Short codes and phrases: making them up, and reading what a person typed.
//!
//! They are guessable in principle, so looking them up is throttled (`limits`); what they lead to is
//! kept by the store.

use shared::mnemonic;

use crate::random;
use crate::store::InviteLink;

/// Without i, l, o, 0 and 1, which are mistaken for each other.
const CODE_ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Codes and phrases that are tried for one invite. Even if half of all codes are taken, all of
/// these are once in 65,536 invites.
const CANDIDATES: usize = 16;
/// Longest text that is looked up: eight words of eight letters, with room for separators.
const MAX_TYPED_BYTES: usize = 256;

/// Codes to choose from.
pub(super) fn codes(length: usize) -> Vec<String> {
    let letter = || char::from(CODE_ALPHABET[random::index(CODE_ALPHABET.len())]);
    let code = || (0..length).map(|_| letter()).collect();
    (0..CANDIDATES).map(|_| code()).collect()
}

/// Phrases to choose from: independent words joined by `-`.
pub(super) fn phrases(words: usize) -> Vec<String> {
    let list = mnemonic::word_list();
    let word = || list[random::index(list.len())];
    let phrase = || (0..words).map(|_| word()).collect::<Vec<_>>().join("-");
    (0..CANDIDATES).map(|_| phrase()).collect()
}

/// The code that was typed; `None` for what cannot be one.
pub(crate) fn typed_code(text: &str) -> Option<InviteLink> {
    let code = text.trim();
    (code.len() <= MAX_TYPED_BYTES).then(|| InviteLink::Code(code.to_lowercase()))
}

/// The phrase that was typed, whatever stands between its words; `None` for what cannot be one.
pub(crate) fn typed_phrase(text: &str) -> Option<InviteLink> {
    if text.len() > MAX_TYPED_BYTES {
        return None;
    }
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    Some(InviteLink::Phrase(words.join("-")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_have_their_length_and_only_letters_that_are_not_mistaken() {
        for length in [4, 7, 16] {
            let codes = codes(length);
            assert_eq!(codes.len(), CANDIDATES);
            assert!(codes.iter().all(|code| code.len() == length), "{codes:?}");
        }
        let all: HashSet<char> = (0..200)
            .flat_map(|_| codes(16))
            .flat_map(|code| code.chars().collect::<Vec<_>>())
            .collect();
        assert_eq!(all, CODE_ALPHABET.iter().copied().map(char::from).collect());
    }

    #[test]
    fn phrases_are_words_of_the_list() {
        for words in [3, 8] {
            for phrase in phrases(words) {
                let parts: Vec<_> = phrase.split('-').collect();
                assert_eq!(parts.len(), words);
                assert!(
                    parts
                        .iter()
                        .all(|word| mnemonic::word_list().contains(word))
                );
            }
        }
    }

    #[test]
    fn letter_case_and_separators_do_not_matter() {
        let phrase = InviteLink::Phrase("lamp-river-zoo".into());
        for typed in [
            "lamp-river-zoo",
            "Lamp River  ZOO",
            " lamp_river_zoo\n",
            "lamp+river,zoo.",
            "--lamp\u{2013}river\u{a0}zoo",
        ] {
            assert_eq!(typed_phrase(typed), Some(phrase.clone()), "{typed:?}");
        }
        assert_eq!(
            typed_code(" K7M2xqa "),
            Some(InviteLink::Code("k7m2xqa".into()))
        );
        let endless = "lamp ".repeat(1000);
        assert_eq!((typed_phrase(&endless), typed_code(&endless)), (None, None));
    }
}
