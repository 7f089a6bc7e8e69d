//! The pure rooms: `shared` and `scheduler` name no runtime, clock or random source.
//!
//! The compiler keeps most of this by their dependencies; this keeps the rest, and says why.

use super::{File, numbered};

const ROOMS: [&str; 2] = ["shared/src/", "scheduler/src/"];

/// Words that a pure room does not say, each with what it should do instead.
const BANNED: [(&str, &str); 9] = [
    ("tokio", "waiting is the server's"),
    ("axum", "sockets are the server's"),
    ("SystemTime", "time is an argument"),
    ("Instant", "time is an argument"),
    ("getrandom", "randomness is an argument"),
    ("rand::", "randomness is an argument"),
    ("std::fs", "files are the server's"),
    ("std::net", "sockets are the server's"),
    ("std::thread", "threads are the server's"),
];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    let is_pure = |file: &&File| ROOMS.iter().any(|room| file.path.starts_with(room));
    for file in files.iter().filter(is_pure) {
        for (line, text) in numbered(&file.text) {
            let code = text.split("//").next().unwrap_or_default();
            for (word, instead) in BANNED {
                if names(code, word) {
                    faults.push(format!(
                        "{}:{line}: {word} in a pure room: {instead}",
                        file.path
                    ));
                }
            }
        }
    }
    faults
}

/// Whether `code` has `word` as a word of its own.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let goes_on_before = code[..at].ends_with(is_part);
        let goes_on_after = word.ends_with(is_part) && code[at + word.len()..].starts_with(is_part);
        !(goes_on_before || goes_on_after)
    })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_clock_in_a_pure_room_is_found() {
        let faults = check(&[file(
            "scheduler/src/lib.rs",
            "use std::time::Instant;\n// Instant is fine in a comment\nlet instantly = 1;\n",
        )]);
        assert_eq!(
            faults,
            ["scheduler/src/lib.rs:1: Instant in a pure room: time is an argument"]
        );
    }

    #[test]
    fn other_rooms_may_wait() {
        assert!(check(&[file("server/src/lib.rs", "use tokio::time::Instant;")]).is_empty());
    }

    #[test]
    fn every_banned_word_is_found() {
        for (word, _) in BANNED {
            let text = format!("let x = {word}::now();");
            let faults = check(&[file("shared/src/ids.rs", &text)]);
            assert!(!faults.is_empty(), "{word}");
        }
    }
}
