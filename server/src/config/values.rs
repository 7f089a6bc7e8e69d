//! Turning texts into typed values, with every fault collected.

use std::collections::BTreeMap;
use std::fmt;

use shared::env_file;

use super::settings::{ALL, Kind, Setting};

/// The texts that were given, by setting name. An empty text counts as not given.
#[derive(Clone, Default)]
pub struct Given {
    texts: BTreeMap<&'static str, String>,
    mistyped: Vec<Mistyped>,
}

/// A name in an env file that is no setting's, but nearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistyped {
    /// The file.
    pub path: String,
    /// The name as it stands there.
    pub name: String,
    /// The setting that it nearly is.
    pub meant: &'static str,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.texts.keys()).finish()
    }
}

impl Given {
    /// Sets what is not set yet: sources are added in order of precedence.
    pub fn add(&mut self, setting: &Setting, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.texts
                .entry(setting.name)
                .or_insert_with(|| text.into());
        }
    }

    /// Notes a name of an env file that is no setting's. Files may hold other programs' variables, so
    /// only those that are nearly a setting's are kept.
    pub(super) fn add_unknown(&mut self, name: &str, path: &str) {
        let known = ALL.iter().map(|setting| setting.name);
        if let Some(meant) = env_file::probably_meant(name, known) {
            self.mistyped.push(Mistyped {
                path: path.into(),
                name: name.into(),
                meant,
            });
        }
    }

    /// Names in env files that nothing reads, though somebody probably meant them to be settings.
    pub fn mistyped(&self) -> &[Mistyped] {
        &self.mistyped
    }

    /// Whether a source that was added has set it.
    pub(super) fn has(&self, setting: &Setting) -> bool {
        self.get(setting).is_some()
    }

    fn get(&self, setting: &Setting) -> Option<&str> {
        self.texts.get(setting.name).map(String::as_str)
    }
}

/// A setting whose value is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the setting.
    pub name: &'static str,
    /// What was given, or what it is; secrets are not shown.
    pub value: String,
    /// What would be accepted.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, must be {}",
            self.name, self.value, self.expected
        )
    }
}

/// Reads typed values and remembers what was wrong with them.
#[derive(Debug)]
pub(super) struct Reader<'g> {
    given: &'g Given,
    faults: Vec<Fault>,
}

impl<'g> Reader<'g> {
    pub(super) const fn new(given: &'g Given) -> Self {
        Self {
            given,
            faults: Vec::new(),
        }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The text, or the default.
    pub(super) fn text(&self, setting: &Setting) -> String {
        self.given
            .get(setting)
            .unwrap_or(setting.default)
            .to_owned()
    }

    /// The text, if there is one.
    pub(super) fn optional(&self, setting: &Setting) -> Option<String> {
        Some(self.text(setting)).filter(|text| !text.is_empty())
    }

    /// An integer setting's value; on a fault, 0 stands in and the fault is kept.
    pub(super) fn int(&mut self, setting: &Setting) -> u64 {
        let text = self.text(setting);
        let value = match setting.kind {
            Kind::Int(min, max) => parse_digits(&text).filter(|value| (min..=max).contains(value)),
            Kind::Size(min, max) => parse_size(&text).filter(|value| (min..=max).contains(value)),
            Kind::Flag | Kind::Choice(_) | Kind::Text(_) | Kind::Secret(_) => None,
        };
        self.accepted(setting, value).unwrap_or_default()
    }

    /// As [`Self::int`], for a setting whose range fits.
    pub(super) fn int_as<T: TryFrom<u64> + Default>(&mut self, setting: &Setting) -> T {
        T::try_from(self.int(setting)).unwrap_or_default()
    }

    /// A flag's value.
    pub(super) fn flag(&mut self, setting: &Setting) -> bool {
        let value = match self.text(setting).to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        };
        self.accepted(setting, value).unwrap_or_default()
    }

    /// Which of a choice's values was taken.
    pub(super) fn choice(&mut self, setting: &Setting) -> &'static str {
        let text = self.text(setting);
        let value = match setting.kind {
            Kind::Choice(values) => values.iter().copied().find(|value| *value == text),
            Kind::Int(..) | Kind::Size(..) | Kind::Flag | Kind::Text(_) | Kind::Secret(_) => None,
        };
        self.accepted(setting, value).unwrap_or_default()
    }

    /// The value that `parse` makes of the text.
    pub(super) fn parsed<T>(
        &mut self,
        setting: &Setting,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(&self.text(setting));
        self.accepted(setting, value)
    }

    /// A secret of at least `min_bytes`, if one is given.
    pub(super) fn secret(&mut self, setting: &Setting, min_bytes: usize) -> Option<String> {
        let text = self.optional(setting)?;
        let long_enough = Some(text).filter(|text| text.len() >= min_bytes);
        self.accepted(setting, long_enough)
    }

    /// As [`Self::secret`], for one that is shown in a header: of printable ASCII alone.
    pub(super) fn presented_secret(
        &mut self,
        setting: &Setting,
        min_bytes: usize,
    ) -> Option<String> {
        let text = self.secret(setting, min_bytes)?;
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        self.accepted(setting, Some(text).filter(|_| is_printable))
    }

    fn accepted<T>(&mut self, setting: &Setting, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.fault(setting, setting.expected());
        }
        value
    }

    /// Notes that a setting's value will not do.
    pub(super) fn fault(&mut self, setting: &Setting, expected: String) {
        let value = match self.given.get(setting) {
            None => "not set".into(),
            Some(_) if setting.is_secret() => "[redacted]".into(),
            Some(text) => format!("{text:?}"),
        };
        self.faults.push(Fault {
            name: setting.name,
            value,
            expected,
        });
    }
}

/// Bytes of a text such as `131072` or `128kb`; units count in 1024.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        _ => return None,
    };
    parse_digits(digits)?.checked_mul(unit)
}

/// An integer of digits alone: without a sign.
fn parse_digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("512", Some(512)),
            ("1b", Some(1)),
            ("128kb", Some(131_072)),
            ("2 MB", Some(2 << 20)),
            ("1gb", Some(1 << 30)),
            ("", None),
            ("kb", None),
            ("-1", None),
            ("+1kb", None),
            ("1tb", None),
            ("99999999999999gb", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }
}
