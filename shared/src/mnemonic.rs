//! The client key in its three forms: its own text, its bytes in hex or base64url, and the BIP-39
//! English words of its bytes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use bip39::{Language, Mnemonic};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Characters of a mistyped word that count; the list's longest word has eight.
const MAX_COMPARED_CHARS: usize = 12;

/// Longest text that can be a key in words: 24 words of eight letters, with room for white space.
const MAX_PHRASE_BYTES: usize = 1024;

/// Why a text is no mnemonic, or a key has none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MnemonicError {
    /// Not hex and not canonical unpadded base64url.
    #[error("the key is neither hex nor base64url text")]
    NotBytes,
    /// Only some lengths have words.
    #[error("the key has {0} bytes; only 16, 20, 24, 28 or 32 bytes have a mnemonic")]
    KeyLength(usize),
    /// Not 12, 15, 18, 21 or 24 words.
    #[error("{0} words; a mnemonic has 12, 15, 18, 21 or 24")]
    WordCount(usize),
    /// A word that is not in the list.
    #[error("word {position} ('{word}') is not in the list; did you mean '{suggestion}'?")]
    UnknownWord {
        /// From 1.
        position: usize,
        /// As it was given, in lower case.
        word: String,
        /// The nearest word of the list.
        suggestion: &'static str,
    },
    /// All words exist, but together they are no mnemonic.
    #[error("the words do not fit together: one is wrong or they are in another order")]
    Checksum,
}

/// The bytes of a key's text: hex if it is hex of even length, else canonical unpadded base64url.
pub fn key_bytes(text: &str) -> Option<Vec<u8>> {
    let is_hex = !text.is_empty()
        && text.len().is_multiple_of(2)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex {
        let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
        return (0..text.len()).step_by(2).map(pair).collect();
    }
    BASE64URL
        .decode(text)
        .ok()
        .filter(|bytes| !bytes.is_empty())
}

/// The BIP-39 English words, in their order.
pub fn word_list() -> &'static [&'static str; 2048] {
    Language::English.word_list()
}

/// The words of a key, separated by single spaces.
///
/// # Errors
/// [`MnemonicError::NotBytes`] or [`MnemonicError::KeyLength`].
pub fn to_words(key: &str) -> Result<String, MnemonicError> {
    let bytes = key_bytes(key).ok_or(MnemonicError::NotBytes)?;
    let mnemonic =
        Mnemonic::from_entropy(&bytes).map_err(|_| MnemonicError::KeyLength(bytes.len()))?;
    Ok(mnemonic.to_string())
}

/// The bytes of a mnemonic; letter case and white space do not matter.
///
/// # Errors
/// [`MnemonicError`] says what is wrong, for a wrong word by its position.
pub fn from_words(phrase: &str) -> Result<Vec<u8>, MnemonicError> {
    let words: Vec<String> = phrase.split_whitespace().map(str::to_lowercase).collect();
    if !matches!(words.len(), 12 | 15 | 18 | 21 | 24) {
        return Err(MnemonicError::WordCount(words.len()));
    }
    let list = word_list();
    if let Some(at) = words
        .iter()
        .position(|word| list.binary_search(&word.as_str()).is_err())
    {
        return Err(MnemonicError::UnknownWord {
            position: at + 1,
            word: words[at].clone(),
            suggestion: nearest(&words[at], list),
        });
    }
    entropy(&words.join(" ")).ok_or(MnemonicError::Checksum)
}

/// The bytes of a mnemonic in lower case with single spaces.
fn entropy(phrase: &str) -> Option<Vec<u8>> {
    Mnemonic::parse_in_normalized(Language::English, phrase)
        .ok()
        .map(|mnemonic| mnemonic.to_entropy())
}

/// The word of the list with the fewest slips. What lies beyond the longest word of the list plays
/// no part, so that the cost is bounded whatever was typed.
fn nearest(word: &str, list: &'static [&'static str; 2048]) -> &'static str {
    let word: String = word.chars().take(MAX_COMPARED_CHARS).collect();
    list.iter()
        .min_by_key(|candidate| strsim::damerau_levenshtein(&word, candidate))
        .expect("the list has 2,048 words")
}

/// Bytes as unpadded base64url, the form in which keys are made.
pub fn to_base64url(bytes: &[u8]) -> String {
    BASE64URL.encode(bytes)
}

/// A configured client key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey {
    text: [u8; 32],
    bytes: Option<[u8; 32]>,
}

impl ClientKey {
    /// Keeps what is needed to recognise the key, not the key.
    pub fn new(text: &str) -> Self {
        Self {
            text: digest(text.as_bytes()),
            bytes: key_bytes(text).map(|bytes| digest(&bytes)),
        }
    }

