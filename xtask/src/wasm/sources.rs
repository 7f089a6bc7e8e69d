//! Hand-written sources of the pages: what lies in the folders called `pages/`, and the sandbox.
//!
//! A `.html` file is a page; every other file beside it is an asset under its own name. The
//! sandbox's scripts are not assets: they stand in `sandbox.html`, whose policy names their hash.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::assets::{Assets, Page};

/// Folders with pages and their assets.
const PAGE_DIRS: [&str; 3] = ["worker-wasm/pages", "client-wasm/pages", "pages"];
/// The frame that job code runs in.
const SANDBOX_DIR: &str = "worker-wasm/sandbox";

/// Every file that `dist/` is made of beside the programs, in order.
pub(super) fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in PAGE_DIRS.iter().chain([&SANDBOX_DIR]) {
        files.extend(files_in(&root.join(folder))?);
    }
    Ok(files)
}

/// The assets among them.
pub(super) fn collect(root: &Path) -> Result<Assets> {
    let mut assets = Assets::default();
    for folder in PAGE_DIRS {
        for file in files_in(&root.join(folder))? {
            match extension(&file) {
                "html" => {}
                "css" | "js" | "webmanifest" => {
                    assets.add_template(name_of(&file), fs::read_to_string(&file)?)?;
                }
                _ => assets.add(name_of(&file), fs::read(&file)?)?,
            }
        }
    }
    Ok(assets)
}

/// The pages by file name, filled in.
pub(super) fn pages(root: &Path, assets: &mut Assets) -> Result<Vec<(String, Page)>> {
    let mut pages = Vec::new();
    for folder in PAGE_DIRS {
        for file in files_in(&root.join(folder))? {
            if extension(&file) == "html" {
                let page = assets.page(&fs::read_to_string(&file)?);
                let page = page.with_context(|| file.display().to_string())?;
                pages.push((name_of(&file), page));
            }
        }
    }
    pages.push((
        "sandbox.html".into(),
        sandbox(&root.join(SANDBOX_DIR), assets)?,
    ));
    Ok(pages)
}

fn sandbox(folder: &Path, assets: &mut Assets) -> Result<Page> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let trampoline = BASE64.encode(without_comments(&read("trampoline.js")?)?);
    let broker = without_comments(&read("broker.js")?)?;
    let broker = put_in(&broker, "{{trampoline}}", &trampoline)?;
    ensure!(
        !broker.contains("</script"),
        "the sandbox's script would end its own element"
    );
    let page = assets.page(&put_in(&read("sandbox.html")?, "{{broker}}", "\u{0}")?)?;
    Ok(Page {
        html: page.html.replace('\u{0}', &broker),
        ..page
    })
}

/// The script without the lines that only explain it: in base64 they would weigh more than anything
/// else that a volunteer has to load for the sandbox.
fn without_comments(script: &str) -> Result<String> {
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    let code = script
        .split_inclusive('\n')
        .filter(|line| !is_comment(line));
    let code: String = code.collect();
    ensure!(
        !code.contains('`'),
        "a line of a template could look like a comment"
    );
    Ok(code)
}

fn put_in(template: &str, mark: &str, text: &str) -> Result<String> {
    ensure!(
        template.matches(mark).count() == 1,
        "{mark} must stand exactly once in its template"
    );
    Ok(template.replace(mark, text))
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn extension(file: &Path) -> &str {
    let extension = file.extension().unwrap_or_default();
    extension.to_str().unwrap_or_default()
}

fn name_of(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_holds_its_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("sandbox.html", "<script>{{broker}}</script>");
        write("broker.js", "const T = '{{trampoline}}', U = {{}};");
        write("trampoline.js", "\"it's\"");
        let page = sandbox(folder.path(), &mut Assets::default()).unwrap();
        assert_eq!(
            page.html,
            "<script>const T = 'Iml0J3Mi', U = {{}};</script>"
        );
    }

    #[test]
    fn comments_of_their_own_line_are_left_out_and_nothing_else() {
        let script = "// why\nf('//', 1); // how\n  // what\n  g();\n";
        let code = without_comments(script).unwrap();
        assert_eq!(code, "f('//', 1); // how\n  g();\n");
        assert!(without_comments("f(`\n// text`)").is_err());
    }

    #[test]
    fn a_sandbox_that_ends_its_own_script_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("sandbox.html", "<script>{{broker}}</script>");
        write("broker.js", "'{{trampoline}}</script>'");
        write("trampoline.js", "1");
        assert!(sandbox(folder.path(), &mut Assets::default()).is_err());
    }
}
