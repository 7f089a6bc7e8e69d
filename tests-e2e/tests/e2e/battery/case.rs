//! The cases: files of job code with what is expected of them (`cases/README.md`).

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::Regex;
use tests_e2e::{BrowserKind, artifacts};

/// Enough for a machine with better things to do; cases that are to run into it have one of their own.
const ATTACK_LIMIT_MS: u64 = 10_000;

/// What a second shard returns where there was no first.
const ELSEWHERE: &str = "the first shard ran elsewhere";

/// An attack.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's name without its ending.
    pub(crate) name: String,
    code: String,
    /// What is found in its outcome if nothing is wrong.
    pub(crate) expect: Regex,
    /// The shards that run in one executor, one after the other.
    pub(crate) shards: Vec<u64>,
    pub(crate) limit_ms: u64,
}

impl Case {
    /// The case of that name, as it should come out in a browser.
    pub(crate) fn named(name: &str, kind: BrowserKind) -> Result<Self> {
        Self::read(&folder().join(name).with_extension("js"), kind)
    }

    /// Every case, as it should come out in a browser.
    pub(crate) fn all(kind: BrowserKind) -> Result<Vec<Self>> {
        let mut paths: Vec<_> = std::fs::read_dir(folder())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|end| end == "js"));
        paths.sort();
        paths.iter().map(|path| Self::read(path, kind)).collect()
    }

    /// The attack, aimed at a port where nothing may arrive. A second shard that does not follow
    /// the first in the same executor only says so.
    pub(crate) fn code(&self, canary: u16) -> String {
        let code = self.code.replace("CAN", &canary.to_string());
        if self.shards.len() == 1 {
            return format!("args = __BRAIN__.shardId; {code}");
        }
        format!(
            "args = __BRAIN__.shardId; if (args === 2 && !globalThis.__visited) return {ELSEWHERE:?}; \
             globalThis.__visited = true; {code}"
        )
    }

    /// Whether this outcome says nothing, because its shards were not together.
    pub(crate) fn is_void(outcome: &str) -> bool {
        outcome.contains(ELSEWHERE)
    }

    fn read(path: &Path, kind: BrowserKind) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| shown.to_string())?;
        let mut case = Self {
            name: path.file_stem().context("a name")?.to_string_lossy().into(),
            code: String::new(),
            expect: Regex::new(expectation(&text, kind).context("it expects nothing")?)?,
            shards: vec![1],
            limit_ms: ATTACK_LIMIT_MS,
        };
        for line in text.lines() {
            if line == "// shards: 2" {
                case.shards = vec![1, 2];
            } else if let Some(limit) = line.strip_prefix("// limit-ms: ") {
                case.limit_ms = limit.parse()?;
            } else if !line.starts_with("// ") {
                case.code.push_str(line);
                case.code.push('\n');
            }
        }
        Ok(case)
    }
}

fn expectation(text: &str, kind: BrowserKind) -> Option<&str> {
    let after = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark));
    let own = match kind {
        BrowserKind::Chromium => "// expect-chromium: ",
        BrowserKind::Firefox => "// expect-firefox: ",
    };
    after(own).or_else(|| after("// expect: "))
}

fn folder() -> PathBuf {
    artifacts::root().join("tests-e2e/cases")
}