    /// Whether `given` is this key in any of its forms. The time it takes does not depend on how
    /// much of it is right.
    pub fn accepts(&self, given: &str) -> bool {
        let is_text = digest(given.as_bytes()).ct_eq(&self.text);
        let is_bytes = |bytes: Option<Vec<u8>>| {
            let given = digest(&bytes.unwrap_or_default());
            given.ct_eq(&self.bytes.unwrap_or_default())
        };
        (is_text | is_bytes(key_bytes(given)) | is_bytes(bytes_of_words(given))).into()
    }
}

/// As [`from_words`], for callers whom nobody knows yet: nothing is spent on saying what is wrong.
fn bytes_of_words(phrase: &str) -> Option<Vec<u8>> {
    if phrase.len() > MAX_PHRASE_BYTES {
        return None;
    }
    let words: Vec<String> = phrase.split_whitespace().map(str::to_lowercase).collect();
    entropy(&words.join(" "))
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey([redacted])")
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f";
    const WORDS: &str =
        "abandon amount liar amount expire adjust cage candy arch gather drum buyer";

    #[test]
    fn words_and_bytes_are_those_of_bip_39() {
        assert_eq!(to_words(HEX).unwrap(), WORDS);
        assert_eq!(to_words("AAECAwQFBgcICQoLDA0ODw").unwrap(), WORDS);
        assert_eq!(from_words(WORDS).unwrap(), (0..16).collect::<Vec<u8>>());
        assert_eq!(
            from_words(&format!(" {}\n", WORDS.to_uppercase()))
                .unwrap()
                .len(),
            16
        );
    }

    #[test]
    fn wrong_words_are_named() {
        assert_eq!(from_words("one two"), Err(MnemonicError::WordCount(2)));
        assert_eq!(
            from_words(&WORDS.replace("liar", "liarr")),
            Err(MnemonicError::UnknownWord {
                position: 3,
                word: "liarr".into(),
                suggestion: "liar"
            })
        );
        assert_eq!(
            from_words(&WORDS.replace("buyer", "zoo")),
            Err(MnemonicError::Checksum)
        );
        assert_eq!(to_words("abcd"), Err(MnemonicError::KeyLength(2)));
        assert_eq!(to_words("not a key!"), Err(MnemonicError::NotBytes));
    }

    #[test]
    fn a_key_is_accepted_in_every_form() {
        for configured in [HEX, "AAECAwQFBgcICQoLDA0ODw"] {
            let key = ClientKey::new(configured);
            let upper = HEX.to_uppercase();
            for given in [HEX, &upper, "AAECAwQFBgcICQoLDA0ODw", WORDS] {
                assert!(key.accepts(given), "{given} for {configured}");
            }
            for given in [
                "",
                "AAECAwQFBgcICQoLDA0ODg",
                "AAECAwQFBgcICQoLDA0ODw==",
                &HEX[2..],
            ] {
                assert!(!key.accepts(given), "{given} for {configured}");
            }
        }
    }

    #[test]
    fn a_key_that_is_plain_text_is_accepted_as_that_text_alone() {
        let key = ClientKey::new("correct horse!");
        assert!(key.accepts("correct horse!"));
        assert!(!key.accepts(""));
        assert!(!key.accepts("correct horse"));
    }

    #[test]
    fn a_long_wrong_word_costs_no_more_than_a_short_one() {
        let suggestion = |word: String| match from_words(&WORDS.replace("liar", &word)) {
            Err(MnemonicError::UnknownWord { suggestion, .. }) => suggestion,
            other => panic!("{other:?}"),
        };
        // Compared as a whole it would take minutes.
        assert_eq!(
            suggestion("liar".repeat(1_000_000)),
            suggestion("liar".repeat(3))
        );
    }

    #[test]
    fn an_endless_phrase_is_no_key() {
        let phrase = WORDS.replace(' ', &" ".repeat(1_000_000));
        assert!(from_words(&phrase).is_ok());
        assert!(!ClientKey::new(HEX).accepts(&phrase));
    }

    #[test]
    fn white_space_and_case_of_words_do_not_matter_to_a_key() {
        let spread = format!("\t{}  ", WORDS.to_uppercase().replace(' ', "   "));
        assert!(ClientKey::new(HEX).accepts(&spread));
    }

    #[test]
    fn base64url_must_be_canonical() {
        assert_eq!(key_bytes("AB"), Some(vec![0xab]), "hex comes first");
        assert_eq!(key_bytes("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(key_bytes("-_9"), None);
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(
            format!("{:?}", ClientKey::new(HEX)),
            "ClientKey([redacted])"
        );
    }
}
