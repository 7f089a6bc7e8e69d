//! Who wants to know when a running job changes.

use std::collections::HashMap;

use shared::ids::JobId;
use tokio::sync::watch;

/// Wakes its holder after each change of a job, several at once where they follow closely. Closed
/// once the job has ended, or the server stops.
pub(crate) type Watch = watch::Receiver<()>;

#[derive(Debug, Default)]
pub(super) struct Watchers {
    jobs: HashMap<JobId, watch::Sender<()>>,
    /// Nobody is told anything any more.
    is_closed: bool,
}

impl Watchers {
    /// A watch on a job that is running.
    pub(super) fn watch(&mut self, job: JobId) -> Watch {
        let sender = self.jobs.entry(job).or_default();
        let watch = sender.subscribe();
        if self.is_closed {
            self.jobs.clear();
        }
        watch
    }

    pub(super) fn changed(&mut self, job: JobId) {
        if let Some(sender) = self.jobs.get(&job)
            && sender.send(()).is_err()
        {
            self.jobs.remove(&job);
        }
    }

    /// Something changed that every job shows.
    pub(super) fn all_changed(&mut self) {
        self.jobs.retain(|_, sender| sender.send(()).is_ok());
    }

    pub(super) fn ended(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.jobs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u8) -> JobId {
        JobId::from_random([number; 16])
    }

    #[tokio::test]
    async fn a_watch_wakes_for_its_own_job_and_ends_with_it() {
        let mut watchers = Watchers::default();
        let mut watch = watchers.watch(job(1));
        watchers.changed(job(2));
        assert!(!watch.has_changed().unwrap());
        watchers.changed(job(1));
        watch.changed().await.unwrap();
        watchers.all_changed();
        watch.changed().await.unwrap();
        watchers.ended(job(1));
        assert!(watch.changed().await.is_err());
    }

    #[test]
    fn a_job_that_nobody_watches_any_more_is_forgotten() {
        let mut watchers = Watchers::default();
        drop(watchers.watch(job(1)));
        drop(watchers.watch(job(2)));
        watchers.changed(job(1));
        watchers.all_changed();
        assert!(watchers.jobs.is_empty());
    }

    #[tokio::test]
    async fn after_closing_every_watch_is_over() {
        let mut watchers = Watchers::default();
        let mut before = watchers.watch(job(1));
        watchers.close();
        assert!(before.changed().await.is_err());
        assert!(watchers.watch(job(1)).changed().await.is_err());
    }
}
