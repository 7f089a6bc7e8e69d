//! A pool without executors: the tests are the executors.

use super::*;
use crate::runtime::report::Outcome;
use crate::runtime::work::Shard;
use shared::ids::Nonce;

const ONE: JobId = JobId::from_bytes([1; 16]);
const TWO: JobId = JobId::from_bytes([2; 16]);

struct Tab {
    pool: Pool,
    now: u64,
    next_attempt: u32,
    posts: Vec<(ExecutorId, Vec<u64>)>,
    spawned: Vec<ExecutorId>,
    killed: Vec<ExecutorId>,
    finished: Vec<(u32, ResultStatus)>,
    interrupted: Vec<u32>,
    refused: Vec<JobId>,
    rebuilds: usize,
}

impl Tab {
    fn new(slots: u16) -> Self {
        let mut tab = Self {
            pool: Pool::new(slots),
            now: 0,
            next_attempt: 0,
            posts: Vec::new(),
            spawned: Vec::new(),
            killed: Vec::new(),
            finished: Vec::new(),
            interrupted: Vec::new(),
            refused: Vec::new(),
            rebuilds: 0,
        };
        tab.pool.frame_opened(Millis(0));
        tab.collect();
        tab
    }

    fn collect(&mut self) {
        while let Some(command) = self.pool.next_command() {
            match command {
                Command::Spawn(id) => {
                    self.spawned.push(id);
                    let ready = Report::Ready(ReadyReport::default());
                    self.pool.reported(Millis(self.now), id, ready);
                }
                Command::Kill(id) => self.killed.push(id),
                Command::Post { executor, rows, .. } => {
                    let ids = rows
                        .chunks(super::super::work::COLUMNS)
                        .map(|row| row[0] as u64);
                    self.posts.push((executor, ids.collect()));
                }
                Command::RebuildFrame => self.rebuilds += 1,
                Command::Finished(results) => {
                    let results = results.into_iter();
                    self.finished
                        .extend(results.map(|(attempt, it)| (attempt.index, it.status)));
                }
                Command::Interrupted(attempts) => {
                    self.interrupted
                        .extend(attempts.iter().map(|attempt| attempt.index));
                }
                Command::RefuseJob(job) => self.refused.push(job),
            }
        }
    }

    fn work(&mut self, job: JobId, shards: usize, timeout_ms: u64, number: u32) -> Work {
        let shards = (0..shards).map(|_| {
            let attempt = attempt(self.next_attempt);
            self.next_attempt += 1;
            Shard {
                attempt,
                shard: 0,
                units: 1,
                offset: 0,
                number,
                random: [1; 4],
            }
        });
        Work {
            job,
            load: Rc::new(Load {
                code: "return 1".into(),
                args: "{}".into(),
                parent_job_id: None,
                total_shards: 1,
                total_units: 1,
                seed: 0,
                is_seeded: true,
                budget: 4096,
            }),
            timeout_ms,
            shards: shards.collect(),
        }
    }

    fn give(&mut self, job: JobId, shards: usize, timeout_ms: u64) {
        assert!(self.pool.room_for(job).is_some(), "no room");
        let work = self.work(job, shards, timeout_ms, 1);
        self.pool.give(Millis(self.now), work);
        self.collect();
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.pool.tick(Millis(self.now));
        self.collect();
    }

    /// Lets the executor of post `place` answer `rows` of it.
    fn answer(&mut self, place: usize, rows: &[u64]) {
        let (id, _) = self.posts[place];
        let outcomes = rows.iter().map(|id| Outcome {
            id: *id,
            result: ShardResult {
                status: ResultStatus::Returned,
                duration_us: 10,
                value: Some("1".into()),
                details: None,
            },
        });
        let report = Report::Outcomes(outcomes.collect());
        self.pool.reported(Millis(self.now), id, report);
        self.collect();
    }

