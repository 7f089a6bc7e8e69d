//! Names of assets by their content, and the templates that refer to them.
//!
//! A text may hold `{{asset:NAME}}`, which becomes `assets/<stem>-<hash>.<ext>` (as a page writes
//! it), or `{{sibling:NAME}}`, which becomes `./<stem>-<hash>.<ext>` (as another asset writes it).
//! The hash is that of the final bytes, so a name never stands for two contents and may be cached
//! for ever. Not here: where the sources come from (`wasm`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// An asset as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    /// `<stem>-<hash>.<ext>`.
    pub(crate) file_name: String,
    /// Its bytes, nothing left to fill in.
    pub(crate) bytes: Vec<u8>,
    /// The names of the assets that it refers to.
    refers_to: BTreeSet<String>,
}

#[derive(Debug)]
enum Source {
    Verbatim(Vec<u8>),
    Template(String),
    Generated { text: String, refers_to: String },
}

/// All assets of the pages: sources go in, served files come out.
#[derive(Debug, Default)]
pub(crate) struct Assets {
    sources: BTreeMap<String, Source>,
    resolved: BTreeMap<String, Asset>,
}

/// A page with nothing left to fill in, and the assets that it needs, directly or not.
#[derive(Debug)]
pub(crate) struct Page {
    /// The page as it is served.
    pub(crate) html: String,
    /// Names of assets.
    pub(crate) needs: BTreeSet<String>,
}

impl Assets {
    /// Adds bytes that are served as they are, under the name that templates use.
    ///
    /// # Errors
    /// There is another of that name.
    pub(crate) fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(name.into(), Source::Verbatim(bytes.into()))
    }

    /// Adds a text whose references are to be filled in.
    ///
    /// # Errors
    /// There is another of that name.
    pub(crate) fn add_template(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
    ) -> Result<()> {
        self.insert(name.into(), Source::Template(text.into()))
    }

    /// Adds a text that no person wrote and that may hold any braces. It loads one other asset, by
    /// the name that this has here; that is replaced.
    ///
    /// # Errors
    /// There is another of that name.
    pub(crate) fn add_generated(
        &mut self,
        name: impl Into<String>,
        text: impl Into<String>,
        refers_to: impl Into<String>,
    ) -> Result<()> {
        let (text, refers_to) = (text.into(), refers_to.into());
        self.insert(name.into(), Source::Generated { text, refers_to })
    }

    fn insert(&mut self, name: String, source: Source) -> Result<()> {
        ensure!(
            !self.sources.contains_key(&name),
            "two assets are called {name}"
        );
        self.sources.insert(name, source);
        Ok(())
    }

    /// Every asset by its name, its references filled in.
    ///
    /// # Errors
    /// One, or something that it refers to, does not exist, or refers to itself.
    pub(crate) fn all(&mut self) -> Result<&BTreeMap<String, Asset>> {
        let names: Vec<String> = self.sources.keys().cloned().collect();
        for name in names {
            self.resolve(&name, &mut Vec::new())?;
        }
        Ok(&self.resolved)
    }

    /// Fills in a page.
    ///
    /// # Errors
    /// As [`Assets::all`].
    pub(crate) fn page(&mut self, template: &str) -> Result<Page> {
        let mut needs = BTreeSet::new();
        let html = self.fill(template, &mut needs, &mut Vec::new())?;
        let mut open: Vec<String> = needs.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for inner in &self.resolved[&name].refers_to {
                if needs.insert(inner.clone()) {
                    open.push(inner.clone());
                }
            }
        }
        Ok(Page { html, needs })
    }

    fn resolve(&mut self, name: &str, above: &mut Vec<String>) -> Result<()> {
        if self.resolved.contains_key(name) {
            return Ok(());
        }
        ensure!(
            !above.iter().any(|outer| outer == name),
            "{name} refers to itself by way of {}",
            above.join(", ")
        );
        let source = self.sources.get(name);
        let mut refers_to = BTreeSet::new();
        let bytes = match source.with_context(|| format!("no asset is called {name}"))? {
            Source::Verbatim(bytes) => bytes.clone(),
            Source::Template(text) => {
                let text = text.clone();
                above.push(name.to_owned());
                let filled = self.fill(&text, &mut refers_to, above)?;
                above.pop();
                filled.into_bytes()
            }
            Source::Generated {
                text,
                refers_to: inner,
            } => {
                let (text, inner) = (text.clone(), inner.clone());
                self.resolve(&inner, above)?;
                let text = text.replace(&inner, &self.resolved[&inner].file_name);
                refers_to.insert(inner);
                text.into_bytes()
            }
        };
        let asset = Asset {
            file_name: hashed_name(name, &bytes),
            bytes,
            refers_to,
        };
        self.resolved.insert(name.to_owned(), asset);
        Ok(())
    }

    fn fill(
        &mut self,
        text: &str,
        refers_to: &mut BTreeSet<String>,
        above: &mut Vec<String>,
    ) -> Result<String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (mark, after) = after.split_once("}}").context("a {{ is not closed by }}")?;
            let (prefix, name) = match mark.split_once(':') {
                Some(("asset", name)) => ("assets/", name),
                Some(("sibling", name)) => ("./", name),
                _ => bail!("nothing is known to put in for {{{{{mark}}}}}"),
            };
            self.resolve(name, above)?;
            refers_to.insert(name.to_owned());
            filled.push_str(before);
            filled.push_str(prefix);
            filled.push_str(&self.resolved[name].file_name);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

