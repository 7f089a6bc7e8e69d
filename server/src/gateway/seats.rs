//! How many sockets an address may have: few that have not said a valid hello, many that have.
//!
//! Who has not said it may make us keep little: [`MAX_GREETING`] times [`OWN_BYTES`] and a buffer of
//! 4 KiB, and [`SHARED_BYTES`], are 64 MiB.

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use std::sync::Arc;

use crate::address::{AddressBlock, Neighbourhood};
use crate::intake::{Intake, SharedIntake};
use crate::limits::{Place, Places};
use crate::proxy::Caller;

/// Joined sockets of one address: a school, or all customers behind a provider's shared address.
const MAX_JOINED_PER_ADDRESS: usize = 1_000;
/// Sockets of all addresses that have not said a valid hello. Each ends within seconds.
const MAX_GREETING: usize = 4_096;
/// Those of neighbours among them, unless one address may have more.
const MAX_GREETING_NEARBY: usize = MAX_GREETING / 8;
/// Bytes that each of them may send: any hello but one with many ranges of attempts.
const OWN_BYTES: u32 = 8 * 1024;
/// Bytes that all of them together may send beyond that, for those who come back with much in hand.
const SHARED_BYTES: usize = 16 * 1024 * 1024;

/// Seats for sockets.
#[derive(Debug)]
pub(super) struct Seats {
    greeting: Places,
    greeting_nearby: Places<Neighbourhood>,
    all_greeting: Arc<Semaphore>,
    shared_intake: SharedIntake,
    joined: Places,
}

/// The seat of a socket that has not said a valid hello.
#[derive(Debug)]
pub(super) struct Greeting {
    caller: Caller,
    intake: Intake,
    _place: Place,
    _place_nearby: Place<Neighbourhood>,
    _permit: OwnedSemaphorePermit,
}

/// The seat of a socket whose worker has joined. Loopback has as many as it likes: it may be a proxy
/// that nobody told us of.
#[derive(Debug)]
pub(super) struct Joined {
    _place: Option<Place>,
}

impl Seats {
    pub(super) fn new(max_greeting_per_address: usize) -> Self {
        Self {
            greeting: Places::new(max_greeting_per_address),
            greeting_nearby: Places::new(max_greeting_per_address.max(MAX_GREETING_NEARBY)),
            all_greeting: Arc::new(Semaphore::new(MAX_GREETING)),
            shared_intake: SharedIntake::new(SHARED_BYTES),
            joined: Places::new(MAX_JOINED_PER_ADDRESS),
        }
    }

    /// A seat for a socket that was just opened; `None` if there is none. What may be read from it
    /// is metered until it joins.
    pub(super) fn enter(&self, caller: Caller, intake: Intake) -> Option<Greeting> {
        let permit = Arc::clone(&self.all_greeting).try_acquire_owned().ok()?;
        let block = AddressBlock::of(caller.address);
        let place = self.greeting.take(block)?;
        let place_nearby = self.greeting_nearby.take(block.neighbourhood())?;
        intake.meter(OWN_BYTES, &self.shared_intake);
        Some(Greeting {
            caller,
            intake,
            _place: place,
            _place_nearby: place_nearby,
            _permit: permit,
        })
    }

    /// A seat among the joined, for one that has said a valid hello; `None` if there is none.
    pub(super) fn join(&self, greeting: &Greeting) -> Option<Joined> {
        let address = greeting.caller.address;
        let place = if address.is_loopback() {
            None
        } else {
            Some(self.joined.take(AddressBlock::of(address))?)
        };
        greeting.intake.release();
        Some(Joined { _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        let address = address.parse().unwrap();
        Caller {
            address,
            peer: address,
            is_proxied: false,
        }
    }

    fn enter(seats: &Seats, caller: Caller) -> Option<Greeting> {
        seats.enter(caller, Intake::default())
    }

    #[test]
    fn few_sockets_of_an_address_wait_and_many_may_have_joined() {
        let seats = Seats::new(2);
        let one = caller("2001:db8::1");
        let waiting = [enter(&seats, one).unwrap(), enter(&seats, one).unwrap()];
        assert!(
            enter(&seats, caller("2001:db8::2")).is_none(),
            "of one network"
        );
        assert!(enter(&seats, caller("192.0.2.1")).is_some());
        let [first, second] = waiting;
        let mut joined = vec![seats.join(&first).unwrap()];
        drop(first);
        let third = enter(&seats, one).unwrap();
        joined.extend((1..MAX_JOINED_PER_ADDRESS).map(|_| seats.join(&second).unwrap()));
        assert!(seats.join(&third).is_none());
        joined.pop();
        assert!(seats.join(&third).is_some());
    }

    #[test]
    fn loopback_may_join_without_end_but_waits_like_all() {
        let seats = Seats::new(1);
        let local = enter(&seats, caller("127.0.0.1")).unwrap();
        assert!(enter(&seats, caller("127.0.0.1")).is_none());
        let joined = (0..=MAX_JOINED_PER_ADDRESS).map(|_| seats.join(&local));
        assert!(joined.collect::<Vec<_>>().iter().all(Option::is_some));
    }

    #[test]
    fn all_who_wait_are_bounded() {
        let seats = Seats::new(usize::MAX);
        let held: Vec<_> = (0..MAX_GREETING)
            .map(|_| enter(&seats, caller("192.0.2.1")).unwrap())
            .collect();
        assert!(enter(&seats, caller("192.0.2.2")).is_none());
        drop(held);
        assert!(enter(&seats, caller("192.0.2.2")).is_some());
    }

    #[test]
    fn neighbours_leave_most_places_to_others() {
        let seats = Seats::new(1);
        let near = |number: usize| caller(&format!("2001:db8:1:{number:x}::1"));
        let held: Vec<_> = (0..MAX_GREETING_NEARBY)
            .map(|number| enter(&seats, near(number)).unwrap())
            .collect();
        assert!(enter(&seats, near(held.len())).is_none());
        assert!(enter(&seats, caller("2001:db8:2::1")).is_some());
        drop(held);
        assert!(enter(&seats, near(0)).is_some());
    }
}