    /// Teaches the pool that shards of `job` are short, and leaves it idle.
    fn warm_up(&mut self, job: JobId) {
        self.give(job, 1, 0);
        let place = self.posts.len() - 1;
        let rows = self.posts[place].1.clone();
        self.answer(place, &rows);
        self.finished.clear();
    }

    fn die(&mut self, id: ExecutorId) {
        self.pool.died(Millis(self.now), id, "it crashed");
        self.collect();
    }
}

fn attempt(index: u32) -> AttemptId {
    AttemptId {
        nonce: Nonce::from_bytes([9; 16]),
        index,
    }
}

#[test]
fn a_spare_is_ready_before_any_work_and_is_replaced_when_taken() {
    let mut tab = Tab::new(2);
    assert_eq!(tab.spawned, [ExecutorId(1)]);
    tab.give(ONE, 1, 0);
    assert_eq!(tab.posts[0].0, ExecutorId(1));
    assert_eq!(tab.spawned, [ExecutorId(1), ExecutorId(2)]);
}

#[test]
fn an_unknown_job_gets_one_shard_a_slot_and_no_more() {
    let mut tab = Tab::new(2);
    assert_eq!(tab.pool.room_for(ONE), Some(1));
    tab.give(ONE, 1, 0);
    tab.give(ONE, 1, 0);
    assert_ne!(tab.posts[0].0, tab.posts[1].0);
    assert_eq!(tab.pool.room_for(ONE), None);
}

#[test]
fn short_shards_travel_together_and_the_next_message_waits_behind() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    assert_eq!(tab.pool.room_for(ONE), Some(100));
    tab.give(ONE, 100, 0);
    tab.give(ONE, 100, 0);
    assert_eq!(tab.posts[1].0, tab.posts[2].0);
    assert_eq!(tab.pool.room_for(ONE), None, "two messages are enough");
}

#[test]
fn an_executor_never_changes_its_job() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(TWO, 1, 0);
    assert_ne!(tab.posts[0].0, tab.posts[1].0);
    assert_eq!(tab.killed, [tab.posts[0].0], "only one is kept warm");
}

#[test]
fn a_shard_that_is_tried_again_by_itself_gets_a_fresh_executor() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    let again = tab.work(ONE, 1, 0, 2);
    tab.pool.give(Millis(tab.now), again);
    tab.collect();
    assert_ne!(tab.posts[0].0, tab.posts[1].0);
    assert_eq!(tab.killed, [tab.posts[0].0]);

    let rows = tab.posts[1].1.clone();
    tab.answer(1, &rows);
    let many = tab.work(ONE, 2, 0, 2);
    tab.pool.give(Millis(tab.now), many);
    tab.collect();
    assert_eq!(
        tab.posts[1].0, tab.posts[2].0,
        "several are above suspicion"
    );
}

#[test]
fn a_warm_executor_is_used_again_and_dropped_when_idle_for_long() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.warm_up(ONE);
    assert_eq!(tab.posts[0].0, tab.posts[1].0);
    tab.wait(KEEP_IDLE_MS);
    assert_eq!(tab.killed, [tab.posts[0].0]);
}

#[test]
fn a_lone_shard_that_exceeds_its_time_is_blamed() {
    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 1_000);
    tab.wait(1_010);
    assert!(tab.killed.is_empty());
    tab.wait(10);
    assert_eq!(tab.killed, [tab.posts[0].0]);
    assert_eq!(tab.finished, [(0, ResultStatus::TimedOut)]);
    assert!(tab.refused.is_empty(), "a timeout is no death");
}

#[test]
fn a_timed_out_result_says_what_clients_expect() {
    let result = failed_result(Failure::TimedOut, 250);
    assert_eq!(result.duration_us, 250_000);
    let error = result.details.unwrap().error.unwrap();
    assert_eq!(error.message, "Execution timeout exceeded");
}