fn hashed_name(name: &str, bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes)[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}-{hash}.{extension}"),
        None => format!("{name}-{hash}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(sources: &[(&str, &str)]) -> Assets {
        let mut assets = Assets::default();
        for (name, text) in sources {
            assets.add_template(*name, *text).unwrap();
        }
        assets
    }

    fn file_name(assets: &mut Assets, name: &str) -> String {
        assets.all().unwrap()[name].file_name.clone()
    }

    #[test]
    fn a_name_changes_with_what_the_asset_refers_to() {
        let name = |leaf| {
            let mut assets = assets(&[
                ("page.js", "import '{{sibling:leaf.js}}'"),
                ("leaf.js", leaf),
            ]);
            file_name(&mut assets, "page.js")
        };
        assert_eq!(name("1"), name("1"));
        assert_ne!(name("1"), name("2"));
    }

    #[test]
    fn a_page_needs_what_its_assets_need() {
        let mut assets = assets(&[
            ("a.js", "import '{{sibling:b.js}}'"),
            ("b.js", "1"),
            ("other.js", "2"),
        ]);
        let page = assets.page("<script src=\"{{asset:a.js}}\">").unwrap();
        assert_eq!(page.needs, ["a.js", "b.js"].map(String::from).into());
        let inner = file_name(&mut assets, "a.js");
        assert_eq!(page.html, format!("<script src=\"assets/{inner}\">"));
    }

    #[test]
    fn references_that_cannot_be_filled_in_are_errors() {
        let mut circle = assets(&[("a.js", "{{sibling:b.js}}"), ("b.js", "{{sibling:a.js}}")]);
        assert!(circle.all().unwrap_err().to_string().contains("itself"));
        for template in ["{{asset:missing.css}}", "{{broker}}", "{{asset:x"] {
            assert!(assets(&[]).page(template).is_err(), "{template}");
        }
    }

    #[test]
    fn two_sources_of_one_name_are_an_error() {
        let mut assets = assets(&[("a.css", "")]);
        assert!(assets.add("a.css", "").is_err());
        assert!(assets.add_template("a.css", "").is_err());
    }

    #[test]
    fn a_generated_text_needs_what_it_loads() {
        let mut assets = Assets::default();
        assets.add("a_bg.wasm", [0]).unwrap();
        let text = "let o = {{}}; new URL('a_bg.wasm', import.meta.url)";
        assets.add_generated("a.js", text, "a_bg.wasm").unwrap();
        let page = assets.page("{{asset:a.js}}").unwrap();
        assert_eq!(page.needs, ["a.js", "a_bg.wasm"].map(String::from).into());
        let hashed = file_name(&mut assets, "a_bg.wasm");
        let script = &assets.all().unwrap()["a.js"].bytes;
        assert_eq!(*script, text.replace("a_bg.wasm", &hashed).into_bytes());
    }

    #[test]
    fn verbatim_bytes_keep_their_braces() {
        let mut assets = Assets::default();
        assets.add("bound.js", "let a = {{}};").unwrap();
        assert_eq!(assets.all().unwrap()["bound.js"].bytes, b"let a = {{}};");
    }
}
