//! Documents: a link to a file or heading of the repository leads somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{File, numbered};

pub(super) fn check(files: &[File], root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, text) in outside_code(&file.text) {
            for link in links(text) {
                if !leads_somewhere(link, file, files, root) {
                    faults.push(format!("{}:{line}: {link} leads nowhere", file.path));
                }
            }
        }
    }
    faults
}

/// Lines that are not in a fenced block.
pub(super) fn outside_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    numbered(text).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// Targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.trim())
}

fn leads_somewhere(link: &str, from: &File, files: &[File], root: &Path) -> bool {
    if link.starts_with("http:") || link.starts_with("https:") || link.starts_with("mailto:") {
        return true;
    }
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(&from.path).parent().unwrap_or(Path::new(""));
    let target = if path.is_empty() {
        PathBuf::from(&from.path)
    } else {
        plain(&folder.join(path))
    };
    if heading.is_empty() {
        return root.join(&target).exists();
    }
    let target = files.iter().find(|file| Path::new(&file.path) == target);
    target.is_some_and(|file| anchors(&file.text).contains(heading))
}

/// `a/b/../c` -> `a/c`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Normal(name) => plain.push(name),
            Component::Prefix(_) | Component::RootDir => plain.push(part),
        }
    }
    plain
}

/// The anchors of a document's headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = outside_code(text).filter_map(|(_, line)| line.strip_prefix('#'));
    headings
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("docs")).unwrap();
        std::fs::write(folder.path().join("docs/there.md"), "").unwrap();
        let files = [
            file("docs/here.md", text),
            file("docs/there.md", "# A heading, of sorts\n"),
        ];
        check(&files, folder.path())
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let links = [
            "[a](there.md)",
            "[a](../docs/there.md)",
            "[a](there.md#a-heading-of-sorts)",
            "[a](https://example.org/x)",
            "```\n[a](not-a-link.md)\n```",
        ];
        for link in links {
            assert_eq!(faults(link), [""; 0], "{link}");
        }
        assert_eq!(faults("# Own\n[a](#own)"), [""; 0]);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(
            faults("x\n[a](missing.md)"),
            ["docs/here.md:2: missing.md leads nowhere"]
        );
        assert_eq!(faults("[a](there.md#other) [b](#none)").len(), 2);
    }
}
