//! The sandbox proves itself on this device before it is offered any work.
//!
//! Lives here: the order of the steps and what counts as passed. The probes are in the sandbox's own
//! scripts: what the frame can reach (`broker.js`), what the browser blocks in an executor before it
//! is hardened (`trampoline.js`), and what a job can reach afterwards (`self-check.js`).

use std::rc::Rc;

use shared::ids::{AttemptId, Nonce};
use shared::time::Millis;
use shared::wire::{ResultStatus, ShardResult};

use super::json_text::unquoted;
use super::report::{ReadyReport, Report};
use super::work::{Load, Shard};
use crate::messages::SelfTestOutcome;

/// Time for all of it, in milliseconds.
const LIMIT_MS: u64 = 30_000;
/// Doors that the frame tries.
const FRAME_PROBES: usize = 4;
/// What a result of `self-check.js` may take, in bytes.
const BUDGET: u32 = 64 * 1024;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Start an executor that probes.
    Spawn,
    /// Let it run this.
    Post { load: Rc<Load>, rows: Vec<f64> },
    /// Terminate it; this came out.
    Done(SelfTestOutcome),
    /// Nothing.
    Wait,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Frame,
    Probing,
    Checking,
    Over,
}

/// The self-test: see the module.
#[derive(Debug)]
pub(crate) struct SelfTest {
    stage: Stage,
    give_up_at: Millis,
    probes: usize,
    open: Vec<String>,
}

impl SelfTest {
    /// Waits for the frame.
    pub(crate) const fn new(now: Millis) -> Self {
        Self {
            stage: Stage::Frame,
            give_up_at: now.plus(LIMIT_MS),
            probes: 0,
            open: Vec::new(),
        }
    }

    /// Whether it still wants what comes from the sandbox.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The frame is there and could open these doors.
    pub(crate) fn frame_opened(&mut self, doors: &[String]) -> Step {
        if self.stage != Stage::Frame {
            return Step::Wait;
        }
        self.note(
            FRAME_PROBES,
            doors.iter().map(|door| ["frame ", door].concat()),
        );
        self.stage = Stage::Probing;
        Step::Spawn
    }

    /// The probing executor said something.
    pub(crate) fn reported(&mut self, report: Option<Report>) -> Step {
        match (self.stage, report) {
            (Stage::Probing, Some(Report::Ready(ready))) => self.probed(ready),
            (Stage::Checking, Some(Report::Outcomes(outcomes))) => {
                let result = outcomes.into_iter().next().map(|outcome| outcome.result);
                self.checked(result.as_ref())
            }
            (Stage::Over, _) => Step::Wait,
            (Stage::Frame | Stage::Probing | Stage::Checking, _) => {
                self.fail("the executor answered out of turn")
            }
        }
    }

    /// The executor could not be started, or broke.
    pub(crate) fn died(&mut self, reason: &str) -> Step {
        if self.is_over() {
            return Step::Wait;
        }
        self.fail(reason)
    }

    /// Gives up when the time is over.
    pub(crate) fn tick(&mut self, now: Millis) -> Step {
        if self.is_over() || now < self.give_up_at {
            return Step::Wait;
        }
        self.fail("no answer")
    }

    /// When [`SelfTest::tick`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        (!self.is_over()).then_some(self.give_up_at)
    }

    fn probed(&mut self, ready: ReadyReport) -> Step {
        if ready.probes.is_empty() {
            return self.fail("the executor did not probe");
        }
        let unblocked = ready
            .probes
            .iter()
            .filter(|(_, answer)| *answer != "blocked");
        self.note(
            ready.probes.len(),
            unblocked.map(|(name, answer)| [name, ": ", answer].concat()),
        );
        self.note(1, ready.left);
        self.stage = Stage::Checking;
        let (load, rows) = check_work();
        Step::Post { load, rows }
    }

    fn checked(&mut self, result: Option<&ShardResult>) -> Step {
        let returned = result
            .filter(|result| result.status == ResultStatus::Returned)
            .and_then(|result| unquoted(result.value.as_deref()?));
        let mut words = returned.iter().flat_map(|text| text.split(' '));
        let Some(probes) = words.next().and_then(|count| count.parse().ok()) else {
            return self.fail("the check did not run");
        };
        self.note(probes, words.map(str::to_owned));
        self.finish()
    }

    fn note(&mut self, probes: usize, open: impl IntoIterator<Item = String>) {
        self.probes += probes;
        self.open.extend(open);
    }

    fn fail(&mut self, reason: &str) -> Step {
        self.open.push(reason.to_owned());
        self.finish()
    }

    fn finish(&mut self) -> Step {
        self.stage = Stage::Over;
        Step::Done(if self.open.is_empty() {
            SelfTestOutcome::Passed {
                probes: u16::try_from(self.probes).unwrap_or(u16::MAX),
            }
        } else {
            SelfTestOutcome::Failed(std::mem::take(&mut self.open))
        })
    }
}

