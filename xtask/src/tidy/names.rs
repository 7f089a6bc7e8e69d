//! Documents name real things: functions as `` `owner::function()` ``, tests as
//! `` `what_is_claimed_holds` ``, files as `` `room/src/file.rs` `` or `` `file.rs` ``, attacks on the
//! sandbox as `` `net-fetch.js` ``.

use std::path::Path;

use super::File;
use super::documents::outside_code;

const DOCUMENTS: [&str; 4] = [
    "ARCHITECTURE.md",
    "docs/BOUNDS.md",
    "docs/DURABILITY.md",
    "docs/SECURITY.md",
];

/// Where scripts lie that documents name without a path: the attacks on the sandbox, and its parts.
const SCRIPT_FOLDERS: [&str; 2] = ["tests-e2e/cases", "worker-wasm/sandbox"];

pub(super) fn check(files: &[File], root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let documents = files.iter();
    for file in documents.filter(|file| DOCUMENTS.contains(&file.path.as_str())) {
        for (line, text) in outside_code(&file.text) {
            for span in code_spans(text) {
                if !is_true(span, files, root) {
                    faults.push(format!("{}:{line}: there is no {span}", file.path));
                }
            }
        }
    }
    faults
}

fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn is_true(span: &str, files: &[File], root: &Path) -> bool {
    if let Some(path) = span.strip_suffix("()") {
        let mut names = path.rsplit("::");
        let function = names.next().unwrap_or_default();
        let owner = names.next();
        return files
            .iter()
            .any(|file| defines(file, function) && owner.is_none_or(|owner| has(file, owner)));
    }
    if is_claim(span) {
        return files.iter().any(|file| defines(file, span));
    }
    if span.ends_with(".rs") && !span.contains('/') {
        return files
            .iter()
            .any(|file| file.path.rsplit('/').next() == Some(span));
    }
    if span.ends_with(".js") && !span.contains(['/', ' ']) {
        let mut folders = SCRIPT_FOLDERS.iter();
        return folders.any(|folder| root.join(folder).join(span).exists());
    }
    let is_path = span.contains('/') && !span.contains([' ', '*', '<', ':', '{']);
    !is_path || span.starts_with('/') || root.join(span).exists()
}

/// Whether it is the name of a test.
fn is_claim(span: &str) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    span.chars().all(is_name) && span.matches('_').count() >= 2
}

fn defines(file: &File, function: &str) -> bool {
    let is_rust = file.path.ends_with(".rs");
    let follows = |rest: &str| rest.starts_with(['(', '<']);
    let mark = format!("fn {function}");
    is_rust
        && file
            .text
            .match_indices(&mark)
            .any(|(at, _)| follows(&file.text[at + mark.len()..]))
}

/// Whether the file is the module `owner`, lies in it, or works on a type of that name.
fn has(file: &File, owner: &str) -> bool {
    let in_path = file
        .path
        .split('/')
        .any(|part| part.strip_suffix(".rs").unwrap_or(part).replace('-', "_") == owner);
    in_path
        || file.text.lines().any(|line| {
            let line = line.trim_start();
            let is_head = ["impl", "trait", "pub trait", "pub(crate) trait"];
            is_head.iter().any(|head| line.starts_with(head))
                && line
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .any(|word| word == owner)
        })
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("server/src")).unwrap();
        std::fs::create_dir_all(root.path().join(SCRIPT_FOLDERS[0])).unwrap();
        std::fs::write(root.path().join(SCRIPT_FOLDERS[0]).join("net.js"), "").unwrap();
        let code = "impl Signer {\n    fn sign(&self) {}\n}\nfn a_leaf_is_signed() {}\n";
        let files = [file(DOCUMENTS[0], text), file("server/src/signer.rs", code)];
        check(&files, root.path())
    }

    #[test]
    fn real_names_pass() {
        for name in [
            "sign()",
            "Signer::sign()",
            "signer::sign()",
            "a_leaf_is_signed",
            "reducer_error",
            "signer.rs",
            "net.js",
            "server/src/",
            "a word",
        ] {
            assert_eq!(faults(&format!("x `{name}` y")), [""; 0], "{name}");
        }
    }

    #[test]
    fn names_of_nothing_are_found() {
        for name in [
            "seal()",
            "Other::sign()",
            "Signer::sig()",
            "a_leaf_is_sealed",
            "seal.rs",
            "met.js",
            "server/src/other.rs",
        ] {
            assert_eq!(
                faults(&format!("x\n`{name}`")),
                [format!("ARCHITECTURE.md:2: there is no {name}")]
            );
        }
    }
}
