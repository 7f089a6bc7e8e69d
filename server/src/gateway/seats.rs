//! How many sockets an address may have: few that have not said a valid hello, many that have.

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use std::sync::Arc;

use crate::address::AddressBlock;
use crate::limits::{Place, Places};
use crate::proxy::Caller;

/// Joined sockets of one address: a school, or all customers behind a provider's shared address.
const MAX_JOINED_PER_ADDRESS: usize = 1_000;
/// Sockets of all addresses that have not said a valid hello. Each ends within seconds.
const MAX_GREETING: usize = 4_096;

/// Seats for sockets.
#[derive(Debug)]
pub(super) struct Seats {
    greeting: Places,
    all_greeting: Arc<Semaphore>,
    joined: Places,
}

/// The seat of a socket that has not said a valid hello.
#[derive(Debug)]
pub(super) struct Greeting {
    caller: Caller,
    _place: Place,
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
            all_greeting: Arc::new(Semaphore::new(MAX_GREETING)),
            joined: Places::new(MAX_JOINED_PER_ADDRESS),
        }
    }

    /// A seat for a socket that was just opened; `None` if there is none.
    pub(super) fn enter(&self, caller: Caller) -> Option<Greeting> {
        let permit = Arc::clone(&self.all_greeting).try_acquire_owned().ok()?;
        let place = self.greeting.take(AddressBlock::of(caller.address))?;
        Some(Greeting {
            caller,
            _place: place,
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

    #[test]
    fn few_sockets_of_an_address_wait_and_many_may_have_joined() {
        let seats = Seats::new(2);
        let one = caller("2001:db8::1");
        let waiting = [seats.enter(one).unwrap(), seats.enter(one).unwrap()];
        assert!(
            seats.enter(caller("2001:db8::2")).is_none(),
            "of one network"
        );
        assert!(seats.enter(caller("192.0.2.1")).is_some());
        let [first, second] = waiting;
        let mut joined = vec![seats.join(&first).unwrap()];
        drop(first);
        let third = seats.enter(one).unwrap();
        joined.extend((1..MAX_JOINED_PER_ADDRESS).map(|_| seats.join(&second).unwrap()));
        assert!(seats.join(&third).is_none());
        joined.pop();
        assert!(seats.join(&third).is_some());
    }

    #[test]
    fn loopback_may_join_without_end_but_waits_like_all() {
        let seats = Seats::new(1);
        let local = seats.enter(caller("127.0.0.1")).unwrap();
        assert!(seats.enter(caller("127.0.0.1")).is_none());
        let joined = (0..=MAX_JOINED_PER_ADDRESS).map(|_| seats.join(&local));
        assert!(joined.collect::<Vec<_>>().iter().all(Option::is_some));
    }

    #[test]
    fn all_who_wait_are_bounded() {
        let seats = Seats::new(usize::MAX);
        let held: Vec<_> = (0..MAX_GREETING)
            .map(|_| seats.enter(caller("192.0.2.1")).unwrap())
            .collect();
        assert!(seats.enter(caller("192.0.2.2")).is_none());
        drop(held);
        assert!(seats.enter(caller("192.0.2.2")).is_some());
    }
}
