//! What a volunteer looks at of a job that runs: program and input as they were verified.

use std::rc::Rc;

use shared::ids::JobId;

/// Characters of a text that are shown before all is asked for.
const SHOWN: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    job: JobId,
    texts: Option<(Rc<str>, Rc<str>)>,
    is_cut: bool,
}

/// How it looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SourceView {
    pub(super) title: String,
    pub(super) note: &'static str,
    pub(super) code: Rc<str>,
    pub(super) args: Rc<str>,
    pub(super) has_more: bool,
}

impl Source {
    /// Of `job`; without texts where nothing of it runs any more.
    pub(super) fn new(job: JobId, texts: Option<(String, String)>) -> Self {
        let texts = texts.map(|(code, args)| (code.into(), args.into()));
        Self {
            job,
            texts,
            is_cut: true,
        }
    }

    /// Shows the texts to their end.
    pub(super) const fn show_all(&mut self) {
        self.is_cut = false;
    }

    pub(super) fn view(&self) -> SourceView {
        let title = ["Job ", &self.job.to_string()].concat();
        let Some((code, args)) = &self.texts else {
            return SourceView {
                title,
                note: "Nothing of this job runs here any more.",
                ..SourceView::default()
            };
        };
        let has_more = self.is_cut && [code, args].iter().any(|text| beginning(text).is_some());
        let shown = |text: &Rc<str>| match beginning(text).filter(|_| self.is_cut) {
            Some(beginning) => beginning.into(),
            None => Rc::clone(text),
        };
        SourceView {
            title,
            note: "Exactly as it was checked against the signature, and as it runs.",
            code: shown(code),
            args: shown(args),
            has_more,
        }
    }
}

/// What is shown at first of a text that is longer.
fn beginning(text: &str) -> Option<&str> {
    let (end, _) = text.char_indices().nth(SHOWN)?;
    text.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Source {
        let texts = Some((code.to_owned(), "{}".to_owned()));
        Source::new(JobId::from_bytes([1; 16]), texts)
    }

    #[test]
    fn short_texts_are_shown_as_they_are() {
        let view = of("return 1").view();
        assert_eq!((&*view.code, &*view.args), ("return 1", "{}"));
        assert!(!view.has_more);
    }

    #[test]
    fn long_texts_are_cut_between_characters_until_all_is_asked_for() {
        let long = "\u{e9}".repeat(SHOWN + 1);
        let mut source = of(&long);
        let view = source.view();
        assert!(view.has_more);
        assert_eq!(view.code.chars().count(), SHOWN);
        source.show_all();
        let view = source.view();
        assert!(!view.has_more);
        assert_eq!(&*view.code, long);
    }

    #[test]
    fn a_job_that_is_over_has_nothing_to_show() {
        let view = Source::new(JobId::from_bytes([1; 16]), None).view();
        assert!(view.note.contains("any more"));
        assert_eq!(&*view.code, "");
    }
}
