//! What a check found, and how all findings are shown.

use serde_json::{Value, json};

use crate::output;

/// Width of the first two columns of a line.
const VERDICT_WIDTH: usize = 5;
const NAME_WIDTH: usize = 11;

/// What one check found. Whatever is not well comes with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// As it should be.
    Ok(String),
    /// It works, but not for everybody or not for long.
    Warn {
        /// What was seen.
        seen: String,
        /// What to do.
        fix: String,
    },
    /// It does not work.
    Fail {
        /// What was seen.
        seen: String,
        /// What to do.
        fix: String,
    },
    /// It could not be looked at; why.
    Skipped(String),
}

impl Finding {
    pub(super) fn ok(seen: impl Into<String>) -> Self {
        Self::Ok(seen.into())
    }

    pub(super) fn warn(seen: impl Into<String>, fix: impl Into<String>) -> Self {
        let (seen, fix) = (seen.into(), fix.into());
        Self::Warn { seen, fix }
    }

    pub(super) fn fail(seen: impl Into<String>, fix: impl Into<String>) -> Self {
        let (seen, fix) = (seen.into(), fix.into());
        Self::Fail { seen, fix }
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    const fn verdict(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Warn { .. } => "warn",
            Self::Fail { .. } => "fail",
            Self::Skipped(_) => "skip",
        }
    }

    fn seen(&self) -> &str {
        match self {
            Self::Ok(seen) | Self::Skipped(seen) => seen,
            Self::Warn { seen, .. } | Self::Fail { seen, .. } => seen,
        }
    }

    fn fix(&self) -> Option<&str> {
        match self {
            Self::Warn { fix, .. } | Self::Fail { fix, .. } => Some(fix),
            Self::Ok(_) | Self::Skipped(_) => None,
        }
    }
}

fn line(verdict: &str, name: &str, text: &str) -> String {
    let text = output::one_line(text);
    format!("{verdict:VERDICT_WIDTH$} {name:NAME_WIDTH$} {text}")
}

/// The findings in the order in which they were made.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<(&'static str, Finding)>);

impl Report {
    pub(super) fn add(&mut self, check: &'static str, finding: Finding) {
        self.0.push((check, finding));
    }

    /// Whether nothing failed.
    pub(super) fn is_well(&self) -> bool {
        self.count("fail") == 0
    }

    /// A line for each check, a second one for what to do, and the sum of it.
    pub(super) fn to_lines(&self) -> String {
        let (told, rest) = self.0.split_at(self.0.len() - self.skipped_at_the_end());
        let mut lines = Vec::new();
        for (name, finding) in told {
            lines.push(line(finding.verdict(), name, finding.seen()));
            lines.extend(
                finding
                    .fix()
                    .map(|fix| line("", "", &format!("Fix: {fix}"))),
            );
        }
        if let Some((_, finding)) = rest.first() {
            lines.push(line(finding.verdict(), "the rest", finding.seen()));
        }
        lines.push(self.sum());
        lines.join("\n")
    }

    /// How many checks at the end were left out for one reason, if it is more than one.
    fn skipped_at_the_end(&self) -> usize {
        let Some((_, last @ Finding::Skipped(_))) = self.0.last() else {
            return 0;
        };
        let same = self
            .0
            .iter()
            .rev()
            .take_while(|(_, finding)| finding == last);
        match same.count() {
            1 => 0,
            several => several,
        }
    }

    /// The same for programs.
    pub(super) fn to_json(&self, host: &str) -> Value {
        let checks: Vec<Value> = self
            .0
            .iter()
            .map(|(name, finding)| {
                json!({
                    "name": name,
                    "verdict": finding.verdict(),
                    "seen": finding.seen(),
                    "fix": finding.fix(),
                })
            })
            .collect();
        json!({"host": host, "ok": self.is_well(), "checks": checks})
    }

    fn sum(&self) -> String {
        let counts = ["ok", "warn", "fail", "skip"].map(|verdict| (verdict, self.count(verdict)));
        let parts: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        format!("{} checks: {}", self.0.len(), parts.join(", "))
    }

    fn count(&self, verdict: &str) -> usize {
        let with = |(_, finding): &&(&str, Finding)| finding.verdict() == verdict;
        self.0.iter().filter(with).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_makes_no_line_of_its_own() {
        let mut report = Report::default();
        let forged = "bad\nok    key         fine\u{1b}[1A";
        report.add("server", Finding::fail(forged, "a\nb"));
        assert_eq!(
            report.to_lines(),
            "fail  server      bad ok    key         fine\u{fffd}[1A\n\
             \x20                 Fix: a b\n\
             1 checks: 1 fail"
        );
    }

    #[test]
    fn a_fix_stands_below_what_it_mends_and_failures_decide() {
        let mut report = Report::default();
        report.add("server", Finding::ok("it answers"));
        report.add("workers", Finding::warn("none", "invite some"));
        assert!(report.is_well());
        report.add("key", Finding::fail("refused", "take another"));
        report.add("proxy", Finding::skipped("needs a key"));
        assert!(!report.is_well());
        assert_eq!(
            report.to_lines(),
            "ok    server      it answers\n\
             warn  workers     none\n\
             \x20                 Fix: invite some\n\
             fail  key         refused\n\
             \x20                 Fix: take another\n\
             skip  proxy       needs a key\n\
             4 checks: 1 ok, 1 warn, 1 fail, 1 skip"
        );
        report.add("address", Finding::skipped("needs a key"));
        let lines = report.to_lines();
        let end = "skip  the rest    needs a key\n5 checks: 1 ok, 1 warn, 1 fail, 2 skip";
        assert!(lines.ends_with(end), "{lines}");
        let json = report.to_json("http://h");
        assert_eq!(json["ok"], false);
        assert_eq!(
            json["checks"][1],
            json!({"name": "workers", "verdict": "warn", "seen": "none", "fix": "invite some"})
        );
        assert_eq!(json["checks"][3]["fix"], Value::Null);
    }
}