#[test]
fn among_several_shards_nobody_is_blamed_and_nothing_runs_again() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(ONE, 3, 1_000);
    tab.answer(1, &[1]);
    tab.wait(1_100);
    assert_eq!(tab.finished, [(1, ResultStatus::Returned)]);
    assert_eq!(tab.interrupted, [2, 3]);
    assert_eq!(tab.posts.len(), 2, "nothing was posted again");
}

#[test]
fn every_report_gives_the_next_shard_its_whole_time() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(ONE, 3, 1_000);
    for row in 1..=3 {
        tab.wait(900);
        tab.answer(1, &[row]);
    }
    assert_eq!(tab.finished.len(), 3);
    assert!(tab.killed.is_empty());
}

#[test]
fn a_shard_behind_the_culprit_is_not_blamed() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(ONE, 1, 1_000);
    tab.give(ONE, 1, 1_000);
    tab.wait(1_020);
    assert_eq!(tab.finished, [(1, ResultStatus::TimedOut)]);
    assert_eq!(tab.interrupted, [2]);
}

#[test]
fn shards_that_were_tried_before_go_alone() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    let work = tab.work(ONE, 3, 1_000, 2);
    tab.pool.give(Millis(0), work);
    tab.collect();
    assert_eq!(tab.posts.len(), 4);
    tab.wait(1_020);
    assert_eq!(tab.finished, [(1, ResultStatus::TimedOut)]);
    assert_eq!(tab.interrupted, [2, 3]);
}

#[test]
fn time_that_was_slept_through_counts_for_nobody() {
    let mut tab = Tab::new(1);
    tab.give(ONE, 1, 1_000);
    tab.wait(3_600_000);
    assert!(tab.finished.is_empty());
    tab.wait(1_020);
    assert_eq!(tab.finished, [(0, ResultStatus::TimedOut)]);
}

#[test]
fn a_killed_slot_counts_as_used_while_it_may_spin() {
    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 1_000);
    tab.give(ONE, 1, 0);
    tab.wait(1_020);
    assert_eq!(tab.pool.room_for(ONE), None);
    tab.wait(SPIN_AFTER_KILL_MS);
    assert_eq!(tab.pool.room_for(ONE), Some(1));
}

#[test]
fn when_all_slots_spin_the_frame_is_rebuilt() {
    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 1_000);
    tab.give(ONE, 1, 1_000);
    tab.wait(1_020);
    assert_eq!(tab.finished.len(), 2);
    assert_eq!(tab.rebuilds, 1);
    assert_eq!(tab.pool.room_for(ONE), None, "there is no frame");
    tab.pool.frame_opened(Millis(tab.now));
    assert_eq!(tab.pool.room_for(ONE), Some(1));
}

#[test]
fn a_frame_that_does_not_come_is_asked_for_again() {
    let mut tab = Tab::new(1);
    tab.give(ONE, 1, 1_000);
    tab.wait(1_020);
    tab.wait(START_TIMEOUT_MS);
    assert_eq!(tab.rebuilds, 2);
}

#[test]
fn a_dead_executor_is_a_result_for_the_shard_it_ran() {
    let mut tab = Tab::new(1);
    tab.give(ONE, 1, 0);
    tab.die(ExecutorId(1));
    assert_eq!(tab.finished, [(0, ResultStatus::ExecutorFailed)]);
}

#[test]
fn a_job_whose_executors_died_three_times_is_refused() {
    let mut tab = Tab::new(2);
    for _ in 0..3 {
        assert!(tab.refused.is_empty());
        tab.give(ONE, 1, 0);
        let id = tab.posts.last().unwrap().0;
        tab.die(id);
    }
    assert_eq!(tab.refused, [ONE]);
}

