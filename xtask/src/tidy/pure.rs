//! The pure rooms: `shared` and `scheduler` name no runtime, clock or random source.
//!
//! The compiler keeps most of this by their dependencies; this keeps the rest, and says why. Tests
//! may do as they like: modules declared under `#[cfg(test)]`, in files of their own or at the end of one.

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

const TESTS_ONLY: &str = "#[cfg(test)]";

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    let is_pure = |file: &&File| ROOMS.iter().any(|room| file.path.starts_with(room));
    let tests = test_modules(files);
    let is_test = |file: &&File| tests.iter().any(|test| is_part_of(&file.path, test));
    for file in files.iter().filter(is_pure).filter(|file| !is_test(file)) {
        for (line, text) in numbered(shipped(&file.text)) {
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

/// A file without the module of tests at its end.
fn shipped(text: &str) -> &str {
    let tests = text.find(&format!("\n{TESTS_ONLY}\nmod tests {{"));
    tests.map_or(text, |at| &text[..at])
}

/// Paths, without `.rs`, of modules that are declared for tests only.
fn test_modules(files: &[File]) -> Vec<String> {
    let mut modules = Vec::new();
    for file in files {
        let below = below(&file.path);
        let lines: Vec<&str> = file.text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == TESTS_ONLY) {
            let name = pair[1]
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'));
            modules.extend(name.map(|name| format!("{below}{name}")));
        }
    }
    modules
}

/// Where the modules that a file declares lie.
fn below(path: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    match stem
        .strip_suffix("lib")
        .or_else(|| stem.strip_suffix("main"))
    {
        Some(folder) => folder.to_owned(),
        None => format!("{stem}/"),
    }
}

fn is_part_of(path: &str, module: &str) -> bool {
    let rest = path.strip_prefix(module);
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
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
    fn tests_in_a_pure_room_may_wait() {
        let faults = check(&[
            file("shared/src/lib.rs", "mod a;\n#[cfg(test)]\nmod model;\n"),
            file(
                "shared/src/a.rs",
                "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
            ),
            file("shared/src/model.rs", "use std::thread;"),
            file("shared/src/model/deep.rs", "use std::thread;"),
            file("shared/src/model_of_time.rs", "use std::thread;"),
        ]);
        assert_eq!(
            faults,
            ["shared/src/model_of_time.rs:1: std::thread in a pure room: threads are the server's"]
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
