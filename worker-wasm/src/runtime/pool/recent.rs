//! What is remembered of the jobs that were seen last.

use std::collections::VecDeque;

use shared::ids::JobId;

/// Jobs that are remembered.
const CAPACITY: usize = 64;

/// A value for each of the last jobs; the one that came first is forgotten first.
#[derive(Debug, Default)]
pub(super) struct Recent<T>(VecDeque<(JobId, T)>);

impl<T: Default> Recent<T> {
    pub(super) fn get(&self, job: JobId) -> Option<&T> {
        self.0
            .iter()
            .find(|(known, _)| *known == job)
            .map(|(_, it)| it)
    }

    pub(super) fn entry(&mut self, job: JobId) -> &mut T {
        let place = self.0.iter().position(|(known, _)| *known == job);
        let place = place.unwrap_or_else(|| {
            if self.0.len() == CAPACITY {
                self.0.pop_front();
            }
            self.0.push_back((job, T::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_job_is_forgotten_first() {
        let job = |n: usize| JobId::from_random([u8::try_from(n).unwrap(); 16]);
        let mut recent = Recent::default();
        for n in 0..=CAPACITY {
            *recent.entry(job(n)) = n;
        }
        assert_eq!(recent.get(job(0)), None);
        assert_eq!(recent.get(job(1)), Some(&1));
        assert_eq!(recent.get(job(CAPACITY)), Some(&CAPACITY));
    }
}