#[test]
fn a_suspect_job_runs_one_shard_with_nothing_beside_it() {
    let mut tab = Tab::new(4);
    tab.give(ONE, 1, 0);
    tab.die(ExecutorId(1));
    tab.give(TWO, 1, 0);
    assert_eq!(tab.pool.room_for(ONE), None, "another job runs");
    tab.answer(1, &[0]);
    assert_eq!(tab.pool.room_for(ONE), Some(1));
    tab.give(ONE, 1, 0);
    assert_eq!(tab.pool.room_for(ONE), None);
    assert_eq!(tab.pool.room_for(TWO), None);
}

#[test]
fn a_lost_frame_blames_only_a_job_that_ran_alone() {
    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 0);
    tab.give(TWO, 1, 0);
    tab.pool.frame_lost(Millis(0));
    tab.collect();
    assert_eq!(tab.interrupted, [0, 1]);
    assert_eq!(tab.rebuilds, 1);

    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 0);
    tab.give(ONE, 1, 0);
    tab.pool.frame_lost(Millis(0));
    tab.collect();
    assert_eq!(tab.finished.len(), 2);
}

#[test]
fn an_executor_that_answers_what_it_was_not_asked_is_dead() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(ONE, 2, 0);
    tab.answer(1, &[2]);
    assert!(tab.finished.is_empty());
    assert_eq!(tab.interrupted, [1, 2]);
    assert_eq!(tab.killed, [tab.posts[1].0]);
}

#[test]
fn an_executor_that_could_not_be_sealed_gets_no_work() {
    let mut tab = Tab::new(1);
    let open = ReadyReport {
        left: vec!["fetch".into()],
        probes: Vec::new(),
    };
    tab.pool
        .reported(Millis(0), ExecutorId(1), Report::Ready(open));
    tab.collect();
    assert_eq!(tab.killed, [ExecutorId(1)]);
    tab.give(ONE, 1, 0);
    assert_eq!(tab.posts[0].0, ExecutorId(2));
}

#[test]
fn stopping_the_shard_that_runs_frees_its_slot() {
    let mut tab = Tab::new(2);
    tab.give(ONE, 1, 0);
    tab.pool.stop(Millis(0), &[attempt(0)]);
    tab.collect();
    assert_eq!(tab.killed, [ExecutorId(1)]);
    assert!(tab.finished.is_empty() && tab.interrupted.is_empty());
}

#[test]
fn stopping_one_of_several_only_drops_its_result() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.give(ONE, 3, 0);
    tab.pool.stop(Millis(0), &[attempt(2)]);
    tab.answer(1, &[1, 2, 3]);
    assert!(tab.killed.is_empty());
    let finished: Vec<u32> = tab.finished.iter().map(|(index, _)| *index).collect();
    assert_eq!(finished, [1, 3]);
}

#[test]
fn executors_that_never_start_are_blamed_on_the_frame() {
    let mut tab = Tab::new(1);
    tab.pool = Pool::new(1);
    tab.pool.frame_opened(Millis(0));
    for id in 1..=3 {
        tab.pool.died(Millis(0), ExecutorId(id), "no worker");
    }
    let rebuilds = std::iter::from_fn(|| tab.pool.next_command())
        .filter(|command| *command == Command::RebuildFrame);
    assert_eq!(rebuilds.count(), 1);
}

#[test]
fn a_worn_executor_is_replaced() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    let worn = tab.posts[0].0;
    let mut sent = 1;
    while sent < MAX_ROWS {
        tab.give(ONE, 100, 0);
        let place = tab.posts.len() - 1;
        let rows = tab.posts[place].1.clone();
        tab.answer(place, &rows);
        sent += 100;
    }
    assert_eq!(tab.killed, [worn]);
}

