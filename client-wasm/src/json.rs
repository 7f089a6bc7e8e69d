//! JSON as people read it: indented or in one line, and cut where it is long.
//!
//! The text is only laid out anew, never parsed into numbers: what a script returned is shown digit
//! by digit as it came.

use std::iter::Peekable;
use std::str::Chars;

/// `json`, which must be one value, with two spaces a level. At most about `limit` characters of
/// it; the flag says whether that was less than all. O(limit).
pub fn pretty(json: &str, limit: usize) -> (String, bool) {
    let mut layout = Layout {
        out: String::new(),
        depth: 0,
    };
    let mut rest = json.chars().peekable();
    while let Some(character) = rest.next() {
        if layout.out.len() >= limit {
            return (layout.out, true);
        }
        layout.place(character, &mut rest, limit);
    }
    (layout.out, false)
}

struct Layout {
    out: String,
    depth: usize,
}

impl Layout {
    fn place(&mut self, character: char, rest: &mut Peekable<Chars<'_>>, limit: usize) {
        match character {
            '"' => self.string(rest, limit),
            '{' | '[' => {
                self.out.push(character);
                while rest.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    self.out.push(close);
                } else {
                    self.depth += 1;
                    self.new_line();
                }
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.new_line();
                self.out.push(character);
            }
            ',' => {
                self.out.push(',');
                self.new_line();
            }
            ':' => self.out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => self.out.push(other),
        }
    }

    fn string(&mut self, rest: &mut Peekable<Chars<'_>>, limit: usize) {
        self.out.push('"');
        let mut is_escaped = false;
        while self.out.len() < limit
            && let Some(character) = rest.next()
        {
            self.out.push(character);
            match character {
                '"' if !is_escaped => return,
                '\\' => is_escaped = !is_escaped,
                _ => is_escaped = false,
            }
        }
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }
}

/// The first `limit` characters of `text` in one line, with `…` where there are more.
pub fn preview(text: &str, limit: usize) -> String {
    let mut characters = text.chars();
    let mut line: String = characters
        .by_ref()
        .take(limit)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        assert_eq!(pretty(json, 1_000), (expected.to_owned(), false));
    }

    #[test]
    fn values_are_laid_out_and_nothing_else_changes() {
        check(
            r#"{"b":1.0,"a":[1e400,"x"]}"#,
            "{\n  \"b\": 1.0,\n  \"a\": [\n    1e400,\n    \"x\"\n  ]\n}",
        );
        check(" [ ] ", "[]");
        check(r#"{"a": { }}"#, "{\n  \"a\": {}\n}");
        check("12345678901234567890123", "12345678901234567890123");
    }

    #[test]
    fn what_looks_like_structure_inside_strings_is_left_alone() {
        check(r#"["{,: \" ]\\",2]"#, "[\n  \"{,: \\\" ]\\\\\",\n  2\n]");
    }

    #[test]
    fn long_values_are_cut() {
        let long = format!("[{}]", vec!["7"; 10_000].join(","));
        let (text, is_cut) = pretty(&long, 100);
        assert!(is_cut && text.len() < 110, "{text}");
        let (text, is_cut) = pretty(&format!("\"{}\"", "é".repeat(1_000)), 100);
        assert!(is_cut && text.len() < 110, "{text}");
    }

    #[test]
    fn previews_stay_in_one_line() {
        assert_eq!(preview("a\nbc", 3), "a b…");
        assert_eq!(preview("äöü", 3), "äöü");
    }
}
