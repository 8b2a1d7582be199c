//! Places of connections: so many in all and of one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at a time that are served.
pub const MAX_CONNECTIONS: usize = 64;
/// Those of one client, unless it is this machine or a proxy: a stranger must not hold all of them.
const MAX_PER_CLIENT: usize = 16;

/// Places for connections; clones share them.
#[derive(Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    /// Connections by client; as many entries as there are connections.
    by_client: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    /// All clients come through proxies.
    are_behind_proxy: bool,
}

/// Place of a connection, given back when it is dropped.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    places: Places,
    client: IpAddr,
}

impl Places {
    /// Creates free places. `are_behind_proxy`: clients cannot be told apart.
    pub fn new(are_behind_proxy: bool) -> Self {
        Places {
            free: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            by_client: Arc::default(),
            are_behind_proxy,
        }
    }

    /// Takes a place for a connection of `address`, if one is free and that client has not too many.
    pub fn try_take(&self, address: IpAddr) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        self.take(permit, address)
    }

    /// Takes a place as soon as one is free; returns none if that client has too many.
    pub async fn take_next(&self, address: IpAddr) -> Option<Place> {
        let permit = self.free.clone().acquire_owned().await.ok()?;
        self.take(permit, address)
    }

    fn take(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let client = client(address);
        let is_limited = !client.is_loopback() && !self.are_behind_proxy;
        let mut by_client = self.by_client();
        let count = by_client.entry(client).or_default();
        if is_limited && *count >= MAX_PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(Place {
            _permit: permit,
            places: self.clone(),
            client,
        })
    }

    fn by_client(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_client = self.places.by_client();
        if let Some(count) = by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

/// Returns the client behind an address: IPv6 gives each of them a network of 64 bits.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(places: &Places, address: &str, count: usize) -> Vec<Place> {
        let address = address.parse().unwrap();
        (0..count).filter_map(|_| places.try_take(address)).collect()
    }

    #[test]
    fn given_a_stranger_then_it_gets_some_places_and_this_machine_all_that_are_left() {
        let places = Places::new(false);
        let stranger = taken(&places, "192.168.1.7", 20);
        assert_eq!(stranger.len(), 16);
        // The addresses of one network are one client's.
        let mut others = taken(&places, "2001:db8::1", 10);
        others.extend(taken(&places, "2001:db8::2", 10));
        assert_eq!(others.len(), 16);
        let local = taken(&places, "::1", 100);
        assert_eq!(local.len(), MAX_CONNECTIONS - 32);
        drop(stranger);
        assert_eq!(taken(&places, "192.168.1.7", 20).len(), 16);
    }

    #[test]
    fn given_a_proxy_then_it_gets_all_places() {
        let places = Places::new(true);
        assert_eq!(taken(&places, "172.30.32.2", 100).len(), MAX_CONNECTIONS);
    }

    #[test]
    fn given_places_that_are_given_back_then_nothing_is_remembered_of_their_clients() {
        let places = Places::new(false);
        drop(taken(&places, "192.168.1.7", 20));
        assert!(places.by_client().is_empty());
    }
}
