//! `cargo xtask tidy`: rules of the repository that no compiler checks.
//!
//! Each rule reads files and returns the places that break it, so that one run shows them all.

mod documents;
mod names;
mod pure;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// A text file of the repository.
#[derive(Debug)]
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

/// Checks every rule.
pub(crate) fn run() -> Result<()> {
    let files = read_all(&tools::root())?;
    let mut faults = pure::check(&files);
    faults.extend(documents::check(&files, &tools::root()));
    faults.extend(names::check(&files, &tools::root()));
    for fault in &faults {
        println!("{fault}");
    }
    ensure!(faults.is_empty(), "{} places are not tidy", faults.len());
    println!("{} files are tidy", files.len());
    Ok(())
}

/// The Rust sources and documents that belong to the repository.
fn read_all(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                let is_ours = !name.starts_with('.') && !is_generated(&name);
                open.extend(is_ours.then_some(path));
            } else if matches!(path.extension(), Some(end) if end == "rs" || end == "md") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                files.push(File {
                    path: relative(&path, root),
                    text,
                });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn is_generated(folder: &str) -> bool {
    matches!(
        folder,
        "target" | "dist" | "dist.new" | "data" | "node_modules"
    )
}

fn relative(path: &Path, root: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    let parts = path.components();
    let parts: Vec<_> = parts
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

/// Lines of `text` with their numbers from 1.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines())
}

#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_read_without_what_was_built() {
        let files = read_all(&tools::root()).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
    }
}
