//! Map of all meters that is cheap to share and to change: a snapshot of it copies pointers, a change copies one shard.

use crate::meter::event::ReadingEvent;
use crate::status::meter_status::MeterStatus;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Number of shards. With 10 000 meters a shard has 40, so that the first change of a shard after a snapshot copies 40
/// pointers, and a snapshot 256.
const SHARDS: usize = 256;

/// Entries of a shard, ordered by id and type.
type Shard = Vec<Arc<MeterStatus>>;

/// Meters by id and type, in shards by the hash of the id.
#[derive(Clone, Debug)]
pub struct MeterMap {
    shards: Vec<Arc<Shard>>,
    /// Seeded per process: ids are sent by strangers, who must not be able to fill one shard.
    hasher: RandomState,
    len: usize,
}

impl Default for MeterMap {
    fn default() -> Self {
        MeterMap {
            shards: vec![Arc::default(); SHARDS],
            hasher: RandomState::new(),
            len: 0,
        }
    }
}

impl MeterMap {
    /// Number of meters; one that sends two types counts twice.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no meters.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the meters in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MeterStatus>> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// Returns the meters with this id, one per type.
    pub fn with_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Arc<MeterStatus>> {
        let shard = &self.shards[self.index(id)];
        let begin = shard.partition_point(|meter| *meter.last.id < *id);
        shard[begin..].iter().take_while(move |meter| meter.last.id == id)
    }

    /// Returns the meter and type of a reading.
    pub fn get(&self, event: &ReadingEvent) -> Option<&Arc<MeterStatus>> {
        let shard = &self.shards[self.index(&event.id)];
        position(shard, event).ok().map(|at| &shard[at])
    }

    /// Inserts or replaces a meter.
    pub fn insert(&mut self, meter: MeterStatus) {
        let index = self.index(&meter.last.id);
        let shard = Arc::make_mut(&mut self.shards[index]);
        match position(shard, &meter.last) {
            Ok(at) => shard[at] = Arc::new(meter),
            Err(at) => {
                shard.insert(at, Arc::new(meter));
                self.len += 1;
            }
        }
    }

    fn index(&self, id: &str) -> usize {
        (self.hasher.hash_one(id) % SHARDS as u64) as usize
    }
}

/// Index of the meter in a shard, or where it belongs.
fn position(shard: &[Arc<MeterStatus>], event: &ReadingEvent) -> Result<usize, usize> {
    shard.binary_search_by(|meter| (&*meter.last.id, meter.last.kind).cmp(&(&*event.id, event.kind)))
}