fn check_work() -> (Rc<Load>, Vec<f64>) {
    let load = Load {
        code: include_str!("../../sandbox/self-check.js").into(),
        args: "{}".into(),
        parent_job_id: None,
        total_shards: 0,
        total_units: 0,
        seed: 0,
        is_seeded: true,
        budget: BUDGET,
    };
    let shard = Shard {
        attempt: AttemptId {
            nonce: Nonce::from_bytes([0; 16]),
            index: 0,
        },
        shard: 0,
        units: 0,
        offset: 0,
        number: 1,
        random: [1, 2, 3, 4],
    };
    (Rc::new(load), shard.row(0).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::report::Outcome;

    fn ready(probes: &[(&str, &str)], left: &[&str]) -> Option<Report> {
        let probes = probes
            .iter()
            .map(|(name, it)| ((*name).into(), (*it).into()));
        Some(Report::Ready(ReadyReport {
            left: left.iter().map(|name| (*name).into()).collect(),
            probes: probes.collect(),
        }))
    }

    fn check(json: &str) -> Option<Report> {
        Some(Report::Outcomes(vec![Outcome {
            id: 0,
            result: ShardResult {
                status: ResultStatus::Returned,
                duration_us: 1,
                value: Some(json.into()),
                details: None,
            },
        }]))
    }

    fn run(doors: &[&str], probed: Option<Report>, checked: Option<Report>) -> Step {
        let mut test = SelfTest::new(Millis(0));
        let doors: Vec<String> = doors.iter().map(|door| (*door).into()).collect();
        assert_eq!(test.frame_opened(&doors), Step::Spawn);
        match test.reported(probed) {
            Step::Post { .. } => test.reported(checked),
            over @ (Step::Spawn | Step::Done(_) | Step::Wait) => over,
        }
    }

    const CLEAN: &str = "\"20\"";

    #[test]
    fn a_sandbox_that_blocks_everything_passes() {
        let step = run(&[], ready(&[("fetch", "blocked")], &[]), check(CLEAN));
        let passed = SelfTestOutcome::Passed { probes: 26 };
        assert_eq!(step, Step::Done(passed));
    }

    #[test]
    fn anything_that_is_open_fails_and_is_named() {
        let cases = [
            (
                run(
                    &["origin"],
                    ready(&[("fetch", "blocked")], &[]),
                    check(CLEAN),
                ),
                "frame origin",
            ),
            (
                run(&[], ready(&[("fetch", "open")], &[]), check(CLEAN)),
                "fetch: open",
            ),
            (
                run(&[], ready(&[("fetch", "no answer")], &[]), check(CLEAN)),
                "fetch: no answer",
            ),
            (
                run(
                    &[],
                    ready(&[("fetch", "blocked")], &["caches"]),
                    check(CLEAN),
                ),
                "caches",
            ),
            (
                run(
                    &[],
                    ready(&[("fetch", "blocked")], &[]),
                    check("\"20 import\""),
                ),
                "import",
            ),
        ];
        for (step, name) in cases {
            let failed = SelfTestOutcome::Failed(vec![name.into()]);
            assert_eq!(step, Step::Done(failed));
        }
    }

    #[test]
    fn an_executor_that_does_not_probe_fails() {
        let unprobed = Some(Report::Ready(ReadyReport::default()));
        assert!(matches!(
            run(&[], unprobed, None),
            Step::Done(SelfTestOutcome::Failed(_))
        ));
        let malformed = run(&[], None, None);
        assert!(matches!(malformed, Step::Done(SelfTestOutcome::Failed(_))));
        let silent = run(&[], ready(&[("fetch", "blocked")], &[]), check("7"));
        assert!(matches!(silent, Step::Done(SelfTestOutcome::Failed(_))));
    }

    #[test]
    fn silence_fails_in_the_end() {
        let mut test = SelfTest::new(Millis(0));
        assert_eq!(test.tick(Millis(LIMIT_MS - 1)), Step::Wait);
        assert!(matches!(
            test.tick(Millis(LIMIT_MS)),
            Step::Done(SelfTestOutcome::Failed(_))
        ));
        assert_eq!(test.died("late"), Step::Wait);
        assert_eq!(test.next_deadline(), None);
    }
}