#[test]
fn a_slot_rests_in_proportion_to_what_it_did() {
    for (duty, rest_ms) in [(100, 0), (50, 600), (25, 1_800), (10, 5_400)] {
        let mut tab = Tab::new(1);
        tab.pool.set_duty(duty);
        tab.give(ONE, 1, 0);
        tab.wait(600);
        tab.answer(0, &[0]);
        if rest_ms > 0 {
            tab.wait(rest_ms - 1);
            assert_eq!(tab.pool.room_for(ONE), None, "{duty} %");
            assert_eq!(tab.pool.next_deadline(), Some(Millis(tab.now + 1)));
            tab.wait(1);
        }
        assert_eq!(tab.pool.room_for(ONE), Some(1), "{duty} %");
    }
}

#[test]
fn one_slot_rests_while_the_other_works() {
    let mut tab = Tab::new(2);
    tab.pool.set_duty(50);
    tab.give(ONE, 1, 0);
    tab.give(ONE, 1, 0);
    tab.wait(100);
    tab.answer(0, &[0]);
    assert_eq!(tab.pool.room_for(ONE), None, "one is busy, one rests");
    tab.wait(100);
    assert_eq!(tab.pool.room_for(ONE), Some(1));
}

#[test]
fn where_slots_rest_nothing_waits_behind_what_runs() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.pool.set_duty(50);
    tab.give(ONE, 3, 0);
    assert_eq!(tab.pool.room_for(ONE), None);
}

#[test]
fn more_duty_ends_a_rest_at_once() {
    let mut tab = Tab::new(1);
    tab.pool.set_duty(10);
    tab.give(ONE, 1, 0);
    tab.wait(60_000);
    tab.answer(0, &[0]);
    assert_eq!(tab.pool.room_for(ONE), None);
    tab.pool.set_duty(100);
    assert_eq!(tab.pool.room_for(ONE), Some(1));
}

#[test]
fn a_shard_that_was_stopped_has_worked_too() {
    let mut tab = Tab::new(1);
    tab.pool.set_duty(10);
    tab.give(ONE, 1, 1_000);
    tab.wait(1_020);
    tab.pool.frame_opened(Millis(tab.now));
    tab.wait(SPIN_AFTER_KILL_MS);
    assert_eq!(tab.pool.room_for(ONE), None, "nine seconds of rest");
}

#[test]
fn units_of_shards_that_returned_are_counted() {
    let mut tab = Tab::new(1);
    let mut work = tab.work(ONE, 2, 0, 1);
    work.shards[0].units = 40;
    work.shards[1].units = 2;
    tab.pool.give(Millis(0), work);
    tab.collect();
    tab.answer(0, &[0]);
    assert_eq!(tab.pool.units(), 40);
    tab.die(ExecutorId(1));
    assert_eq!(tab.pool.units(), 40);
}

#[test]
fn a_job_is_current_while_it_runs_and_shortly_after() {
    let mut tab = Tab::new(1);
    let mut work = tab.work(ONE, 1, 0, 1);
    Rc::get_mut(&mut work.load).unwrap().parent_job_id = Some("job".into());
    work.shards[0].shard = 7;
    tab.pool.give(Millis(0), work);
    tab.collect();
    assert_eq!(tab.pool.current(Millis(tab.now)), [(ONE, vec![7])]);
    let load = tab.pool.load_of(ONE).unwrap();
    assert_eq!(&*load.code, "return 1");
    tab.answer(0, &[0]);
    assert_eq!(tab.pool.current(Millis(tab.now)), [(ONE, vec![])]);
    tab.wait(CURRENT_MS);
    assert_eq!(tab.pool.current(Millis(tab.now)), []);
    assert_eq!(tab.pool.load_of(TWO), None);
}

#[test]
fn a_refused_job_is_kept_nowhere() {
    let mut tab = Tab::new(1);
    tab.warm_up(ONE);
    tab.pool.forget_job(ONE);
    tab.collect();
    assert_eq!(tab.killed, [tab.posts[0].0]);
    assert_eq!(tab.pool.load_of(ONE), None);
}

#[test]
fn nothing_is_due_while_nothing_runs() {
    let tab = Tab::new(2);
    assert_eq!(tab.pool.next_deadline(), None);
}
