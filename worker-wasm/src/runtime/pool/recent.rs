//! What is remembered of the jobs that were seen last.

use shared::ids::JobId;

use crate::small_map::SmallMap;

/// Jobs that are remembered.
const CAPACITY: usize = 64;

/// What is known of `job`, made anew where nothing is; the job that came first is forgotten then.
pub(super) fn entry<T: Default>(known: &mut SmallMap<JobId, T>, job: JobId) -> &mut T {
    if known.get(job).is_none() && known.len() == CAPACITY {
        known.forget_first();
    }
    known.entry(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_job_is_forgotten_first() {
        let job = |n: usize| JobId::from_random([u8::try_from(n).unwrap(); 16]);
        let mut known = SmallMap::default();
        for n in 0..=CAPACITY {
            *entry(&mut known, job(n)) = n;
        }
        assert_eq!(known.get(job(0)), None);
        assert_eq!(known.get(job(1)), Some(&1));
        assert_eq!(known.get(job(CAPACITY)), Some(&CAPACITY));
    }
}
